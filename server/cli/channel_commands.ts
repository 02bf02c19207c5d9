/** Commands that show what channels are, set them, and ask devices. */
import { formatPlace, parsePlace } from "../channels/links.ts";
import { textOf, type Value, valueOf } from "../protocol/channel_lines.ts";
import type { ChannelView } from "../web/channel_view.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { pathOf } from "./device_commands.ts";
import { print, tell } from "./print.ts";
import { REACH } from "./reach.ts";

export const stateCommand = command({
  name: "state",
  usage: ["[ID]"],
  summary:
    "Shows what each channel is and should be, who set it and when, and whether the device has it",
  options: REACH,
  async run(words, values, reach) {
    const [id] = words;
    const path = id === undefined ? "/api/channels" : pathOf(id, "channels");
    const views = await reach.ask("state", values, (api) => api.get<ChannelView[]>(path));
    for (const view of views) tell(values.json, view, asText(view));
  },
});

export const setCommand = command({
  name: "set",
  usage: ["ID/CHANNEL VALUE"],
  summary: "Sets the desired value of a channel; the device gets it when it is connected",
  about: "VALUE is JSON; anything else is taken as text.",
  options: REACH,
  takesNumbers: true,
  async run(words, values, reach) {
    const [place, text] = words as [string, string];
    const { device, channel } = parsePlace(place);
    const body = { channel, value: valueOf(text) };
    const answer = await reach.ask("set", values, (api) => api.post(pathOf(device, "set"), body));
    if (values.json) print(JSON.stringify(answer));
  },
});

export const requestCommand = command({
  name: "request",
  usage: ["ID/CHANNEL [VALUE]"],
  summary: "Asks a device, waits for its answer, and prints it",
  about:
    `VALUE is JSON; anything else is taken as text. Exit codes: 3 the device refuses, 4 it was not asked in time, and never will be, 5 it
was asked, and did not answer in time.`,
  options: {
    ...REACH,
    deadline: {
      type: "string",
      takes: "MS",
      help:
        "time for the answer; after it the request is withdrawn, or its outcome is unknown (10000)",
    },
  },
  takesNumbers: true,
  async run(words, { deadline, ...values }, reach) {
    const [place, text] = words as [string, string?];
    if (deadline !== undefined && !/^\d+$/.test(deadline)) {
      throw badArgument("request", "--deadline takes ms");
    }
    const { device, channel } = parsePlace(place);
    const body = {
      channel,
      ...(text !== undefined && { value: valueOf(text) }),
      ...(deadline !== undefined && { deadline: Number(deadline) }),
    };
    const ask = "request";
    const answer = await reach.ask(
      ask,
      values,
      (api) => api.post<{ value?: Value }>(pathOf(device, ask), body),
      true,
    );
    if (values.json) print(JSON.stringify(answer));
    else if (answer.value !== undefined) print(textOf(answer.value));
  },
});

function asText(view: ChannelView): string {
  const { reported, reportedAt, desired, by, desiredAt, met, fault } = view;
  const words = [formatPlace(view)];
  if (reported !== undefined) {
    words.push(`is ${textOf(reported)}`, `(${reportedAt ?? "time unknown"})`);
  }
  if (desired !== undefined) {
    const how = met ? "met" : fault ?? "not met yet";
    words.push(`should be ${textOf(desired)}`, `(${by}, ${desiredAt}, ${how})`);
  }
  return words.join(" ");
}
