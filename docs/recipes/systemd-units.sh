#!/bin/sh
# Installs ./backup.sh as a daily job with the unit templates of orchesjob. Run it as root.
# orchesjob@NAME.service runs the executable /etc/orchesjob/jobs/NAME under the run key NAME.
set -e
orchesjob systemd --output /etc/systemd/system  # the Debian package has installed these units already: leave this out
install -D -m 755 backup.sh /etc/orchesjob/jobs/backup
systemctl daemon-reload
systemctl start orchesjob@backup                # run it now
systemctl enable --now orchesjob@backup.timer   # run it every day at midnight
systemctl enable --now orchesjob-clean.timer    # every day, delete jobs that ended more than 30 days ago
orchesjob status --run-key backup --all
journalctl --no-pager -u orchesjob@backup
