/**
 * Somebody at a browser.
 *
 * @module
 */
import type { Locator, Page } from "playwright-core";
import { shoot } from "./chromium.ts";

/** A user of a page, who finds and presses things by role and name. */
export class Person implements AsyncDisposable {
  /** Errors that the page has thrown or printed on its console. */
  readonly errors: string[] = [];

  constructor(readonly page: Page) {
    page.on("pageerror", (error) => this.errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() !== "error") return;
      this.errors.push(`${message.text()} (${message.location().url})`);
    });
  }

  async press(name: string): Promise<void> {
    await this.page.getByRole("button", { name, exact: true }).click();
  }

  async check(name: string | RegExp): Promise<void> {
    const exact = typeof name === "string";
    await this.page.getByRole("radio", { name, exact }).check();
  }

  field(name: string): Locator {
    return this.page.getByLabel(name, { exact: true });
  }

  /** The value of a term in a list of facts. */
  fact(term: string): Locator {
    const row = this.page.getByRole("term").filter({ hasText: new RegExp(`^\\s*${term}\\s*$`) });
    return row.locator("xpath=following-sibling::dd");
  }

  /** Waits until these words are visible somewhere on the page. */
  async sees(text: string | RegExp): Promise<void> {
    await this.awaits(this.page.getByText(text).filter({ visible: true }).first());
  }

  /** Waits for a line on the console in the page. */
  async hears(text: string | RegExp): Promise<void> {
    await this.awaits(this.page.getByRole("log").getByText(text).first());
  }

  /** Waits for a failure to be shown, and returns its text. */
  async fault(): Promise<string> {
    const alert = this.page.getByRole("alert").filter({ visible: true });
    await this.awaits(alert);
    return await alert.innerText();
  }

  /** Waits until something is there; if it never is, takes a picture of what is there instead. */
  async awaits(thing: Locator): Promise<void> {
    try {
      await thing.waitFor();
    } catch (error) {
      await this.shoot("failed");
      const alert = this.page.getByRole("alert").filter({ visible: true });
      const fault = await alert.count() > 0 ? await alert.first().innerText() : "no failure";
      throw new Error(`waited in vain; the page shows ${fault}; its errors: ${this.errors}`, {
        cause: error,
      });
    }
  }

  /** Takes a picture of all of the page. */
  async shoot(name: string): Promise<void> {
    await shoot(this.page, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    if (this.errors.length > 0) throw new Error(`the page complains: ${this.errors.join("; ")}`);
  }
}
