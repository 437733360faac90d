#!/bin/sh
# A hook: sends a mail unless the job succeeded: the last lines of its stderr, then the job as JSON. Needs sendmail.
#   orchesjob start --run-key backup --on-exit '/usr/local/bin/notify-mail.sh admin@example.org' -- COMMAND
[ "$ORCHESJOB_STATUS" = SUCCEEDED ] && exit 0
export PATH="$PATH:/usr/local/bin:/usr/sbin"
{
  echo "To: ${1:?}"
  echo "Subject: $(uname -n): job $ORCHESJOB_RUN_KEY is $ORCHESJOB_STATUS"
  echo
  orchesjob logs --job-id "$ORCHESJOB_JOB_ID" --stream stderr --tail 20
  echo
  cat
} | sendmail -t
