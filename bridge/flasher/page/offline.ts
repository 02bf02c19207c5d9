/// <reference lib="dom" />
/** Keeps the page and the firmware that came with it, so that they work without a network. */
import type { Firmware } from "../plan/firmware.ts";

/** The cache of the firmware; the service worker caches the page's own files. */
const NAME = "holdfast-flasher-firmware";

/** If that is impossible (no such feature, no room, a private window), the page needs a network. */
export async function keepForOffline(firmware: Firmware[]): Promise<void> {
  try {
    await navigator.serviceWorker.register("worker.js");
    const base = new URL(".", document.baseURI).href;
    const addresses = firmware.flatMap(({ base, manifest }) => {
      const { parts, flash, applications } = manifest;
      const all = [...parts, ...Object.values(flash).flat(), ...applications];
      return [`${base}manifest.json`, ...all.map(({ file }) => base + encodeURIComponent(file))];
    });
    const cache = await caches.open(NAME);
    await cache.addAll([`${base}firmware/index.json`, ...new Set(addresses)]);
  } catch (error) {
    console.info("The page will need a network next time, too:", error);
  }
}
