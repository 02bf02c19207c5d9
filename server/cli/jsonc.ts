/** JSON with comments and trailing commas. */

/**
 * @returns the value
 * @throws {SyntaxError} with the line
 */
export function parseJsonc(text: string): unknown {
  const plain = withoutComments(text);
  try {
    return JSON.parse(plain);
  } catch (error) {
    const { message } = error as SyntaxError;
    const [, line] = / \(?(?:at )?line (\d+)/.exec(message) ?? [];
    const [, position] = / at position (\d+)/.exec(message) ?? [];
    if (line !== undefined || position === undefined) throw error;
    throw wrong(text, Number(position), message.replace(/ (?:in JSON )?at position .*$/, ""));
  }
}

/** Replaces what is not JSON by spaces, so positions stay the same. */
function withoutComments(text: string): string {
  const COMMENTS = /"(?:\\.|[^"\\\n])*"|\/\/[^\n]*|\/\*[^]*?(\*\/|$)/g;
  const plain = text.replace(COMMENTS, (token, end: string | undefined, at: number) => {
    if (token.startsWith('"')) return token;
    if (token.startsWith("/*") && end !== "*/") throw wrong(text, at, "a comment does not end");
    return token.replace(/[^\n]/g, " ");
  });
  // A trailing comma after an element: not one inside a string or after nothing.
  return plain.replace(/"(?:\\.|[^"\\\n])*"|(?<![[{,:]\s*),(?=\s*[}\]])/g, (token) => {
    return token === "," ? " " : token;
  });
}

function wrong(text: string, at: number, what: string): SyntaxError {
  return new SyntaxError(`line ${text.slice(0, at).split("\n").length}: ${what}`);
}
