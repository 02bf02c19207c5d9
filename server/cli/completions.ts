/** Shell completions, made from the table of commands. */
import { type Command, command, firstWords } from "./command.ts";
import type { Option } from "./option.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** The parts of a command that are completed. */
type Completed = Pick<Command, "name" | "summary" | "options"> & Partial<Pick<Command, "usage">>;

/** @param all Returns all commands; it is called when this one runs, so that this one is among them. */
export function completionsCommand(all: () => readonly Completed[]): Command {
  return command({
    name: "completions",
    usage: SHELLS,
    summary: "Prints what a shell needs to complete these commands",
    about:
      `bash: eval "$(holdfast completions bash)" in ~/.bashrc. zsh: holdfast completions zsh > ~/.zfunc/_holdfast, where
fpath has ~/.zfunc. fish: holdfast completions fish > ~/.config/fish/completions/holdfast.fish.`,
    options: {},
    run([shell]) {
      console.log(SCRIPTS[shell as typeof SHELLS[number]](all()));
      return Promise.resolve();
    },
  });
}

const SCRIPTS: Readonly<Record<typeof SHELLS[number], (all: readonly Completed[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** Most characters of an option's description in a list. */
const MOST_TEXT = 70;

const HELP: [string, Option] = ["help", { type: "boolean", help: "prints the command's help" }];

function optionsOf({ options }: Completed): [string, Option][] {
  return [...Object.entries(options).filter(([name]) => name !== HELP[0]), HELP];
}

/** An option's help, shortened for a list. */
function brief({ help }: Option): string {
  const [first] = help.replace(/^several times: /, "").split(/[;.:] | \(/);
  return first!.length <= MOST_TEXT ? first! : `${first!.slice(0, MOST_TEXT - 1)}…`;
}

function takesFile({ complete }: Option): boolean {
  return complete === "file";
}

/** The values that an option takes; empty if they are not known. */
function choices({ complete }: Option): readonly string[] {
  return complete === undefined || complete === "file" ? [] : complete;
}

function bashScript(all: readonly Completed[]): string {
  const cases = all.map((one) => {
    const { name, usage = [] } = one;
    const options = optionsOf(one);
    const values = options.filter(([, { type }]) => type === "string").map(([option, it]) => {
      const offered = takesFile(it) ? "-f" : `-W ${quote(choices(it).join(" "))}`;
      return `        --${option}) COMPREPLY=($(compgen ${offered} -- "$now")); return ;;`;
    });
    return [
      `    ${name})`,
      '      case "$before" in',
      ...values,
      "      esac",
      `      words=${quote(firstWords(usage).join(" "))}`,
      `      options=${quote(options.map(([option]) => `--${option}`).join(" "))} ;;`,
    ].join("\n");
  });
  return `# holdfast: completions for bash
_holdfast() {
  local now="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words="" options=""
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W ${quote(all.map(({ name }) => name).join(" "))} -- "$now"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  if [[ "$now" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$now"))
  elif ((COMP_CWORD == 2)); then
    COMPREPLY=($(compgen -W "$words" -- "$now"))
  fi
}
complete -o default -F _holdfast holdfast`;
}

function zshScript(all: readonly Completed[]): string {
  const cases = all.map((one) => {
    const specs = optionsOf(one).map(([option, it]) => {
      const value = it.type === "boolean"
        ? ""
        : `:${it.takes ?? "value"}:${takesFile(it) ? "_files" : `(${choices(it).join(" ")})`}`;
      const many = it.multiple ? "*" : "";
      return quote(
        `${many}--${option}[${brief(it).replace(/[[\]\\]/g, "\\$&")}]${value}`,
      );
    });
    const first = firstWords(one.usage ?? []);
    const words = first.length > 0 ? `1:what:(${first.join(" ")})` : "*: :_files";
    return `    ${one.name}) _arguments ${[...specs, quote(words)].join(" \\\n      ")} ;;`;
  });
  const names = all.map(({ name, summary }) => quote(`${name}:${summary}`));
  return `#compdef holdfast
# holdfast: completions for zsh
_holdfast() {
  local -a commands=(
    ${names.join("\n    ")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi`;
}

function fishScript(all: readonly Completed[]): string {
  const lines = all.flatMap((one) => {
    const { name, summary, usage = [] } = one;
    const words = firstWords(usage);
    const of = `complete -c holdfast -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c holdfast -f -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
      ...words.length > 0 ? [`${of} -f -a ${quote(words.join(" "))}`] : [],
      ...optionsOf(one).map(([option, it]) => {
        const value = it.type === "boolean"
          ? "-f"
          : takesFile(it)
          ? "-r -F"
          : `-x${choices(it).length > 0 ? ` -a ${quote(choices(it).join(" "))}` : ""}`;
        return `${of} -l ${option} ${value} -d ${quote(brief(it))}`;
      }),
    ];
  });
  return ["# holdfast: completions for fish", ...lines].join("\n");
}

/** Quotes a text for any of these shells. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
