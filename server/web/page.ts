/** The page's files. Types are stripped for browsers; there is no other build step. */
import { stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type Route, route } from "./routes.ts";

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  svg: "image/svg+xml",
  ts: "text/javascript; charset=utf-8",
};

/** Paths of files that are not served under their own names. */
const PATHS: Readonly<Record<string, string>> = {
  "index.html": "/",
  "device.html": "/devices/:id",
  "login.html": "/login",
};

/** Modules of the server that the page uses, too. They lie beside `web`, and are served beside `page`. */
const SHARED = ["protocol/name_order.ts"];

/** Inserted at the start of each page's head. */
const HEAD = `
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <link rel="icon" href="/parts/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/parts/style.css">
    <link rel="stylesheet" href="/page/style.css">`;

/** Static imports of a module, after its types are stripped. */
const IMPORT = /^(?:import|export) (?:[^"]*? from )?"(.+?)";/gm;

/**
 * Content security policy: the page may load only its own files. Text from devices is never inserted as markup; if it
 * were, it could do nothing.
 */
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy": POLICY,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;

/** Routes of all files of the page. They are not secret: anybody may read them. */
export async function pageRoutes(): Promise<Route[]> {
  const files = new Map<string, { type: string; text: string }>();
  for (const folder of ["page", "parts"]) {
    const url = new URL(`./${folder}/`, import.meta.url);
    for await (const { name, isFile } of Deno.readDir(url)) {
      const type = TYPES[name.split(".").pop()!];
      if (!isFile || type === undefined || name.endsWith("_test.ts")) continue;
      const text = await Deno.readTextFile(new URL(name, url));
      const served = name.endsWith(".ts") ? stripTypeScriptTypes(text) : text;
      files.set(PATHS[name] ?? `/${folder}/${name}`, { type, text: served });
    }
  }
  for (const path of SHARED) {
    const text = await Deno.readTextFile(new URL(`../${path}`, import.meta.url));
    files.set(`/${path}`, { type: TYPES.ts!, text: stripTypeScriptTypes(text) });
  }
  const routes = Array.from(files, ([path, { type, text }]) => {
    const served = type === TYPES.html ? withHead(text, (path) => files.get(path)?.text) : text;
    return fileRoute(path, type, new TextEncoder().encode(served));
  });
  return [...routes, ...await plotRoutes()];
}

/** Adds the common head to a page, and preloads all modules of its script. */
function withHead(html: string, read: (path: string) => string | undefined): string {
  const [, script] = html.match(/<script type="module" src="(.+?)">/)!;
  const modules = new Set([script!]);
  for (const path of modules) {
    for (const [, from] of read(path)?.matchAll(IMPORT) ?? []) {
      modules.add(new URL(from!, `file://${path}`).pathname);
    }
  }
  modules.delete(script!);
  const preloads = [...modules].sort().map((path) =>
    `\n    <link rel="modulepreload" href="${path}">`
  );
  return html.replace("<head>", `<head>${HEAD}${preloads.join("")}`);
}

/** Routes of the library that draws curves: its script as a module, and its style. Only a device's page loads it. */
async function plotRoutes(): Promise<Route[]> {
  const read = (name: string) =>
    Deno.readTextFile(fileURLToPath(import.meta.resolve(`uplot/dist/${name}`)));
  const script = `${await read("uPlot.iife.min.js")}\nexport default uPlot;\n`;
  const encoder = new TextEncoder();
  return [
    fileRoute("/page/uplot.js", TYPES.ts!, encoder.encode(script)),
    fileRoute("/page/uplot.css", TYPES.css!, encoder.encode(await read("uPlot.min.css"))),
  ];
}

function fileRoute(path: string, type: string, bytes: Uint8Array<ArrayBuffer>): Route {
  const headers = { ...HEADERS, "content-type": type, "vary": "accept-encoding" };
  const packed = new Uint8Array(gzipSync(bytes, { level: 9 }));
  return route("GET", path, "nothing", ({ request }) => {
    const accepts = request.headers.get("accept-encoding") ?? "";
    if (!/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(accepts)) {
      return new Response(bytes, { headers });
    }
    return new Response(packed, { headers: { ...headers, "content-encoding": "gzip" } });
  });
}
