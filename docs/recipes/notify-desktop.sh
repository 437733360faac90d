#!/bin/sh
# A hook: shows a notification on your desktop. Needs notify-send (Debian: libnotify-bin).
#   orchesjob start --run-key backup --on-failure /usr/local/bin/notify-desktop.sh -- COMMAND
export PATH="$PATH:/usr/local/bin"
# The bus of your desktop session. cron and SSH do not set this.
export DBUS_SESSION_BUS_ADDRESS="${DBUS_SESSION_BUS_ADDRESS:-unix:path=/run/user/$(id -u)/bus}"
# The text may have markup, so what would be markup is escaped.
text=$(orchesjob logs --job-id "$ORCHESJOB_JOB_ID" --stream stderr --tail 3 | sed 's/&/\&amp;/g; s/</\&lt;/g')
exec notify-send --app-name orchesjob --urgency critical -- "$ORCHESJOB_RUN_KEY: $ORCHESJOB_STATUS" "$text"
