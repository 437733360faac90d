/**
 * The completion scripts and the man page have every command and every option, as the shells and man themselves show
 * them.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { dirname, join } from "node:path";
import { COMMANDS } from "../../src/entrypoints/all.ts";
import { testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

/** A command's name, or one of its aliases, with all that may follow it. */
const DECLARED: Record<string, string[]> = Object.fromEntries(
  COMMANDS.flatMap(({ name, aliases = [], options }) =>
    [name, ...aliases].map((each) => [
      each,
      [...Object.values(options).map((option) => option.flag), "--help"].sort(),
    ]),
  ),
);

/** The values of options that have only a few: `logs --stream` has stdout, stderr and both. */
const CHOICES: Record<string, string[]> = Object.fromEntries(
  COMMANDS.flatMap(({ name, options }) =>
    Object.values(options)
      .filter((option) => option.choices !== undefined)
      .map((option) => [`${name} ${option.flag}`, [...option.choices!].sort()]),
  ),
);

const environment = { PATH: `${dirname(BINARY)}:${process.env["PATH"]}`, LC_ALL: "C.UTF-8" };

/** Runs a script to its end. It prints `== NAME` before the lines of each name; returns these lines, sorted. */
async function sections(
  box: Sandbox,
  shell: readonly string[],
  script: string,
): Promise<Record<string, string[]>> {
  const { stdout, stderr, code } = await box.execute([...shell, script], { env: environment });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const found: Record<string, string[]> = {};
  for (const part of stdout.split(/^== /m).slice(1)) {
    const [name, ...lines] = part.trimEnd().split("\n");
    found[name!] = lines.sort();
  }
  return found;
}

test("the declarations that the other tests compare with are not empty", () => {
  expect(Object.keys(DECLARED)).toContain("abort");
  expect(CHOICES["logs --stream"]).toEqual(["both", "stderr", "stdout"]);
});

testWith(
  ["bash"],
  "bash offers every command, every option, and every value of options with few values",
  async () => {
    await using box = new Sandbox();
    const ask = (name: string, line: string) => `
    COMP_LINE='${line}' COMP_POINT=${line.length}
    _orchesjob
    echo '== ${name}'; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const found = await sections(
      box,
      ["bash", "--norc", "--noprofile", "-c"],
      ["set -u; source <(orchesjob completion bash)", ask("", "orchesjob ")]
        .concat(Object.keys(DECLARED).map((name) => ask(name, `orchesjob ${name} -`)))
        .concat(Object.keys(CHOICES).map((option) => ask(option, `orchesjob ${option} `)))
        .join("\n"),
    );
    const { "": commands, ...rest } = found;
    expect(commands).toEqual(["--help", "--version", ...Object.keys(DECLARED)].sort());
    expect(rest).toEqual({ ...DECLARED, ...CHOICES });
  },
);

testWith(
  ["zsh"],
  "zsh gets every command, every option, and every value of options with few values",
  async () => {
    await using box = new Sandbox();
    // Replaces zsh's own function, which needs a terminal, by one that prints its arguments.
    const found = await sections(
      box,
      ["zsh", "-f", "-c"],
      [
        `compdef() {}; source <(orchesjob completion zsh)`,
        `_arguments() { print -rl -- "$@" }; _describe() { print -rl -- \${(P)5%%:*} }`,
        `_describe() { print -rl -- "\${(@)commands%%:*}" }`,
        "print '== '; _orchesjob_commands",
        ...Object.keys(DECLARED).map((name) => `print '== ${name}'; _orchesjob_arguments ${name}`),
      ].join("\n"),
    );
    const { "": commands, ...rest } = found;
    expect(commands).toEqual(Object.keys(DECLARED).sort());
    const flags = (specifications: readonly string[]) =>
      specifications
        .map((text) => /^(?:\*|\([^)]*\))?(--[a-z-]+)=?\[/.exec(text)?.[1])
        .filter(Boolean)
        .sort();
    expect(Object.fromEntries(Object.entries(rest).map(([name, lines]) => [name, flags(lines)]))).toEqual(
      DECLARED,
    );
    for (const [option, values] of Object.entries(CHOICES)) {
      const [name, flag] = option.split(" ");
      const line = rest[name!]!.find((text) => text.includes(`${flag}=[`))!;
      expect(/:\(([^()]*)\)$/.exec(line)![1]!.split(" ").sort()).toEqual(values);
    }
  },
);

testWith(
  ["fish"],
  "fish offers every command, every option, and every value of options with few values",
  async () => {
    await using box = new Sandbox();
    const ask = (name: string, line: string) =>
      `echo '== ${name}'; complete -C '${line}' | string replace -r '\\t.*' ''`;
    const found = await sections(
      box,
      ["fish", "--no-config", "-c"],
      ["orchesjob completion fish | source", ask("", "orchesjob "), ask("-", "orchesjob -")]
        .concat(Object.keys(DECLARED).map((name) => ask(name, `orchesjob ${name} --`)))
        .concat(Object.keys(CHOICES).map((option) => ask(option, `orchesjob ${option} `)))
        .join("\n"),
    );
    const { "": commands, "-": options, ...rest } = found;
    expect(commands).toEqual(Object.keys(DECLARED).sort());
    expect(options).toEqual(["--help", "--version"]);
    expect(rest).toEqual({ ...DECLARED, ...CHOICES });
  },
);

describe("the man page", () => {
  const page = (box: Sandbox) => join(box.directory, "orchesjob.1");

  async function writePage(box: Sandbox): Promise<string> {
    const { stdout, stderr, code } = await box.run(["man"]);
    expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    await Bun.write(page(box), stdout);
    return stdout;
  }

  testWith(["man"], "is rendered without a warning, and has every command with every option", async () => {
    await using box = new Sandbox();
    await writePage(box);
    for (const width of ["-rLL=78n", "-rLL=60n"]) {
      const groff = ["groff", "-ww", "-man", "-Tutf8", width, page(box)];
      expect(await box.execute(groff, { env: environment })).toMatchObject({ stderr: "", code: 0 });
    }
    const { stdout, stderr, code } = await box.execute(["man", "-l", "--warnings=w", page(box)], {
      env: { ...environment, MANWIDTH: "100", MANPAGER: "cat", MAN_KEEP_FORMATTING: undefined },
    });
    expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    const [, ...chapters] = stdout.split(/^(?=[A-Z])/m);
    const chapter = (heading: string) => chapters.find((text) => text.startsWith(`${heading}\n`))!;
    expect(chapters.map((text) => text.split("\n")[0])).toEqual([
      "NAME",
      "SYNOPSIS",
      "DESCRIPTION",
      "COMMANDS",
      "EXIT STATUS",
      "ENVIRONMENT",
      "FILES",
      "EXAMPLES",
      "SEE ALSO",
    ]);
    const [, ...commands] = chapter("COMMANDS").split(/^ {3}(?=\S)/m);
    const described = commands.map((text) => [
      text.split("\n")[0]!,
      [...text.matchAll(/^ {7}(?:-[a-z], )?(--[a-z-]+)/gm)].map((match) => match[1]!).sort(),
    ]);
    expect(described).toEqual(COMMANDS.map(({ name }) => [name, DECLARED[name]!]));
    for (const { name, examples } of COMMANDS) {
      expect(chapter("SYNOPSIS")).toContain(`orchesjob ${name}`);
      // As one types it: with the keyboard's quotes and hyphens.
      for (const example of examples) expect(chapter("EXAMPLES")).toContain(example);
    }
    for (const [option, values] of Object.entries(CHOICES)) {
      const [name] = option.split(" ");
      const text = commands.find((each) => each.startsWith(`${name}\n`))!.replace(/\s+/g, " ");
      for (const value of values) expect(text).toContain(value);
    }
  });

  testWith(["mandoc"], "has no error for mandoc", async () => {
    await using box = new Sandbox();
    await writePage(box);
    expect(await box.execute(["mandoc", "-Tlint", "-Werror", page(box)])).toMatchObject({
      stdout: "",
      code: 0,
    });
  });

  test("is the same every time, and whatever the time", async () => {
    await using box = new Sandbox();
    const once = await writePage(box);
    expect(await writePage(box)).toBe(once);
    expect(once).not.toMatch(/20\d\d-\d\d-\d\d"|November|\/tmp/);
    expect(once).toMatch(/^\.TH ORCHESJOB 1 "" "orchesjob \d+\.\d+\.\d+"/);
  });
});
