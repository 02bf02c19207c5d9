/** All commands but `serve`, which is the server itself. */
import { connectCommand, disconnectCommand, linksCommand } from "./link_commands.ts";
import { requestCommand, setCommand, stateCommand } from "./channel_commands.ts";
import { type Command, row } from "./command.ts";
import { clearCommand, devicesCommand, forgetCommand, sendCommand } from "./device_commands.ts";
import { keysCommand } from "./keys_command.ts";
import { backupCommand, deadLettersCommand } from "./store_commands.ts";
import { tailCommand } from "./tail_command.ts";

export const COMMANDS: readonly Command[] = [
  devicesCommand,
  tailCommand,
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
  backupCommand,
];

/** What `holdfast --help` says. */
export const OVERVIEW = `Holdfast keeps a link to every device, through outages.

Usage: holdfast COMMAND …; holdfast COMMAND --help tells more

${row("serve", "Starts a server; without a command, options are its")}
${COMMANDS.map(({ name, summary }) => row(name, summary)).join("\n")}

Commands find the server by --store FILE, --control PATH or --url URL. Exit codes: 0 done, 1 failed, 2 wrong arguments,
3 the device refuses, 4 it was not done in time, and never will be, 5 nobody can say whether it was, 6 there is no server
to ask, or it does not let us.`;
