#!/bin/sh
# Tells a service like healthchecks.io, which sends an alert if a ping is late, when a job starts and how it ends.
# Give it to the job twice: before its command, and as its hook.
#   orchesjob start --run-key backup --env PING_URL=https://hc-ping.com/UUID --on-exit /usr/local/bin/ping-healthchecks.sh \
#     -- sh -c '/usr/local/bin/ping-healthchecks.sh; exec /usr/local/bin/backup.sh'
export PATH="$PATH:/usr/local/bin"
case "${ORCHESJOB_STATUS:-}" in
  "") what=/start ;;
  SUCCEEDED) what= ;;
  *) what=/fail ;;
esac
# The ping has the last lines of the job's output with it. A ping that cannot be sent must not stop the job.
orchesjob logs --job-id "$ORCHESJOB_JOB_ID" --tail 100 |
  curl -fsS --retry 5 --max-time 10 -o /dev/null --data-binary @- "${PING_URL:?}$what?rid=$ORCHESJOB_JOB_ID" ||
  [ "$what" = /start ]
