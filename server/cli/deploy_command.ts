/** Commands that show what devices run, and give them another application. */
import { basename } from "node:path";
import { printable } from "../observe/log.ts";
import { isAppName, isAppVersion } from "../protocol/firmware_lines.ts";
import { checkModule, LONGEST_MODULE } from "../protocol/module.ts";
import type { AppView, DeployView } from "../web/app_view.ts";
import type { DeviceView } from "../web/fleet.ts";
import type { LogEvent } from "../web/log_routes.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { appName, barOf, lineOf, matching } from "./deploy_view.ts";
import { pathOf, table } from "./device_commands.ts";
import { print, tell } from "./print.ts";
import { type Api, CommandError, REACH } from "./reach.ts";

const COLUMNS = ["id", "link", "runs", "deployed", "phase", "since"];

export const appsCommand = command({
  name: "apps",
  usage: ["[ID|PATTERN]"],
  summary: "Shows what each device runs, and what was deployed to it last",
  options: REACH,
  async run(words, values, reach) {
    const all = await reach.ask("apps", values, (api) => api.get<AppView[]>("/api/apps"));
    const views = words.length === 0 ? all : chosen("apps", words[0]!, all);
    if (values.json) return views.forEach((view) => print(JSON.stringify(view)));
    if (views.length > 0) table([COLUMNS, ...views.map(cells)]);
  },
});

function cells({ device, connected, runs, deploy }: AppView): string[] {
  return [
    JSON.stringify(device).slice(1, -1),
    connected ? "up" : "down",
    runs ? appName(runs) : "-",
    ...deploy
      ? [
        appName(deploy),
        [deploy.phase, deploy.reason, deploy.detail].filter(Boolean).join(" "),
        deploy.since.replace(/\.\d+Z$/, "Z"),
      ]
      : ["-", "-", "-"],
  ];
}

/** @throws {CommandError} UNKNOWN_DEVICE */
function chosen(command: string, pattern: string, views: readonly AppView[]): AppView[] {
  const ids = new Set(matching(pattern, views.map(({ device }) => device)));
  if (ids.size > 0) return views.filter(({ device }) => ids.has(device));
  throw new CommandError(
    "UNKNOWN_DEVICE",
    `${command}: no device that the server knows is called ${JSON.stringify(pattern)}`,
  );
}

export const deployCommand = command({
  name: "deploy",
  usage: ["ID|PATTERN FILE.wasm"],
  summary: "Gives devices another application over the link",
  about:
    `PATTERN has * for any characters, ? for one, and wants quotes. Devices that have a link get it in steps, and when one
of them refuses it or falls back the next step is not begun. To the others it goes when they come, after the last step: the
command does not wait for them. What was begun goes on when the command is stopped; the same command again begins what was
not. Exit codes: 3 a device does not take it, has fallen back, or knows nothing of deploys.`,
  options: {
    ...REACH,
    name: {
      type: "string",
      takes: "NAME",
      help: "of the application: letters, digits, _, - and . (the file's)",
    },
    version: {
      type: "string",
      takes: "N",
      help: "of the application: devices refuse a lower one than they run (the time now, in s)",
    },
    older: { type: "boolean", help: "also where its version is lower" },
    again: { type: "boolean", help: "also where the same bytes fell back before" },
    step: { type: "string", takes: "N", help: "devices at once (1)" },
    watch: { type: "boolean", help: "shows how far it is" },
  },
  async run(words, { name, version, older, again, step = "1", watch, ...values }, reach) {
    const [pattern, file] = words as [string, string];
    if (!/^[1-9]\d{0,4}$/.test(step)) {
      throw badArgument("deploy", "--step takes a number from 1 on");
    }
    const wasm = await read(file);
    const body = {
      wasm: wasm.toBase64(),
      name: toName(name ?? basename(file, ".wasm").replace(/[^\w.-]/g, "_").slice(0, 32)),
      version: toVersion(version ?? String(Math.floor(Date.now() / 1000))),
      ...(older && { older }),
      ...(again && { again }),
    };
    await reach.ask("deploy", values, async (api) => {
      const views = chosen("deploy", pattern, await api.get<AppView[]>("/api/apps"));
      const how = { json: values.json, watch };
      await new Rollout(api, body, how).run(views, Number(step));
    });
  },
});

async function read(file: string): Promise<Uint8Array<ArrayBuffer>> {
  let wasm;
  try {
    wasm = await Deno.readFile(file);
  } catch (error) {
    throw badArgument("deploy", `${file} cannot be read: ${(error as Error).message}`);
  }
  checkModule(wasm, LONGEST_MODULE);
  return wasm;
}

function toName(name: string): string {
  if (isAppName(name)) return name;
  throw badArgument("deploy", `--name takes 1 to 32 letters, digits, _, - and ., not ${name}`);
}

function toVersion(text: string): number {
  const version = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (isAppVersion(version)) return version;
  throw badArgument("deploy", `--version takes 0 to 4294967295, not ${text}`);
}

/** One deploy to several devices. */
class Rollout {
  readonly #api: Api;
  readonly #body: Readonly<Record<string, unknown>>;
  readonly #json: boolean;
  readonly #watch: boolean;
  readonly #bars: Bars | undefined;
  #step: ReadonlySet<string> = new Set();

  constructor(
    api: Api,
    body: Readonly<Record<string, unknown>>,
    { json, watch }: { json: boolean; watch: boolean },
  ) {
    this.#api = api;
    this.#body = body;
    this.#json = json;
    this.#watch = watch;
    this.#bars = watch && !json && Deno.stdout.isTerminal() ? new Bars() : undefined;
  }

  /** @throws {CommandError} of the first device that does not take it */
  async run(views: readonly AppView[], size: number): Promise<void> {
    const ids = (connected: boolean) =>
      views.filter((view) => view.connected === connected).map(({ device }) => device);
    const here = ids(true);
    if (this.#watch) this.#follow(here).catch(() => {}); // whoever waits for the devices is told why
    for (let at = 0; at < here.length; at += size) {
      const step = here.slice(at, at + size);
      const [failure] = await this.#take(step);
      if (!failure) continue;
      const left = views.length - at - step.length;
      const rest = left === 0 ? "" : `; ${left} more were not begun`;
      throw new CommandError(failure.code, `${failure.message}${rest}`);
    }
    for (const id of ids(false)) {
      const { deploy } = await this.#api.post<AppView>(pathOf(id, "deploy"), this.#body);
      tell(this.#json, { device: id, deploy }, lineOf(id, deploy!));
    }
  }

  /** Does one step. @returns what has gone wrong with devices */
  async #take(ids: readonly string[]): Promise<CommandError[]> {
    this.#step = new Set(ids);
    this.#bars?.begin(ids);
    const ends = await Promise.allSettled(ids.map((id) => this.#one(id)));
    this.#step = new Set();
    const reasons = ends.flatMap((end) => end.status === "rejected" ? [end.reason] : []);
    const other = reasons.find((reason) => !(reason instanceof CommandError));
    if (other) throw other;
    return reasons;
  }

  async #one(id: string): Promise<void> {
    const body = { ...this.#body, wait: true };
    const { deploy } = await this.#api.post<AppView>(pathOf(id, "deploy"), body);
    if (this.#bars) this.#bars.show(id, deploy!);
    else tell(this.#json, { device: id, deploy }, lineOf(id, deploy!));
  }

  /** Shows how far it is, until the process ends. */
  async #follow(ids: readonly string[]): Promise<void> {
    const query = new URLSearchParams([
      ...ids.map((id) => ["device", id]),
      ...["deploy", "deploying"].map((event) => ["event", event]),
    ]);
    for await (const event of this.#api.stream<LogEvent>(`/api/log?${query}`)) {
      const id = "device" in event ? event.device : undefined;
      if (id === undefined || !this.#step.has(id)) continue;
      const { deploy } = await this.#api.get<DeviceView>(pathOf(id));
      if (!deploy || !this.#step.has(id)) continue;
      if (this.#bars) this.#bars.show(id, deploy);
      else if (deploy.phase !== "kept") {
        tell(this.#json, { device: id, deploy }, barOf(id, deploy, id.length));
      }
    }
  }
}

/** A bar for each device of a step, drawn over the last picture of them. */
class Bars {
  #bars = new Map<string, string>();
  #width = 0;
  #drawn = 0;

  /** The next step: what is there stays. */
  begin(ids: readonly string[]): void {
    this.#bars = new Map();
    this.#width = Math.max(...ids.map((id) => id.length));
    this.#drawn = 0;
  }

  show(id: string, deploy: DeployView): void {
    this.#bars.set(id, printable(barOf(id, deploy, this.#width)));
    const lines = Array.from(this.#bars.values(), (bar) => `${bar}\x1b[K\r\n`);
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : "";
    this.#drawn = lines.length;
    Deno.stdout.writeSync(new TextEncoder().encode(up + lines.join("")));
  }
}
