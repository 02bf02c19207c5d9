/**
 * Makes the README's picture of the server's page: the demo runs for half a minute, and a browser looks at it.
 *
 *     deno run -A tests/demo/picture.ts        # writes server/pictures/page.png
 *
 * @module
 */
import { launch } from "../browser/page/chromium.ts";
import { injectFaults } from "./faults.ts";
import { Scene } from "./scene.ts";
import { PlainView } from "./view.ts";

const PICTURE = new URL("../../server/pictures/page.png", import.meta.url);

/** How long the demo runs before the picture, in ms: enough for an outage of each device. */
const RUN = 40_000;

const view = new PlainView((text) => console.log(text.trimEnd()));
await using scene = await Scene.start(0, 0, view);
const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1000, height: 480 } });
  await page.goto(scene.url);
  const stop = AbortSignal.timeout(RUN);
  await injectFaults(scene, view, stop);
  await page.screenshot({ path: PICTURE.pathname });
  console.log(`${PICTURE.pathname}: ${(await Deno.stat(PICTURE)).size} bytes`);
} finally {
  await browser.close();
}
