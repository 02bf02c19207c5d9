/** Reads the body of a request, limited in size and time, so that nobody fills the memory or holds a place for long. */
import { Refusal } from "./routes.ts";

/** Most bytes of a body: more than any message or value that is accepted. */
export const MOST_BODY = 64 * 1024;

/** Time in which it must arrive, in ms. */
const PATIENCE = 10_000;

/** Reads a body that is a JSON object. @throws {Refusal} */
export async function readJson(
  request: Request,
  { most = MOST_BODY, patience = PATIENCE } = {},
): Promise<Readonly<Record<string, unknown>>> {
  // Forms of other sites' pages can send other types without a preflight request.
  if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) {
    throw new Refusal(415, "BAD_TYPE", "the body must be application/json");
  }
  const bytes = await readBody(request, { most, patience });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Refusal(400, "BAD_ARGUMENT", `the body is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal(400, "BAD_ARGUMENT", "the body must be a JSON object");
  }
  return value as Record<string, unknown>;
}

/** @throws {Refusal} */
export async function readBody(
  request: Request,
  { most = MOST_BODY, patience = PATIENCE } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Refusal(408, "LATE", `the body did not arrive within ${patience} ms`));
  }, patience);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer());
      length += value.length;
      if (length > most) {
        throw new Refusal(413, "TOO_LARGE", `the body may have at most ${most} bytes`, {
          connection: "close",
        });
      }
      pieces.push(value as Uint8Array<ArrayBuffer>);
    }
  } catch (error) {
    reader.cancel().catch(() => {}); // the rest is not needed
    if (error instanceof Refusal) throw error;
    throw new Refusal(400, "BAD_ARGUMENT", "the body was cut off"); // its sender has gone
  } finally {
    clearTimeout(timer);
  }
}
