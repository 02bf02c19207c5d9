/**
 * Asks the application of a server under load how many messages it has received: each acknowledged message must have
 * been delivered, once. Otherwise the figures are worthless.
 *
 * @module
 */
import { Client } from "../../bridge/host/mod.ts";

/** How long it may take, in ms. */
const PATIENCE = 30_000;

/** How many messages `sink.ts` has received. */
export async function delivered(port: number): Promise<number> {
  await using auditor = new Client({ id: "auditor", port });
  const timer = setTimeout(() => auditor.close(), PATIENCE); // pending calls then fail
  try {
    const question = `total? ${crypto.randomUUID()}`;
    await auditor.write(question);
    // A server that was killed may answer an earlier request again.
    for (;;) {
      const line = await auditor.readline();
      if (line.startsWith(question)) return Number(line.slice(question.length));
    }
  } finally {
    clearTimeout(timer);
  }
}
