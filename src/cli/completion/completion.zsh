#compdef orchesjob
# Completion of orchesjob for zsh. Printed by: orchesjob completion zsh
#
# Nothing of a run key is expanded or executed: keys go into arrays, and compadd quotes them.

# Prints the typed part of the value, without its quotes. PREFIX lacks the opening quote.
_orchesjob_typed() {
  local quote=$compstate[quote]
  print -r -- "${(Q):-$quote$PREFIX$quote}"
}

# Offers what orchesjob knows, with descriptions. $1: its kind; $2: a pattern of values to leave out; others: for compadd.
_orchesjob_live() {
  local expl
  local -a lines values shown
  lines=(${(f)"$(command orchesjob _complete $1 "$(_orchesjob_typed)" 2>/dev/null </dev/null)"})
  lines=("${(@)lines:#${~2}}")
  values=("${(@)lines%%$'\t'*}")
  shown=("${(@)lines/$'\t'/  }")
  _wanted -V $1s expl ${1/-/ } compadd -l -d shown "${@:3}" -a values
}

_orchesjob_run_keys() { _orchesjob_live run-key '' }

# As words. One that begins with "-" would be an option.
_orchesjob_key_words() { _orchesjob_live key-word '-*' }

_orchesjob_job_ids() { _orchesjob_live job-id '' }

_orchesjob_labels() { _orchesjob_live label '' }

_orchesjob_label_names() { _orchesjob_live label-name '' }

# More names may follow after a comma.
_orchesjob_fields() { _orchesjob_live field '' -S '' }

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
