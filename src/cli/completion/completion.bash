# Completion of orchesjob for bash 4.4 and newer. Printed by: orchesjob completion bash
#
# This script splits the typed line itself: bash breaks words at "=" and ":", which run keys may contain, and nothing
# of the line or of a run key may be expanded or executed here.

@TABLES@

# Splits the line up to the cursor as the shell would, but expands nothing. Sets words (without quotes; the last one is
# at the cursor), starts (the offset of each word in the line), quote (the quote that is still open in the last word),
# and fixed (the part of the last word that readline keeps: it replaces only what follows).
_orchesjob_read() {
  local line=$1 word='' outside='' char next begun=''
  local -i i
  for ((i = 0; i < ${#line}; i++)); do
    char=${line:i:1}
    if [[ -z $quote && $char == [[:space:]] ]]; then
      [[ -n $begun ]] && words+=("$word")
      word='' fixed='' begun=''
      continue
    fi
    [[ -n $begun ]] || starts+=("$i")
    begun=1
    if [[ -n $quote && $char == "$quote" ]]; then
      quote='' fixed=$outside
    elif [[ $quote == "'" ]]; then
      word+=$char
    elif [[ $char == \\ ]]; then
      next=${line:i+1:1}
      # Inside "", a backslash escapes only the characters that are special there.
      if [[ -n $quote && $next != [\$\`\"\\] ]]; then
        word+=$char
      else
        word+=$next
        i+=1
      fi
    elif [[ -z $quote && $char == [\'\"] ]]; then
      quote=$char outside=$fixed fixed=$word
    else
      word+=$char
      [[ -z $quote && $COMP_WORDBREAKS == *"$char"* ]] && fixed=$word
    fi
  done
  [[ -n $begun ]] || starts+=("${#line}")
  words+=("$word")
}

# Offers the words that begin with the one at the cursor, in the same kind of quotes.
_orchesjob_offer() {
  local value
  for value; do
    [[ $value == "$current"* ]] || continue
    value=${value:${#fixed}}
    case $quote in
      \') value=${value//\'/"'\\''"} ;;
      \")
        # "!" cannot be written inside "": bash would expand the history.
        [[ $value == *'!'* ]] && continue
        value=${value//\\/'\\'} value=${value//\"/'\"'} value=${value//\$/'\$'} value=${value//\`/'\`'}
        ;;
      *) [[ -z $value ]] || printf -v value %q "$value" ;;
    esac
    COMPREPLY+=("$value")
  done
}

# Offers values of an option. $1: the part of the same word before the value.
_orchesjob_offer_values() {
  local value
  local -a values=()
  case $kind in
    choice) values=("${choices[@]}") ;;
    run-key | job-id | key-word | label | label-name | field)
      # More names may follow after a comma.
      [[ $kind == field ]] && compopt -o nospace 2>/dev/null
      while IFS=$'\t' read -r value _; do
        # As a word, a key that begins with "-" would be an option.
        [[ $kind == key-word && $value == -* ]] || values+=("$value")
      done < <(command orchesjob _complete "$kind" "${current:${#1}}" 2>/dev/null </dev/null)
      ;;
    directory) compopt -o dirnames ;;
    file) compopt -o default ;;
  esac
  for value in "${values[@]}"; do
    _orchesjob_offer "$1$value"
  done
}

_orchesjob_offer_flags() {
  local flag
  for flag in "${flags[@]}"; do
    [[ $given == *" $flag "* && " ${repeatable[*]} " != *" $flag "* ]] || _orchesjob_offer "$flag"
  done
}

# Completes the command line that begins inside this one, at word number $1.
_orchesjob_offer_command() {
  local -i position=0 word=0
  if declare -F _command_offset >/dev/null; then
    # _command_offset counts words as bash splits them, not as this script does.
    while :; do
      while [[ ${COMP_LINE:position:1} == [[:space:]] ]]; do position+=1; done
      ((position >= starts[$1] || word >= COMP_CWORD)) && break
      position+=${#COMP_WORDS[word]}
      word+=1
    done
    _command_offset "$word"
    return
  fi
  compopt -o bashdefault -o default
  (($1 < ${#words[@]} - 1)) && return
  local name
  while IFS= read -r name; do
    _orchesjob_offer "$name"
  done < <(compgen -c -- "$current")
}

# Takes an option's word apart: sets flag to its long form, and attached to what stands before a value in the same word.
_orchesjob_flag() {
  flag=${1%%=*} attached=''
  if [[ $1 == --* ]]; then
    [[ $1 == *=* ]] && attached=$flag=
  else
    _orchesjob_long "$name" "${1:0:2}"
    ((${#1} > 2)) && attached=${1:0:2}
    [[ $1 == ??=* ]] && attached+='='
  fi
  return 0
}

_orchesjob() {
  local -a words=() starts=() flags=() repeatable=() operand_choices=() choices=()
  local quote='' fixed='' current name='' kind='' word flag attached given=' '
  local -i i last operand=0 interleaved=0 operands=0 has_several=0
  COMPREPLY=()
  _orchesjob_read "${COMP_LINE:0:COMP_POINT}"
  last=${#words[@]}-1
  current=${words[last]}
  ((last < 1)) && return
  if ((last == 1)); then
    _orchesjob_offer "${_orchesjob_commands[@]}" --help --version
    return
  fi
  _orchesjob_command "${words[1]}" || return 0
  for ((i = 2; i < last; i++)); do
    word=${words[i]}
    if [[ $word == -- ]]; then
      operand=i+1
      break
    elif [[ $word != -?* ]]; then
      operands+=1
      ((interleaved)) && continue
      operand=i
      break
    fi
    _orchesjob_flag "$word"
    given+="$flag "
    [[ -z $attached ]] && _orchesjob_option "$name" "$flag" || continue
    i+=1
    ((i == last)) || continue
    _orchesjob_offer_values ''
    return
  done
  if ((operand == 0)); then
    attached=''
    [[ $current == -* ]] && _orchesjob_flag "$current"
    if [[ -n $attached ]]; then
      _orchesjob_option "$name" "$flag" && _orchesjob_offer_values "$attached"
      return 0
    elif [[ $current == -* || (-z $current && ${#operand_choices[@]} -eq 0 && $kind_of_operands != key-word) ]]; then
      _orchesjob_offer_flags
      return
    fi
    operand=last
  fi
  if ((${#operand_choices[@]} > 0)); then
    ((operand == last && operands == 0)) && _orchesjob_offer "${operand_choices[@]}"
  elif [[ $kind_of_operands == command ]]; then
    _orchesjob_offer_command "$operand"
  elif [[ $kind_of_operands == key-word ]]; then
    kind=key-word
    ((has_several || (operand == last && operands == 0))) && _orchesjob_offer_values ''
    [[ -z $current && ${#COMPREPLY[@]} -eq 0 && ${words[last - 1]} != -- ]] && _orchesjob_offer_flags
  fi
  return 0
}

complete -o nosort -F _orchesjob orchesjob 2>/dev/null || complete -F _orchesjob orchesjob
