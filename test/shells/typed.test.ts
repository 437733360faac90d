/**
 * Completion typed in real shells, on a terminal: which words the command gets, and that completion executes nothing.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { InteractiveShell, type ShellName, TAB } from "../support/interactive-shell.ts";
import { BASH_COMPLETION, testWith } from "../support/needs.ts";
import { BINARY, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const SHELLS: readonly ShellName[] = ["bash", "zsh", "fish"];

type Line = readonly [keys: string, words: readonly string[]];

/** What is typed, and the words that the command gets. */
const TYPED: readonly Line[] = [
  [`stat${TAB}`, ["status"]],
  [`abort --gra${TAB} 5`, ["abort", "--grace-seconds", "5"]],
  [`status --al${TAB}`, ["status", "--all"]],
  [`logs --stream std${TAB}out`, ["logs", "--stream", "stdout"]],
  [`logs --stream=stde${TAB}`, ["logs", "--stream=stderr"]],
  [`start --if-failed ret${TAB}`, ["start", "--if-failed", "return"]],
  [`completion zs${TAB}`, ["completion", "zsh"]],
  [`fleet sta${TAB}`, ["fleet", "status"]],
  // The options of fleet may stand before its word and after it.
  [`fleet --format tab${TAB}sta${TAB}`, ["fleet", "--format", "table", "status"]],
  [`fleet status --form${TAB} tab${TAB}`, ["fleet", "status", "--format", "table"]],
  [`fleet forget web-3 --rea${TAB} burned`, ["fleet", "forget", "web-3", "--reason", "burned"]],
  [`fleet forget sta${TAB}`, ["fleet", "forget", "sta"]],
  // Short options: some take a value, some do not, and the value may stand in the same word.
  [`start -k k ech${TAB}`, ["start", "-k", "k", "echo"]],
  [`run -k k -- ech${TAB}`, ["run", "-k", "k", "--", "echo"]],
  [`run -kk ech${TAB}`, ["run", "-kk", "echo"]],
  [`logs -f --stream std${TAB}out`, ["logs", "-f", "--stream", "stdout"]],
  [`logs -n 20 --stream stde${TAB}`, ["logs", "-n", "20", "--stream", "stderr"]],
  // The options end here: a command with its own words follows.
  [`start --run-key k -- ech${TAB}`, ["start", "--run-key", "k", "--", "echo"]],
  [`run --run-key k slee${TAB} 5`, ["run", "--run-key", "k", "sleep", "5"]],
  [`run --run-key=k cat notes.t${TAB}`, ["run", "--run-key=k", "cat", "notes.txt"]],
  [`run --run-key k -- --request-i${TAB}`, ["run", "--run-key", "k", "--", "--request-i"]],
  [`run --run-key k --sync echo --strea${TAB}`, ["run", "--run-key", "k", "--sync", "echo", "--strea"]],
];

async function expectWords(shell: InteractiveShell, lines: readonly Line[]): Promise<void> {
  const shown: Line[] = [];
  for (const [keys] of lines) shown.push([keys, await shell.show(keys)]);
  expect(shown).toEqual([...lines]);
}

for (const name of SHELLS) {
  testWith([name], `${name} completes commands, options, values, and the command after them`, async () => {
    await using box = new Sandbox();
    await Bun.write(join(box.directory, "notes.txt"), "");
    await using shell = await InteractiveShell.open(box, name);
    await expectWords(shell, TYPED);
    // A directory may end in a slash or not.
    const [, , directory] = await shell.show(`start --cwd ${box.directory.slice(0, -3)}${TAB}`);
    expect(directory!.replace(/\/$/, "")).toBe(box.directory);
    // Completion makes no state directory.
    expect(existsSync(box.home)).toBe(false);
  });

  testWith(
    [name],
    `${name} completes run keys as they are, whatever they contain, and executes nothing`,
    async () => {
      await using box = new Sandbox();
      const keys = {
        wee: "weekly report",
        it: "it's $(touch pwned) `touch pwned`",
        say: 'say "hi" & touch pwned; touch pwned #x > pwned',
        a: "a:b=c:d",
        "a:": "a:b=c:d",
        日: "日本 語",
        back: "back\\slash* ${HOME} ~ ?[a]",
        bang: "bang!! !touch",
        "-d": "-dash",
        "~": "~root",
      };
      for (const key of new Set(Object.values(keys)))
        await box.json(["start", `--run-key=${key}`, "--sync", "true"]);
      const { job_id: jobId } = await box.json(["status", "--run-key", "weekly report"]);
      const before = readdirSync(box.directory);
      await using shell = await InteractiveShell.open(box, name);
      const lines = Object.entries(keys).flatMap(([typed, key]): Line[] => {
        // At the beginning of a word, - and ~ mean something else.
        const plain = /^[a-z日]/.test(typed);
        const quotable = typed !== "-d";
        return [
          ...(plain ? [[`status --run-key ${typed}${TAB}`, ["status", "--run-key", key]] as const] : []),
          // As a word, one that begins with - would be an option.
          ...(plain ? [[`cancel ${typed}${TAB}`, ["cancel", key]] as const] : []),
          ...(quotable ? [[`result '${typed}${TAB}`, ["result", key]] as const] : []),
          ...(typed === "~"
            ? []
            : [[`wait --run-key=${typed}${TAB}`, ["wait", `--run-key=${key}`]] as const]),
          ...(quotable ? [[`logs --run-key '${typed}${TAB}`, ["logs", "--run-key", key]] as const] : []),
          // In bash, a ! cannot be written inside these quotes.
          ...(quotable && !key.includes("!")
            ? [[`logs --run-key "${typed}${TAB}`, ["logs", "--run-key", key]] as const]
            : []),
        ];
      });
      await expectWords(shell, [
        ...lines,
        [`status -k wee${TAB}`, ["status", "-k", "weekly report"]],
        [`logs -f -k 'it${TAB}`, ["logs", "-f", "-k", keys.it]],
        [`start -k say${TAB}`, ["start", "-k", keys.say]],
        [`status -kwee${TAB}`, ["status", "-kweekly report"]],
        [`logs -f wee${TAB}--tail 3`, ["logs", "-f", "weekly report", "--tail", "3"]],
        [`wait x --any wee${TAB}'it${TAB}`, ["wait", "x", "--any", "weekly report", keys.it]],
        [`status x wee${TAB}`, ["status", "x", "wee"]],
        [`attach weekly\\ r${TAB}`, ["attach", "weekly report"]],
        [`unlock "it's \\$(t${TAB}`, ["unlock", keys.it]],
        [`status --run-key weekly\\ r${TAB}`, ["status", "--run-key", "weekly report"]],
        [`status --run-key it\\'s\\ \\$\\(t${TAB}`, ["status", "--run-key", keys.it]],
        [`status --run-key "it's \\$(t${TAB}`, ["status", "--run-key", keys.it]],
        [`status --run-key 'say "hi" & touch${TAB}`, ["status", "--run-key", keys.say]],
        [`status --job-id ${jobId.slice(0, -1)}${TAB}`, ["status", "--job-id", jobId]],
      ]);
      expect(readdirSync(box.directory).filter((file) => !/^(shown|lines|\.)/.test(file))).toEqual(before);
    },
  );
}

for (const name of SHELLS) {
  testWith([name], `${name} completes labels, attempts, fields and statuses`, async () => {
    await using box = new Sandbox();
    await box.json(["start", "-k", "once", "--sync", "--label", "team=a b", "--", "true"]);
    await using shell = await InteractiveShell.open(box, name);
    await expectWords(shell, [
      [`list --label te${TAB}`, ["list", "--label", "team=a b"]],
      [`list --label=te${TAB}`, ["list", "--label=team=a b"]],
      [`start -k x --label te${TAB}true`, ["start", "-k", "x", "--label", "team=a b", "true"]],
      [`metrics --label te${TAB}`, ["metrics", "--label", "team"]],
      [`status once#${TAB}`, ["status", "once#1"]],
      [`wait x once#${TAB}--any`, ["wait", "x", "once#1", "--any"]],
      [`list --status FA${TAB}`, ["list", "--status", "FAILED"]],
      [`ps --fields sta${TAB}`, ["ps", "--fields", "sta"]],
      [`list --fields run_key,cpu${TAB}`, ["list", "--fields", "run_key,cpu_seconds"]],
      // No blank gets in the way of the next name.
      ...(name === "fish"
        ? []
        : [[`list --fields cpu${TAB},too${TAB}`, ["list", "--fields", "cpu_seconds,took"]] as const]),
    ]);
  });
}

testWith(["bash", "bash-completion"], "bash uses the command's own completion if it has one", async () => {
  await using box = new Sandbox();
  await using shell = await InteractiveShell.open(box, "bash", [`source ${BASH_COMPLETION}`]);
  await expectWords(shell, [
    [`run --run-key a:b=c -- cat --show-al${TAB}`, ["run", "--run-key", "a:b=c", "--", "cat", "--show-all"]],
    [`start --run-key "a b" ech${TAB}`, ["start", "--run-key", "a b", "echo"]],
  ]);
});

testWith(["zsh"], "zsh shows status and age of a run key", async () => {
  await using box = new Sandbox();
  for (const key of ["nightly-a", "nightly-b"])
    await box.json(["start", "--run-key", key, "--sync", "false"]);
  await using shell = await InteractiveShell.open(box, "zsh");
  // The first Tab completes what the keys share, the second lists them.
  await shell.show(`status nig${TAB}${TAB}`);
  expect(Bun.stripANSI(shell.screen)).toMatch(/nightly-b +FAILED, started \d+s ago/);
});

testWith(
  ["bash", "fish"],
  "bash and fish offer run keys as words, but none that begins with -; fish with status and age",
  async () => {
    await using box = new Sandbox();
    for (const key of ["-dash", "plain"]) await box.json(["start", `--run-key=${key}`, "--sync", "true"]);
    const env = { PATH: `${dirname(BINARY)}:${process.env["PATH"]}`, LC_ALL: "C.UTF-8" };
    const ask = async (shell: readonly string[], script: string) => {
      const { stdout, stderr } = await box.execute([...shell, "-c", script], { env });
      expect(stderr).toBe("");
      return stdout;
    };
    const bash = `set -u; source <(orchesjob completion bash); COMP_LINE='orchesjob status ' COMP_POINT=17
    _orchesjob; printf '%s\\n' "\${COMPREPLY[@]}"`;
    expect(await ask(["bash", "--norc", "--noprofile"], bash)).toBe("plain\n");
    const fish = "orchesjob completion fish | source; complete -C 'orchesjob status '";
    expect(await ask(["fish", "--no-config"], fish)).toMatch(/^plain\tSUCCEEDED, started \d+s ago\n$/);
  },
);
