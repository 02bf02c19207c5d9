/** All commands but `serve`, which is the server itself. */
import { storeCommand } from "./copy_command.ts";
import { connectCommand, disconnectCommand, linksCommand } from "./link_commands.ts";
import { requestCommand, setCommand, stateCommand } from "./channel_commands.ts";
import type { Command } from "./command.ts";
import { completionsCommand } from "./completions.ts";
import { appsCommand, deployCommand } from "./deploy_command.ts";
import { clearCommand, devicesCommand, forgetCommand, sendCommand } from "./device_commands.ts";
import { keysCommand } from "./keys_command.ts";
import { row } from "./option.ts";
import { OPTIONS } from "./serve_options.ts";
import { backupCommand, deadLettersCommand } from "./store_commands.ts";
import { tailCommand } from "./tail_command.ts";
import { topCommand } from "./top_command.ts";
import { webCommand } from "./web_command.ts";

export const COMMANDS: readonly Command[] = [
  devicesCommand,
  topCommand,
  tailCommand,
  appsCommand,
  deployCommand,
  sendCommand,
  stateCommand,
  setCommand,
  requestCommand,
  clearCommand,
  forgetCommand,
  deadLettersCommand,
  connectCommand,
  disconnectCommand,
  linksCommand,
  keysCommand,
  webCommand,
  backupCommand,
  storeCommand,
  completionsCommand(() => [SERVE, ...COMMANDS]),
];

const SERVE = {
  name: "serve",
  summary: "Starts a server; options without a command are this command's",
  options: OPTIONS,
};

/** The text of `holdfast --help`. */
export const OVERVIEW = `Holdfast keeps a link to every device, through outages.

Usage: holdfast COMMAND …; holdfast COMMAND --help prints more

${row(SERVE.name, SERVE.summary)}
${COMMANDS.map(({ name, summary }) => row(name, summary)).join("\n")}

Commands find the server by --store FILE, --control PATH or --url URL. Exit codes: 0 done, 1 failed, 2 wrong arguments,
3 the device refuses, 4 it was not done in time, and never will be, 5 it is not known whether it was done, 6 no server
can be reached, or it refuses access.`;
