/**
 * Asks the application of a server under load how many messages it has got: what was acknowledged must have
 * been delivered, once. Else the figures are worth nothing.
 *
 * @module
 */
import { Client } from "../../bridge/host/mod.ts";

/** How long it may take, in ms. */
const PATIENCE = 30_000;

/** How many messages `sink.ts` has got. */
export async function delivered(port: number): Promise<number> {
  await using auditor = new Client({ id: "auditor", port });
  const timer = setTimeout(() => auditor.close(), PATIENCE); // those who wait are told
  try {
    const question = `total? ${crypto.randomUUID()}`;
    await auditor.write(question);
    // A server that was killed may answer an earlier question once more.
    for (;;) {
      const line = await auditor.readline();
      if (line.startsWith(question)) return Number(line.slice(question.length));
    }
  } finally {
    clearTimeout(timer);
  }
}
