# Completion of orchesjob for fish. Printed by: orchesjob completion fish
#
# Nothing of a run key is expanded or executed: fish quotes what a function prints.

@TABLES@

# Finds out where the cursor is. Fails before the command's name; prints that name after the options, and the name
# with "--" before it while options may follow. Sets $__orchesjob_words to the words after the options.
function __orchesjob_place
    set -l words (commandline -opc)
    set -e words[1]
    set -g __orchesjob_words
    set -q words[1]; or return 1
    set -l name (__orchesjob_name $words[1])
    set -e words[1]
    set -l valued (__orchesjob_valued $name)
    while set -q words[1]
        switch $words[1]
            case --
                set -e words[1]
                set -a __orchesjob_words $words
                echo $name
                return
            case '-?*'
                contains -- $words[1] $valued; and set -e words[1]
                set -e words[1]
            case '*'
                if not __orchesjob_interleaved $name
                    set -g __orchesjob_words $words
                    echo $name
                    return
                end
                set -a __orchesjob_words $words[1]
                set -e words[1]
        end
    end
    echo -- --$name
end

# Whether the cursor is at the command's name.
function __orchesjob_at_command
    test (count (commandline -opc)) -eq 1
end

# Whether options of this command may follow here.
function __orchesjob_at_options
    set -l place (__orchesjob_place)
    test "$place" = --$argv[1]
end

# Whether the command is one of these, and the word here is an operand.
function __orchesjob_at_operands
    set -l place (__orchesjob_place)
    or return 1
    string match -q -- '-*' (commandline -ct)
    or set place (string replace -r '^--' '' -- $place)
    contains -- "$place" $argv
end

# As __orchesjob_at_operands, but only at the first operand.
function __orchesjob_at_operand
    __orchesjob_at_operands $argv
    and test (count $__orchesjob_words) -eq 0
end

# Prints the typed part of a value, without quotes and escapes.
function __orchesjob_typed
    string unescape -- (string replace -r -- '^(--[a-z-]+=|-[a-z]=?)' '' (commandline -ct))
end

function __orchesjob_live
    command orchesjob _complete $argv[1] (__orchesjob_typed)[1] 2>/dev/null </dev/null
end

# Prints run keys as words. One that begins with "-" would be an option.
function __orchesjob_keys
    __orchesjob_live key-word | string match -v -- '-*'
end

function __orchesjob_directories
    __fish_complete_directories (string replace -r -- '^(--[a-z-]+=|-[a-z]=?)' '' (commandline -ct))
end

# Completes the command line that begins inside this one.
function __orchesjob_command_line
    __orchesjob_place >/dev/null
    set -l token (commandline -ct)
    set -l line (string join ' ' -- (string escape -- $__orchesjob_words) "$token")
    complete --do-complete="$line"
end

complete -c orchesjob -f
complete -c orchesjob -n __orchesjob_at_command -l version -d 'Print the version'
complete -c orchesjob -n __orchesjob_at_command -l help -d 'Print help'
@OPTIONS@
