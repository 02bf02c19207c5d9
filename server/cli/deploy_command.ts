/** Commands that show what devices run, and deploy applications to them. */
import { basename } from "node:path";
import { printable } from "../observe/log.ts";
import { isAppName, isAppVersion } from "../protocol/firmware_lines.ts";
import { checkModule, LONGEST_MODULE } from "../protocol/module.ts";
import { whyNot } from "../firmware/deploy_words.ts";
import { matching } from "../firmware/group.ts";
import type { DeployView, DeviceView } from "../device_view.ts";
import type { AppView, RolloutView } from "../web/app_view.ts";
import type { LogEvent } from "../web/log_routes.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { appName, barOf, lineOf } from "./deploy_view.ts";
import { pathOf, table } from "./device_commands.ts";
import { print, tell } from "./print.ts";
import { type Api, CommandError, isServerGone, REACH } from "./reach.ts";

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

/** Phases in which a deploy has failed, and the error codes. */
const FAILURES: Readonly<Record<string, string>> = {
  refused: "DEPLOY_REFUSED",
  fell_back: "FELL_BACK",
  unsupported: "UNSUPPORTED",
};

/** Phases that are final for a device with a link. */
const ENDS: readonly string[] = ["kept", "given_up", "stopped", ...Object.keys(FAILURES)];

export const deployCommand = command({
  name: "deploy",
  usage: ["ID|PATTERN FILE.wasm", "ID|PATTERN"],
  summary: "Gives devices another application over the link",
  about:
    `In PATTERN * stands for any characters and ? for one; put it in quotes. In a group --step devices get the application at
once, in the order of their ids, and those without a link when they connect: the command does not wait for them. As soon as
one refuses it or falls back, no further one is begun. The server keeps the rollout: it continues when the command is stopped,
and after a restart of the server; the same command shows it again, and begins it again where it was stopped. Exit codes: 3 a
device refuses it, has fallen back, or does not support deploys.`,
  options: {
    ...REACH,
    name: {
      type: "string",
      takes: "NAME",
      help: "name of the application: letters, digits, _, - and . (the file's)",
    },
    version: {
      type: "string",
      takes: "N",
      help:
        "version of the application; devices refuse a lower one than they run (the time now, in s)",
    },
    older: { type: "boolean", help: "deploys it even if its version is lower" },
    again: { type: "boolean", help: "deploys it even if the same bytes fell back before" },
    step: { type: "string", takes: "N", help: "devices at once (1)" },
    watch: { type: "boolean", help: "shows the progress" },
    "give-up": { type: "boolean", help: "instead of a file: cancels deploys that are not decided" },
  },
  async run(words, { name, version, older, again, step = "1", watch, ...values }, reach) {
    const [pattern, file] = words as [string, string?];
    const { "give-up": givesUp } = values;
    if ((file === undefined) !== givesUp) {
      throw badArgument("deploy", "deploy takes ID|PATTERN FILE.wasm or ID|PATTERN --give-up");
    }
    if (file === undefined) {
      return await reach.ask("deploy", values, (api) => giveUp(api, pattern, values.json));
    }
    if (!/^([1-9]\d{0,2}|1000)$/.test(step)) {
      throw badArgument("deploy", `--step takes a number from 1 to 1000, not ${step}`);
    }
    const wasm = await read(file);
    const body = {
      wasm: wasm.toBase64(),
      name: toName(name ?? basename(file, ".wasm").replace(/[^\w.-]/g, "_").slice(0, 32)),
      version: toVersion(version ?? String(Math.floor(Date.now() / 1000))),
      ...(older && { older }),
      ...(again && { again }),
      ...{ devices: pattern, step: Number(step) },
    };
    await reach.ask("deploy", values, async (api) => {
      const following = new Following(api, { json: values.json, watch });
      await following.run(() => api.post<RolloutView>("/api/rollouts", body));
    });
  },
});

/** Devices that wait for their turn come first: giving up another one would start them. */
async function giveUp(api: Api, pattern: string, json: boolean): Promise<void> {
  const views = chosen("deploy", pattern, await api.get<AppView[]>("/api/apps"));
  const left = views.filter(({ deploy }) => deploy && !ENDS.includes(deploy.phase));
  const [queued, others] = [true, false].map((is) =>
    left.filter(({ deploy }) => (deploy!.phase === "queued") === is)
  );
  for (const { device } of [...queued!, ...others!]) {
    const { deploy } = await api.delete<AppView>(pathOf(device, "deploy"));
    tell(json, { device, deploy }, lineOf(device, deploy!));
  }
}

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

/** Events that a progress view needs: how far a deploy is, and whether devices are connected. The last ones come from
 * other servers' devices. */
const TOLD = [
  ...["deploy", "deploying", "connected", "disconnected", "asleep", "forgotten"],
  ...["seen", "elsewhere", "moved"],
];

/** Shows the progress of a group until it is decided for all devices that have a link. */
class Following {
  readonly #api: Api;
  readonly #json: boolean;
  readonly #watch: boolean;
  readonly #bars: Bars | undefined;
  readonly #devices = new Map<string, AppView>();
  readonly #told = new Set<string>();
  #id: number | undefined;

  constructor(api: Api, { json, watch }: { json: boolean; watch: boolean }) {
    this.#api = api;
    this.#json = json;
    this.#watch = watch;
    this.#bars = watch && !json && Deno.stdout.isTerminal() ? new Bars() : undefined;
  }

  /** @param begin Starts the deploy. @throws {CommandError} a device refuses it */
  async run(begin: () => Promise<RolloutView>): Promise<void> {
    const query = new URLSearchParams(TOLD.map((event) => ["event", event]));
    const heard = Promise.withResolvers<void>();
    const events = this.#api.stream<LogEvent>(`/api/log?${query}`, heard.resolve);
    const ask = () => {
      const next = events.next();
      next.catch(heard.reject); // the first read may fail, and later ones while something else is awaited
      return next;
    };
    let next = ask();
    await heard.promise;
    const { id, devices } = await begin();
    this.#id = id;
    this.#bars?.begin(devices.map(({ device }) => device));
    for (const view of devices) this.#take(view);
    try {
      while (![...this.#devices.values()].every(isOver)) {
        const { value: event, done } = await next;
        if (done) break; // a stream that ends throws
        next = ask();
        if (event.event === "missed") await this.#look(id);
        else if ("device" in event && this.#devices.has(event.device!)) await this.#see(event);
      }
    } catch (error) {
      if (!isServerGone(error)) throw error;
      throw new CommandError(
        "CLOSED",
        `${error.message}: the deploy continues when the server is back`,
      );
    }
    for (const view of this.#devices.values()) if (isWaiting(view)) this.#tell(view);
    this.#complain();
  }

  async #see({ event, device }: LogEvent & { device?: string }): Promise<void> {
    if (event === "forgotten") return void this.#devices.delete(device!);
    try {
      const { id, ...view } = await this.#api.get<DeviceView>(pathOf(device!));
      this.#take({ device: id, ...view });
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== "UNKNOWN_DEVICE") throw error;
      this.#devices.delete(device!); // another server forgot it
    }
  }

  async #look(id: number): Promise<void> {
    const { devices } = await this.#api.get<RolloutView>(`/api/rollouts/${id}`);
    for (const view of devices) this.#take(view);
  }

  #take(view: AppView): void {
    const { device, deploy } = view;
    // It was given another application meanwhile.
    if (!deploy || deploy.rollout !== this.#id) return void this.#devices.delete(device);
    this.#devices.set(device, view);
    if (this.#bars) this.#bars.show(device, deploy);
    else if (ENDS.includes(deploy.phase)) this.#tell(view);
    else if (this.#watch && deploy.phase !== "queued") {
      tell(this.#json, { device, deploy }, barOf(device, deploy, device.length));
    }
  }

  /** Prints a device's outcome, once. */
  #tell({ device, deploy }: AppView): void {
    const { phase } = deploy!;
    if (this.#bars || this.#told.has(device)) return;
    if (phase === "stopped" || FAILURES[phase]) return; // #complain reports that
    this.#told.add(device);
    tell(this.#json, { device, deploy }, lineOf(device, deploy!));
  }

  /** @throws {CommandError} */
  #complain(): void {
    const views = [...this.#devices.values()];
    const { device, deploy } = views.find(({ deploy }) => FAILURES[deploy!.phase]) ?? {};
    if (!deploy) return;
    const left = views.filter(({ deploy }) => deploy!.phase === "stopped").length;
    const rest = left === 0 ? "" : `; ${left} more were not started`;
    const message = `${JSON.stringify(device)}: ${whyNot(deploy)}${rest}`;
    throw new CommandError(FAILURES[deploy.phase]!, message);
  }
}

/** A device that is away and whose turn has not come: nobody waits for it. */
function isWaiting({ connected, deploy }: AppView): boolean {
  return !connected && deploy?.phase === "queued";
}

function isOver(view: AppView): boolean {
  return ENDS.includes(view.deploy!.phase) || isWaiting(view);
}

/** A bar for each device that has started, drawn over the previous bars. */
class Bars {
  readonly #bars = new Map<string, string>();
  #width = 0;
  #drawn = 0;

  begin(ids: readonly string[]): void {
    this.#width = Math.max(...ids.map((id) => id.length));
  }

  show(id: string, deploy: DeployView): void {
    if (deploy.phase === "queued") return;
    this.#bars.set(id, printable(barOf(id, deploy, this.#width)));
    const lines = Array.from(this.#bars.values(), (bar) => `${bar}\x1b[K\r\n`);
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : "";
    this.#drawn = lines.length;
    Deno.stdout.writeSync(new TextEncoder().encode(up + lines.join("")));
  }
}
