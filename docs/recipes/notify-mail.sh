#!/bin/sh
# A hook: sends a mail: the last lines of the job's stderr, then the job as JSON. Needs sendmail.
#   orchesjob start --run-key backup --on-failure '/usr/local/bin/notify-mail.sh admin@example.org' -- COMMAND
export PATH="$PATH:/usr/local/bin:/usr/sbin"
{
  echo "To: ${1:?}"
  echo "Subject: $(uname -n): job $ORCHESJOB_RUN_KEY is $ORCHESJOB_STATUS"
  echo
  orchesjob logs --job-id "$ORCHESJOB_JOB_ID" --stream stderr --tail 20
  echo
  cat
} | sendmail -t
