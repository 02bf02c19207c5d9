/**
 * The code of a file without comments and quoted text, which only look like code. The rest keeps its place, so that
 * lines and columns stay the same.
 *
 * @module
 */

const LITERAL = /[(,=:[!&|?{};+\-*%~^<>]$|\b(return|typeof|case|of|in|await|yield|void|throw)$/;

const blank = (text: string) => text.replace(/[^\n]/g, " ");

/** TypeScript without comments, regular expressions and templates. Strings stay, because they name modules. */
export function withoutComments(source: string): string {
  let result = "";
  /** For each open template, the depth of braces in its code. */
  const templates: number[] = [];
  const rest = (pattern: RegExp, at: number) => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  /** A template's text, up to its end or to the code in it. */
  const template = (at: number): number => {
    const text = rest(/(?:[^\\`$]|\\[^]|\$(?!\{))*(?:`|\$\{|$)/y, at)!;
    if (text.endsWith("${")) templates.push(0);
    result += blank(text);
    return at + text.length;
  };
  for (let at = 0; at < source.length;) {
    const c = source[at]!;
    const comment = rest(/\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)/y, at);
    const string = rest(/"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y, at);
    const depth = templates.length - 1;
    if (comment) {
      result += blank(comment);
      at += comment.length;
    } else if (string) {
      result += string;
      at += string.length;
    } else if (c === "`") {
      result += " ";
      at = template(at + 1);
    } else if (c === "}" && templates[depth] === 0) {
      templates.pop();
      result += " ";
      at = template(at + 1);
    } else if (c === "/" && LITERAL.test(result.trimEnd() || ";")) {
      const literal = rest(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//y, at) ?? c;
      result += blank(literal);
      at += literal.length;
    } else {
      if (depth >= 0 && c === "{") templates[depth]!++;
      if (depth >= 0 && c === "}") templates[depth]!--;
      result += c;
      at++;
    }
  }
  return result;
}

/** C without comments, quoted text and preprocessor directives. */
export function cWithoutComments(source: string): string {
  return source
    .replace(/\/\*[^]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/g, blank)
    .replace(/^[ \t]*#(?:[^\n]*\\\n)*[^\n]*/gm, blank);
}
