/** Who may open the server's page, and that devices cannot inject anything into it. */
import { assertEquals } from "@std/assert";
import { channels } from "../../server/mod.ts";
import { Credentials, hashPassword } from "../../server/web/credentials.ts";
import { browserTest } from "./page/chromium.ts";
import { Fleet } from "./page/fleet.ts";
import { wrongInAnyLook } from "./page/looks.ts";

browserTest(
  "the page asks for a password, the session survives a restart, and the user can log out",
  async () => {
    const credentials = Credentials.none.withPassword(await hashPassword("correct horse"));
    await using fleet = await Fleet.start({}, { credentials });
    await fleet.device("kitchen");
    const visitor = await fleet.visitor({}, "devices/kitchen");
    const { page } = visitor;
    await visitor.field("Password").fill("wrong horse");
    await visitor.press("Log in");
    assertEquals(await visitor.fault(), "The password is wrong");
    assertEquals(await wrongInAnyLook(visitor, "22-login"), []);
    await visitor.field("Password").fill("correct horse");
    await visitor.press("Log in");
    await visitor.awaits(page.getByRole("heading", { name: "kitchen" }));
    await visitor.hears(/connected/);
    await fleet.stopServer();
    await visitor.fault();
    await fleet.startServer();
    await page.getByRole("alert").waitFor({ state: "hidden" });
    await page.getByRole("link", { name: "All devices" }).click();
    await visitor.awaits(visitor.row("kitchen", "up"));
    await visitor.press("Log out");
    await visitor.awaits(visitor.field("Password"));
    await page.goto(fleet.web.url);
    await visitor.awaits(visitor.field("Password"));
    visitor.errors.length = 0; // the browser reports what was refused, as expected
  },
);

browserTest("whatever a device sends is shown as text everywhere", async () => {
  const markup = `<img src=x onerror="document.title='broken'"><script>alert(1)</script>`;
  const app = channels({ temp: {} });
  await using fleet = await Fleet.start({ app, open: true }, { admin: true });
  const visitor = await fleet.visitor();
  const { page } = visitor;
  const id = "<img src=x onerror=alert(1)>/../?#%2F\u202ecod.exe";
  const client = await fleet.device(id, { metadata: "version=<b>1</b>" });
  await client.write(`=temp ${JSON.stringify(markup)}`);
  await client.write(`!door ${markup}`);
  await client.write(markup);
  const link = page.getByRole("rowheader").getByRole("link");
  await visitor.awaits(link);
  assertEquals(await link.innerText(), id.replace("\u202e", "\ufffd"));
  await visitor.shoot("23-markup");
  await link.click();
  await visitor.awaits(page.locator("#channels li").filter({ hasText: "<script>" }));
  await visitor.hears(markup);
  await visitor.awaits(visitor.fact("It says").getByText("version=<b>1</b>"));
  assertEquals(await page.locator("#device img, #device script, #device b").count(), 0);
  assertEquals((await page.title()).includes("broken"), false);
  await visitor.shoot("23-markup-device");
});
