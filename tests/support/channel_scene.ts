/**
 * A server controlled by the test, with an application of channels and a board.
 *
 * @module
 */
import {
  type Channels,
  channels,
  type ChannelsOptions,
  MemoryStore,
  type ServerEvent,
} from "../../server/mod.ts";
import { LineBoard } from "./line_board.ts";
import { ManualServer } from "./manual_server.ts";

/** Starts with a connected board, and notes what happens. */
export async function beginChannels(
  definitions: Channels,
  options: ChannelsOptions = {},
  store = new MemoryStore(),
) {
  const scene = await ManualServer.start({ app: channels(definitions, options), store });
  const board = new LineBoard(scene);
  await board.connect();
  const thing = await scene.server.thing("1");
  const told: ServerEvent[] = [];
  scene.server.events.subscribe((event) => told.push(event));
  return { scene, board, thing, told };
}
