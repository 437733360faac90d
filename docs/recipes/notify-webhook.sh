#!/bin/sh
# A hook: posts the job to a webhook unless it succeeded. The job arrives on stdin, as `orchesjob status` prints it.
#   orchesjob start --run-key backup --env WEBHOOK_URL=https://example.org/hook --on-exit /usr/local/bin/notify-webhook.sh -- COMMAND
[ "$ORCHESJOB_STATUS" = SUCCEEDED ] && exit 0
exec curl -fsS --retry 5 --max-time 30 -o /dev/null \
  -H 'Content-Type: application/json' --data-binary @- "${WEBHOOK_URL:?}"
