/** Commands that show devices, send to them, and drop queued messages. */
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { print, tell } from "./print.ts";
import { CommandError, REACH } from "./reach.ts";
import type { DeviceView } from "../device_view.ts";

/** What `clear` and `forget` have dropped. */
interface Dropped {
  readonly device: string;
  readonly inbox: number;
  readonly outbox: number;
}

const COLUMNS = ["id", "link", "since", "connects", "inbox", "outbox", "dead letters", "app"];

/** A device's path in the API. */
export function pathOf(id: string, ...rest: readonly (string | number)[]): string {
  return ["/api/devices", encodeURIComponent(id), ...rest].join("/");
}

export const devicesCommand = command({
  name: "devices",
  usage: ["[ID]"],
  summary: "Shows the devices that a server knows, or one",
  options: REACH,
  async run(words, values, reach) {
    const [id] = words;
    const views = await reach.ask(
      "devices",
      values,
      async (api) =>
        id === undefined
          ? await api.get<DeviceView[]>("/api/devices")
          : [await api.get<DeviceView>(pathOf(id))],
    );
    if (values.json) return views.forEach((view) => print(JSON.stringify(view)));
    if (views.length === 0) return;
    const isFleet = views.some(({ server }) => server !== undefined);
    const columns = isFleet ? [...COLUMNS, "server"] : COLUMNS;
    table([columns, ...views.map((view) => [...cells(view), ...isFleet ? [serverOf(view)] : []])]);
  },
});

function cells(view: DeviceView): string[] {
  const { id, connected, asleepUntil, since, connects, inbox, outbox, deadLetters, app } = view;
  return [
    JSON.stringify(id).slice(1, -1),
    connected ? "up" : asleepUntil === undefined ? "down" : "asleep",
    since.replace(/\.\d+Z$/, "Z"),
    ...[connects, inbox, outbox, deadLetters].map(String),
    app,
  ];
}

function serverOf({ server = "-" }: DeviceView): string {
  return JSON.stringify(server).slice(1, -1);
}

/** Prints rows with aligned columns. */
export function table(lines: readonly (readonly string[])[]): void {
  const widths = lines[0]!.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  for (const line of lines) {
    print(line.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd());
  }
}

export const sendCommand = command({
  name: "send",
  usage: ["ID LINE"],
  summary: "Sends a line to a device, now or when it connects",
  about:
    `Without --wait the command ends when the line is safe on the server. Exit codes: 0 the line is safe, or was sent; 3
it has no qos, and there is no link; 4 it was not delivered in time, and never will be; 5 it is not known whether it was.`,
  options: {
    ...REACH,
    wait: { type: "boolean", help: "waits until the device has acknowledged it" },
    expires: {
      type: "string",
      takes: "MS",
      help: "time for the delivery; after it the line is withdrawn, or its outcome is unknown",
    },
    "no-qos": { type: "boolean", help: "sends at once or never, without an ack" },
  },
  takesNumbers: true,
  async run(words, { wait, expires, "no-qos": noQos, ...values }, reach) {
    const [id, line] = words as [string, string];
    if (expires !== undefined && !/^\d+$/.test(expires)) {
      throw badArgument("send", `--expires takes ms, not ${JSON.stringify(expires)}`);
    }
    const body = {
      line: line.replace(/^ (?=-\d)/, ""),
      ...(noQos && { qos: false }),
      ...(wait && { wait }),
      ...(expires !== undefined && { expires: Number(expires) }),
    };
    const answer = await reach.ask(
      "send",
      values,
      (api) => api.post<{ device: string; outcome: string }>(pathOf(id, "send"), body),
      wait || noQos,
    );
    if (answer.outcome === "not_sent") {
      throw new CommandError(
        "NOT_SENT",
        `${JSON.stringify(id)} has no link: without qos it is never sent`,
      );
    }
    tell(values.json, answer, answer.outcome);
  },
});

const CUT = "If the device is connected, it is disconnected first, and comes back at once.";

const FAILING = "While the store fails, the command waits until it works again.";

export const clearCommand = command({
  name: "clear",
  usage: ["ID"],
  summary:
    "Drops queued messages: those from a device that are not processed, and those to it that it has not acknowledged",
  about:
    `Both ends continue after them. ${CUT} A message that the application is consuming is finished first. ${FAILING}`,
  options: REACH,
  async run(words, values, reach) {
    const [id] = words as [string];
    const dropped = await reach.ask(
      "clear",
      values,
      (api) => api.post<Dropped>(pathOf(id, "clear")),
    );
    tell(values.json, dropped, `cleared ${told(dropped)}`);
  },
});

export const forgetCommand = command({
  name: "forget",
  usage: ["ID"],
  summary: "Forgets a device: its queued messages, dead letters, positions and channels",
  about:
    `${CUT} If it connects again it is a new device: its application starts again, and what it has not sent yet still arrives.
\`keys remove ID\` keeps out a device that has a key. ${FAILING}`,
  options: REACH,
  async run(words, values, reach) {
    const [id] = words as [string];
    const dropped = await reach.ask("forget", values, (api) => api.delete<Dropped>(pathOf(id)));
    tell(values.json, dropped, `forgot ${told(dropped)}`);
  },
});

function told({ device, inbox, outbox }: Dropped): string {
  return `${device}: ${inbox} messages from it and ${outbox} to it dropped`;
}
