/**
 * What the units of the system's service manager and those of a user's own have different: paths, and how far they are restricted.
 */
export interface Place {
  readonly systemctl: string;
  /** Directory of the executables that are the jobs. */
  readonly configuration: string;
  readonly home: string;
  /** Lines added to a section. */
  readonly jobUnit: string;
  readonly jobService: string;
  readonly cleanService: string;
  readonly agentService: string;
  /** The target that starts services at boot, or at login. */
  readonly target: string;
}

export const SYSTEM: Place = {
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
# The command can be any program, so it keeps all that a program may need: it may write anywhere, mount, call sudo and
# sendmail. It loses only what no job needs:
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_BOOT CAP_SYS_PACCT CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_MAC_OVERRIDE
# For a command that needs less, systemctl edit orchesjob@NAME.service, with as many of these as it tolerates:
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
# To run it as another user, set User= and a state directory of that user's own: Environment=ORCHESJOB_HOME=/var/lib/orchesjob-NAME,
# StateDirectory=orchesjob-NAME, StateDirectoryMode=0700.
`,
  cleanService: `
LimitAS=infinity
Environment=ORCHESJOB_HOME=/var/lib/orchesjob
# It writes only here. No StateDirectory=: that would give another user's directory to root.
ProtectSystem=strict
ReadWritePaths=-/var/lib/orchesjob
# Root keeps only the capabilities that show which processes of other users belong to a LOST job: clean must not delete the
# job while one lives.
# For the same reason all of /proc is visible (no ProtectProc=, ProcSubset=, PrivateUsers=).
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
  agentService: `
LimitAS=infinity
# Also sets HOME, where the agent looks for .pgpass.
User=root
Environment=ORCHESJOB_HOME=/var/lib/orchesjob
`,
  target: "multi-user.target",
};

export const USER: Place = {
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
  agentService: `
Environment=ORCHESJOB_HOME=%h/.local/share/orchesjob
WorkingDirectory=%h
`,
  target: "default.target",
};
