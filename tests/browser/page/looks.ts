/**
 * Checks of a page's appearance.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import type { Person } from "./person.ts";

const AXE = await Deno.readTextFile(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")));

/** Problems that axe finds in the current page. */
export async function violations(page: Page): Promise<string[]> {
  if (!await page.evaluate(() => "axe" in globalThis)) await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(options: unknown): Promise<
          { violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }
        >;
      };
    };
    const { violations } = await axe.run({ resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`)
    );
  });
  return found;
}

/** Whether something is wider than the window. */
function overflows(page: Page): Promise<boolean> {
  return page.evaluate(() => {
    const root = (globalThis as unknown as {
      document: { documentElement: { scrollWidth: number; clientWidth: number } };
    }).document.documentElement;
    return root.scrollWidth > root.clientWidth;
  });
}

/** One appearance of a page. */
export interface Look {
  readonly colorScheme: "light" | "dark";
  /** In pixels. */
  readonly width: number;
  /** Whether a picture is taken. Default: yes. */
  readonly picture?: boolean;
}

const LOOKS: readonly Look[] = [
  { colorScheme: "light", width: 1000 },
  { colorScheme: "dark", width: 1000 },
  { colorScheme: "dark", width: 320 },
  { colorScheme: "light", width: 320 },
];

/** Takes a picture of the page in each appearance. @returns what is wrong with them */
export async function wrongInAnyLook(
  person: Person,
  state: string,
  looks: readonly Look[] = LOOKS,
): Promise<string[]> {
  const { page } = person;
  const found: string[] = [];
  for (const { colorScheme, width, picture = true } of looks) {
    const name = `${state}-${colorScheme}-${width}`;
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    const wrong = await violations(page);
    if (await overflows(page)) wrong.push("wider than the window");
    found.push(...wrong.map((text) => `${name}: ${text}`));
    if (picture) await person.shoot(name);
  }
  return found;
}
