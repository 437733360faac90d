/** The text of a file of variables (`--env-file`). Messages name lines, and never show what is in them: it may be a password. */
import { OrchesjobError } from "./errors.ts";

/** A comment or nothing; else a name, `=`, and the value, in quotes or not. A name is what `--env` takes, without blanks. */
const IGNORED = /^[ \t]*(?:[#;].*)?$/;
const BEGINNING = /^[ \t]*([^=\s]+)=[ \t]*/;

/**
 * Returns NAME=VALUE for each variable. A value in quotes may have several lines; in double quotes, a backslash stands before
 * `"`, `\`, `$` and a backquote. Nothing is expanded. Throws `usage`.
 */
export function parseEnvFile(path: string, text: string): readonly string[] {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  const variables: string[] = [];
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!;
    if (IGNORED.test(line)) continue;
    const refuse = (why: string) =>
      new OrchesjobError("usage", `cannot read --env-file ${path}: line ${index + 1} ${why}`);
    const [beginning, name] = BEGINNING.exec(line) ?? [];
    if (beginning === undefined) throw refuse(explain(line));
    let rest = line.slice(beginning.length);
    const quote = rest[0];
    if (quote !== "'" && quote !== '"') {
      variables.push(`${name}=${rest.trimEnd()}`);
      continue;
    }
    const whole = quote === "'" ? /^'([^']*)'[ \t]*$/ : /^"((?:[^"\\]|\\[^])*)"[ \t]*$/;
    const closing = quote === "'" ? /^'[^']*'/ : /^"(?:[^"\\]|\\[^])*"/;
    const unclosed = refuse(`has no closing ${quote}`);
    while (!closing.test(rest)) {
      index += 1;
      if (index >= lines.length) throw unclosed;
      rest += `\n${lines[index]}`;
    }
    const value = whole.exec(rest)?.[1];
    if (value === undefined) throw refuse(`has something after the closing ${quote}`);
    variables.push(`${name}=${quote === "'" ? value : value.replace(/\\(["\\$`])/g, "$1")}`);
  }
  return variables;
}

/** Why a line sets no variable. */
function explain(line: string): string {
  if (!line.includes("=")) return "is not NAME=VALUE";
  if (/^\s*export\s/.test(line)) return "begins with export, which is a word of the shell: remove it";
  if (/^\s*=/.test(line)) return "has no name before the =";
  return "has a blank before the =: remove it, or set a variable with such a name by --env";
}
