/**
 * Headless Chromium, for tests of pages: the shell, which takes much less processor time than the whole browser.
 *
 * @module
 */
import { type Browser, chromium, type Page } from "playwright-core";
import { locate, toolTest } from "../../support/tools.ts";

/** Without these it looks for updates, and needs a sandbox, which root does not have. */
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP elsewhere.test 127.0.0.1", // a page from another computer
];

/** The program and its Debian package. */
export const SHELL = "chromium-headless-shell";

const TOOLS = { [SHELL]: SHELL };

/** A test gives up a step after this many ms; the machine may be busy. */
export const PATIENCE = 120_000;

/** The folder for pictures of the page, which is not in the repository. */
const SHOTS = new URL("../screenshots/", import.meta.url);

/** A browser, which the caller must close. */
export async function launch(): Promise<Browser> {
  const { paths: { [SHELL]: executablePath }, missing } = locate(TOOLS);
  if (executablePath === undefined) throw new Error(`apt install ${missing.join(" ")}`);
  return await chromium.launch({
    executablePath,
    headless: true,
    args: ARGS,
    timeout: PATIENCE,
    handleSIGTERM: false, // it would close the browser while the tests go on
  });
}

/** Takes a picture of all of a page. */
export async function shoot(page: Page, name: string): Promise<void> {
  await Deno.mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: new URL(`${name}.png`, SHOTS).pathname, fullPage: true });
}

/**
 * Registers a test that needs the browser; as `toolTest` does, it is ignored where there is no browser.
 *
 * @param more further programs that it needs, with their Debian packages
 */
export function browserTest(
  name: string,
  body: (t: Deno.TestContext) => Promise<void>,
  more: Record<string, string> = {},
): void {
  const tools = { ...TOOLS, ...more };
  if (locate(tools).missing.length > 0) return toolTest(name, tools, () => {});
  // The browser, which the tests share, has its own timers and pipes in this process.
  Deno.test({ name, fn: body, sanitizeOps: false, sanitizeResources: false });
}

export function browserIsThere(): boolean {
  return locate(TOOLS).missing.length === 0;
}
