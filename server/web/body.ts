/** What a request carries: bounded in size and in time, so that nobody fills the memory or holds a place for long. */
import { Refusal } from "./routes.ts";

/** Bytes of a body: more than any message or value that is accepted. */
export const MOST_BODY = 64 * 1024;

/** Until it must be there, in ms. */
const PATIENCE = 10_000;

/** A body that is an object in JSON. @throws {Refusal} */
export async function readJson(
  request: Request,
  { most = MOST_BODY, patience = PATIENCE } = {},
): Promise<Readonly<Record<string, unknown>>> {
  // Other types are what a form of a page from elsewhere can send without being asked.
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
    throw new Refusal(400, "BAD_ARGUMENT", "the body must be an object");
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
    reader.cancel().catch(() => {}); // the rest is of no interest
    if (error instanceof Refusal) throw error;
    throw new Refusal(400, "BAD_ARGUMENT", "the body was cut off"); // its sender is gone
  } finally {
    clearTimeout(timer);
  }
}
