/** Routes that act on devices, and that show their channels. */
import { isAbsolute } from "node:path";
import type { ChannelLink, LinkOptions } from "../channels/links.ts";
import type { Device } from "../device.ts";
import type { DeadLetter } from "../link/record.ts";
import type { Cleared } from "../link/session.ts";
import { LocalError } from "../protocol/errors.ts";
import { find } from "./api.ts";
import { readJson } from "./body.ts";
import { channelsOf } from "./channel_view.ts";
import { fields } from "./fields.ts";
import type { Recorded } from "./history.ts";
import { type Asked, json, type Route, route } from "./routes.ts";

/** The part of `Server` that is needed here. */
export interface Operated extends Recorded {
  forget(id: string): Promise<Cleared>;
  deadLetters(): Promise<LettersOfDevice[]>;
  backup(path: string): Promise<void>;
  readonly links: readonly ChannelLink[];
  connect(from: string, to: string, options?: LinkOptions): Promise<void>;
  disconnect(from: string, to: string): Promise<void>;
}

/** An element of what `Server.deadLetters` returns. */
interface LettersOfDevice {
  readonly device: string;
  readonly letters: readonly DeadLetter[];
}

/** The outcome of a message. */
export type Outcome =
  /** It is safe, and is sent when the device is connected. */
  | "accepted"
  /** The device has acknowledged it. */
  | "delivered"
  /** Without qos: it was handed to the network. */
  | "sent"
  /** Without qos: there is no link, so it is never sent. */
  | "not_sent";

/** A dead letter. */
export interface DeadLetterView {
  readonly device: string;
  readonly number: number;
  /** When it was set aside, ISO 8601. */
  readonly date: string;
  readonly error: string;
  readonly text: string;
}

/** The author of a setting, as others see it. */
const setter = ({ may }: Asked): string => may === "own" ? "command" : "web";

/** Routes that send to devices, set their channels, make requests, and drop queued messages. */
export function actRoutes(server: Operated): Route[] {
  return [
    route("POST", "/api/devices/:id/send", "act", async ({ request, params }) => {
      const device = find(server, params.id);
      const types = {
        line: "string",
        qos: "boolean?",
        wait: "boolean?",
        expires: "number?",
      } as const;
      return await send(server, device, fields(await readJson(request), types), request);
    }),
    route("POST", "/api/devices/:id/set", "act", async (asked) => {
      const { id } = find(server, asked.params.id);
      const types = { channel: "string", value: "any" } as const;
      const { channel, value } = fields(await readJson(asked.request), types);
      const thing = await server.thing(id);
      await thing.set(channel, value, { by: setter(asked) });
      return json({ device: id, channel });
    }),
    route("POST", "/api/devices/:id/request", "act", async ({ request, params }) => {
      const { id } = find(server, params.id);
      const types = { channel: "string", value: "any?", deadline: "number?" } as const;
      const { channel, value, deadline } = fields(await readJson(request), types);
      const thing = await server.thing(id);
      const options = deadline === undefined ? {} : { deadline };
      const answer = await thing.request(channel, value, options);
      return json({ device: id, channel, ...(answer !== undefined && { value: answer }) });
    }),
    route("POST", "/api/devices/:id/clear", "act", async ({ params }) => {
      const device = find(server, params.id);
      return json({ device: device.id, ...await device.clear() });
    }),
    route("DELETE", "/api/devices/:id", "act", async ({ params }) => {
      const { id } = find(server, params.id);
      return json({ device: id, ...await server.forget(id) });
    }),
    route("GET", "/api/devices/:id/channels", "look", async ({ params }) => {
      return json(channelsOf(await server.thing(find(server, params.id).id)));
    }),
    route("GET", "/api/channels", "look", async () => {
      const things = await Promise.all(server.devices.map(({ id }) => server.thing(id)));
      return json(things.flatMap(channelsOf));
    }),
    ...deadLetterRoutes(server),
    ...linkRoutes(server),
    // The path is on the server's machine, so this is only for the owner of its files.
    route("POST", "/api/backup", "own", async ({ request }) => {
      const { path } = fields(await readJson(request), { path: "string" });
      if (!isAbsolute(path)) {
        throw new LocalError("BAD_ARGUMENT", `${path} is not an absolute path`);
      }
      await server.backup(path);
      return json({ path });
    }),
  ];
}

interface Sending {
  readonly line: string;
  readonly qos: boolean | undefined;
  readonly wait: boolean | undefined;
  readonly expires: number | undefined;
}

async function send(
  server: Operated,
  device: Device,
  { line, qos = true, wait = false, expires }: Sending,
  request: Request,
): Promise<Response> {
  const about = { device: device.id };
  const options = expires === undefined ? {} : { expires };
  const answer = (outcome: Outcome, status = 200) => json({ ...about, outcome }, status);
  if (!qos) {
    if (wait) {
      throw new LocalError(
        "BAD_ARGUMENT",
        "a message without qos is not acknowledged: wait needs qos",
      );
    }
    return answer(await device.write(line, { qos, ...options }) ? "sent" : "not_sent");
  }
  if (wait) {
    await device.write(line, { ...options, signal: request.signal });
    return answer("delivered");
  }
  await server.transaction((tx) => tx.write(device.id, line, options));
  return answer("accepted", 202);
}

function deadLetterRoutes(server: Operated): Route[] {
  const PATH = "/api/devices/:id/dead-letters/:number";
  return [
    route("GET", "/api/dead-letters", "look", async () => {
      return json((await server.deadLetters()).flatMap(lettersOf));
    }),
    route("POST", `${PATH}/revive`, "act", async ({ params }) => {
      const [device, number] = [find(server, params.id), toNumber(params.number)];
      await device.revive(number);
      return json({ device: device.id, number });
    }),
    route("DELETE", PATH, "act", async ({ params }) => {
      const [device, number] = [find(server, params.id), toNumber(params.number)];
      await device.discard(number);
      return json({ device: device.id, number });
    }),
  ];
}

function lettersOf({ device, letters }: LettersOfDevice): DeadLetterView[] {
  return letters.map(({ number, date, error, text }) => (
    { device, number, date: new Date(date).toISOString(), error, text }
  ));
}

function toNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new LocalError(
    "BAD_ARGUMENT",
    `the number of a dead letter must be digits, not ${JSON.stringify(text)}`,
  );
}

function linkRoutes(server: Operated): Route[] {
  const ENDS = { from: "string", to: "string" } as const;
  return [
    route("GET", "/api/links", "look", () => json(server.links)),
    route("POST", "/api/links", "act", async ({ request }) => {
      const { from, to, map } = fields(await readJson(request), { ...ENDS, map: "any?" });
      await server.connect(
        from,
        to,
        map === undefined ? {} : { map: map as Record<string, unknown> },
      );
      return json({ from, to });
    }),
    route("DELETE", "/api/links", "act", async ({ query }) => {
      const { from, to } = fields(Object.fromEntries(query), ENDS);
      await server.disconnect(from, to);
      return json({ from, to });
    }),
  ];
}
