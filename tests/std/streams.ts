/**
 * The part of `@std/streams` that these tests use. Signatures and behaviour are those of
 * `@std/streams` 1; see `assert.ts` for the reason.
 *
 * @module
 */

/** Options for {@linkcode TextLineStream}. */
export interface TextLineStreamOptions {
  /** A lone `\r` ends a line too. Default: false. */
  allowCR?: boolean;
}

/**
 * Cuts text into lines without their ends. `\n` and `\r\n` end a line; a last line without an end
 * comes out when the input closes, unless it is empty.
 */
export class TextLineStream extends TransformStream<string, string> {
  constructor(options: TextLineStreamOptions = {}) {
    // A `\r` at the very end may be the first half of `\r\n`, so it is never an end yet.
    const end = options.allowCR ? /\r\n|\n|\r(?!$)/g : /\r?\n/g;
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split(end);
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (options.allowCR && rest.endsWith("\r")) controller.enqueue(rest.slice(0, -1));
        else if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}

/** Reads a whole stream, of UTF-8 bytes or of strings, into one string. */
export async function toText(
  stream: ReadableStream<string> | ReadableStream<Uint8Array>,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream as ReadableStream<string | Uint8Array>) {
    text += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
