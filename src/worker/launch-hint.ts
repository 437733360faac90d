/** Suggests what the user probably meant by a command that does not exist. */

/** Commands and keywords of POSIX sh and bash: only a shell can execute them, they are not programs. */
const BUILTINS =
  ". : [[ alias bg break builtin case cd continue declare dirs eval exec exit export fg for function hash if let local popd pushd read readonly return set shift shopt source times trap type typeset ulimit umask unalias unset until while".split(
    " ",
  );

/**
 * Returns the end of the message about a command that was not found, `; …`, or an empty text if there is nothing to suggest.
 */
export function launchHint(command: readonly string[]): string {
  const [file = ""] = command;
  if (BUILTINS.includes(file))
    return `; it is a shell command, not a program; run: sh -c ${quote(command.join(" "))}`;
  if (!/\s/.test(file.trim()) || command.length > 1) return "";
  return `; it is one word that contains spaces; leave out the quotes, or run: sh -c ${quote(file)}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
