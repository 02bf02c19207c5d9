/**
 * The service worker: keeps the page for use without a network. While there is a network, everything comes from it, so
 * nobody sees an old page.
 *
 * @module
 */

/** Inserted by build.ts: the files of the page, and a name that changes with them. */
declare const FILES: string[];
declare const VERSION: string;

/** The part of a worker's types that is needed; TypeScript's own conflict with those of a page. */
interface Waiting extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetching extends Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
const worker = globalThis as unknown as EventTarget & {
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
};

const PREFIX = "holdfast-flasher-page-";

worker.addEventListener("install", (event) => {
  (event as Waiting).waitUntil((async () => {
    const cache = await caches.open(PREFIX + VERSION);
    await cache.addAll(FILES);
    await worker.skipWaiting();
  })());
});

worker.addEventListener("activate", (event) => {
  (event as Waiting).waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(PREFIX) && name !== PREFIX + VERSION) await caches.delete(name);
    }
    await worker.clients.claim();
  })());
});

worker.addEventListener("fetch", (event) => {
  const { request, respondWith } = event as Fetching;
  if (request.method !== "GET") return;
  respondWith.call(event, answer(request));
});

async function answer(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
