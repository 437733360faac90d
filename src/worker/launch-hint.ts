/** What somebody most likely meant who named a command that does not exist. */

/** Of POSIX, and of bash: what only a shell can do for itself, and is no program anywhere. */
const BUILTINS =
  ". : [[ alias bg break builtin case cd continue declare dirs eval exec exit export fg for function hash if let local popd pushd read readonly return set shift shopt source times trap type typeset ulimit umask unalias unset until while".split(
    " ",
  );

/** Ends the sentence about a command that was not found: `; …`, or nothing where nothing is to be said. */
export function launchHint(command: readonly string[]): string {
  const [file = ""] = command;
  if (BUILTINS.includes(file)) return `; it is a command of the shell: sh -c ${quote(command.join(" "))}`;
  if (!/\s/.test(file.trim()) || command.length > 1) return "";
  return `; it is one word with spaces in it: leave out the quotes, or: sh -c ${quote(file)}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
