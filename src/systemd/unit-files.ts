/**
 * The units that `orchesjob systemd` writes, and a release ships: the one place of their texts. Loaded by that command only.
 * What is set and what is not is said in them, for whoever finds them on a server.
 */
export interface UnitPlace {
  /** Absolute path of the executable. */
  readonly program: string;
  /** For a user's own service manager instead of the system's. */
  readonly forUser: boolean;
}

/** What keeps the executable itself from starting, whoever sets it for all units. */
const RUNTIME = `
# The runtime in the executable writes machine code as it goes, and reserves more address space than it uses: with
# MemoryDenyWriteExecute=yes, or a LimitAS= of a few GB, it ends with a banner of its own, and the unit with 134 or 133.
MemoryDenyWriteExecute=no
`;

/** File names and texts. */
export function systemdUnits({ program, forUser }: UnitPlace): Readonly<Record<string, string>> {
  const place = forUser ? USER : SYSTEM;
  return {
    "orchesjob@.service": jobService(program, place),
    "orchesjob@.timer": jobTimer(place),
    "orchesjob-clean.service": cleanService(program, place),
    "orchesjob-clean.timer": cleanTimer(place),
  };
}

interface Place {
  readonly systemctl: string;
  /** Directory of what the jobs are. */
  readonly configuration: string;
  readonly home: string;
  /** More lines of a section. */
  readonly jobUnit: string;
  readonly jobService: string;
  readonly cleanService: string;
}

const SYSTEM: Place = {
  systemctl: "systemctl",
  configuration: "/etc/orchesjob",
  home: "/var/lib/orchesjob",
  jobUnit: `
Wants=network-online.target
After=network-online.target
RequiresMountsFor=/var/lib/orchesjob
`,
  jobService: `
LimitAS=infinity
# The command can be any, so nothing is taken from it that a command may want: it writes where it likes, mounts, calls sudo
# and sendmail. Only what no command of a job runner has a use for is gone:
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_BOOT CAP_SYS_PACCT CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_MAC_OVERRIDE
# For a command that needs less, systemctl edit orchesjob@NAME.service with as much as it can bear of:
#   NoNewPrivileges=yes
#   ProtectSystem=strict
#   ReadWritePaths=/var/lib/orchesjob
#   ProtectHome=yes
#   PrivateTmp=yes
#   PrivateDevices=yes
#   ProtectClock=yes
#   ProtectHostname=yes
#   ProtectControlGroups=yes
#   ProtectKernelLogs=yes
#   ProtectKernelModules=yes
#   ProtectKernelTunables=yes
#   RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
#   RestrictNamespaces=yes
#   RestrictRealtime=yes
#   RestrictSUIDSGID=yes
#   LockPersonality=yes
#   SystemCallArchitectures=native
#   SystemCallFilter=@system-service
#   SystemCallErrorNumber=EPERM
#   CapabilityBoundingSet=
#   CapabilityBoundingSet=CAP_SYS_PTRACE
# To run it as another user, User= with a state directory of that user's own: Environment=ORCHESJOB_HOME=/var/lib/orchesjob-NAME,
# StateDirectory=orchesjob-NAME, StateDirectoryMode=0700.
`,
  cleanService: `
LimitAS=infinity
Environment=ORCHESJOB_HOME=/var/lib/orchesjob
# It has only this to write to. Not StateDirectory=, which would give the directory to root where it is another user's.
ProtectSystem=strict
ReadWritePaths=-/var/lib/orchesjob
# Of all its powers root keeps those that see which processes of other users belong to a LOST job: it must not be forgotten
# while one lives.
# For the same reason /proc is whole (no ProtectProc=, ProcSubset=, PrivateUsers=).
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
PrivateNetwork=yes
IPAddressDeny=any
RestrictAddressFamilies=none
PrivateDevices=yes
PrivateIPC=yes
PrivateTmp=yes
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
`,
};

const USER: Place = {
  systemctl: "systemctl --user",
  configuration: "%E/orchesjob",
  home: "%h/.local/share/orchesjob",
  jobUnit: "",
  jobService: `
Environment=ORCHESJOB_HOME=%h/.local/share/orchesjob
WorkingDirectory=%h
`,
  cleanService: `
Environment=ORCHESJOB_HOME=%h/.local/share/orchesjob
NoNewPrivileges=yes
UMask=0077
`,
};

function jobService(program: string, place: Place): string {
  return unit(`
# Runs the executable ${place.configuration}/jobs/NAME as the job of run key NAME:  ${place.systemctl} start orchesjob@NAME
# Its output goes to the journal and its exit code is the unit's; the history is orchesjob's:  orchesjob status --run-key NAME --all
# Change nothing here, but for all jobs with  ${place.systemctl} edit orchesjob@.service  and for one with  … edit orchesjob@NAME.service
[Unit]
Description=Job %i (orchesjob)
${place.jobUnit}
[Service]
Type=exec
ExecStart=${program} run --run-key=%i -- ${place.configuration}/jobs/%i
${RUNTIME}
# NAME=VALUE lines for its environment, where there is such a file.
EnvironmentFile=-${place.configuration}/%i.env
# A stop is a TERM to orchesjob, which passes it on to the command and tells how that ended. A command that goes on is killed
# some seconds (at most 5) before TimeoutStopSec= is over, and what it left in the background when it has ended.
KillMode=mixed
# To try again after a failure, in a drop-in: Restart=on-failure, RestartSec=1min.
${place.jobService}
`);
}

function jobTimer(place: Place): string {
  return unit(`
# Starts orchesjob@NAME.service every day at midnight:  ${place.systemctl} enable --now orchesjob@NAME.timer
# At another time, with  ${place.systemctl} edit orchesjob@NAME.timer  (the first line takes the daily one away):
#   [Timer]
#   OnCalendar=
#   OnCalendar=Mon..Fri 06:30
[Unit]
Description=Time of job %i (orchesjob)

[Timer]
OnCalendar=daily
# A time that has passed while the machine was off is made up for.
Persistent=true

[Install]
WantedBy=timers.target
`);
}

function cleanService(program: string, place: Place): string {
  return unit(`
# Deletes the jobs in ${place.home} that ended more than 30 days ago, with their logs, and files in its logs/ and locks/
# that belong to no job. It never touches a job that is active, nor a LOST one of which a process still runs.
# To keep more or less, ${place.systemctl} edit orchesjob-clean.service with an ExecStart= that is empty and one that is not, e.g.
#   ExecStart=
#   ExecStart=${program} clean --older-than 90d --keep 1
# Where the state directory is another one, ORCHESJOB_HOME and ReadWritePaths= below must both name it; where it belongs
# to another user, User= must, too.
[Unit]
Description=Delete old jobs and their logs (orchesjob)
ConditionPathExists=${place.home}/orchesjob.db

[Service]
Type=oneshot
ExecStart=${program} clean --older-than 30d
${RUNTIME}
Nice=19
IOSchedulingClass=idle
${place.cleanService}
`);
}

function cleanTimer(place: Place): string {
  return unit(`
# Starts orchesjob-clean.service once a day:  ${place.systemctl} enable --now orchesjob-clean.timer
[Unit]
Description=Time to delete old jobs and their logs (orchesjob)

[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
Persistent=true

[Install]
WantedBy=timers.target
`);
}

/** Without the empty lines that come from putting it together, but for one before each section. */
function unit(text: string): string {
  return `${text
    .trim()
    .replace(/\n{2,}/g, "\n")
    .replace(/\n(?=\[)/g, "\n\n")}\n`;
}
