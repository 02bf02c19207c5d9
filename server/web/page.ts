/** The page's files. Browsers know no types: those are taken out, and nothing else is built. */
import { stripTypeScriptTypes } from "node:module";

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  svg: "image/svg+xml",
  ts: "text/javascript; charset=utf-8",
};

/** What the page may load, and from where: nothing but itself. Text of devices is never markup; if it were, it could do nothing. */
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy": POLICY,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;

export interface Page {
  /** A file of the page; undefined: there is none of that name. */
  answer(path: string, method: string): Response | undefined;
}

/** Reads all files of the page. */
export async function readPage(): Promise<Page> {
  const files = new Map<string, { bytes: Uint8Array<ArrayBuffer>; type: string }>();
  for (const folder of ["page", "parts"]) {
    const url = new URL(`./${folder}/`, import.meta.url);
    for await (const { name, isFile } of Deno.readDir(url)) {
      const type = TYPES[name.split(".").pop()!];
      if (!isFile || type === undefined || name.endsWith("_test.ts")) continue;
      const text = await Deno.readTextFile(new URL(name, url));
      const served = name.endsWith(".ts") ? stripTypeScriptTypes(text) : text;
      files.set(`/${folder}/${name}`, { bytes: new TextEncoder().encode(served), type });
    }
  }
  return {
    answer(path, method) {
      const file = files.get(path === "/" ? "/page/index.html" : path);
      if (!file) return undefined;
      const { bytes, type } = file;
      return new Response(method === "HEAD" ? null : bytes, {
        headers: { ...HEADERS, "content-type": type, "content-length": String(bytes.length) },
      });
    },
  };
}
