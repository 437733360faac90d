#!/bin/sh
# invoices-over-ssh.sh DAY: runs invoices.sh on the host db1, shows its output, and exits with its exit code.
# If the connection breaks, the job goes on; the script connects again and shows the output from the start.
#
# The request id is the same in all attempts of one call: if the job ends while there is no connection,
# the next attempt reports that job and does not run it again.
#
# If the user on db1 is root, leave ORCHESJOB_HOME=… out.
token=$(uname -n)-$$-$(date +%s)
tries=30
while :; do
  ssh -n -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 db1 \
    'ORCHESJOB_HOME=$HOME/.local/share/orchesjob' orchesjob run --run-key "invoices-$1" --request-id "$token" -- ./invoices.sh "$1"
  code=$?
  # ssh exits with 255 when the connection itself fails.
  [ "$code" = 255 ] && [ "$((tries -= 1))" -gt 0 ] || exit "$code"
  sleep 10
done
