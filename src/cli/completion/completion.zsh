#compdef orchesjob
# Completion of orchesjob for zsh. Printed by: orchesjob completion zsh
#
# Nothing of a run key is expanded or executed: keys go into arrays, and compadd quotes them.

# Prints the typed part of the value, without its quotes. PREFIX lacks the opening quote.
_orchesjob_typed() {
  local quote=$compstate[quote]
  print -r -- "${(Q):-$quote$PREFIX$quote}"
}

_orchesjob_run_keys() {
  local expl
  local -a keys
  keys=(${(f)"$(command orchesjob _complete run-key "$(_orchesjob_typed)" 2>/dev/null </dev/null)"})
  _wanted run-keys expl 'run key' compadd -a keys
}

_orchesjob_job_ids() {
  local expl
  local -a lines ids shown
  lines=(${(f)"$(command orchesjob _complete job-id "$(_orchesjob_typed)" 2>/dev/null </dev/null)"})
  ids=("${(@)lines%%$'\t'*}")
  shown=("${(@)lines/$'\t'/  }")
  _wanted -V job-ids expl 'job id' compadd -l -d shown -a ids
}

@TABLES@

_orchesjob() {
  local curcontext=$curcontext state state_descr line ret=1
  typeset -A opt_args
  _arguments -C -S -A '-*' \
    '(- *)--help[Print help]' \
    '(- *)--version[Print the version]' \
    '1:command:_orchesjob_commands' \
    '*::word:->words' && ret=0
  if [[ $state == words ]]; then
    curcontext=${curcontext%:*:*}:orchesjob-$words[1]:
    _orchesjob_arguments $words[1] && ret=0
  fi
  return ret
}

if [[ $funcstack[1] == _orchesjob ]]; then
  _orchesjob "$@"
else
  compdef _orchesjob orchesjob
fi
