/** Serves the built page and the current images. */
import type { Site } from "./build.ts";

const TYPES: Record<string, string> = {
  bin: "application/octet-stream",
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json; charset=utf-8",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  webmanifest: "application/manifest+json",
};

/** Answers a request for a file of the page, or of `images`, which is read for each request. */
export async function answer(
  request: Request,
  site: Site,
  images: () => Promise<Site>,
): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("Method not allowed\n", { status: 405, headers: { allow: "GET, HEAD" } });
  }
  let path;
  try {
    path = decodeURIComponent(new URL(request.url).pathname).slice(1) || "index.html";
  } catch { // a malformed %
    return new Response("Bad request\n", { status: 400 });
  }
  const file = site.get(path) ??
    (path.startsWith("firmware/") ? (await images()).get(path) : undefined);
  if (file === undefined) return new Response("Not found\n", { status: 404 });
  const type = TYPES[path.split(".").pop()!] ?? "application/octet-stream";
  return new Response(request.method === "HEAD" ? null : file as Uint8Array<ArrayBuffer>, {
    headers: {
      "content-type": type,
      "content-length": String(file.length),
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "content-security-policy": "frame-ancestors 'none'", // the rest is in the page's own policy
      "permissions-policy": "serial=(self)",
    },
  });
}
