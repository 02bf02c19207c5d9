/** Which requests are meant for the page: by their Host, their Origin, and their Sec-Fetch headers. */
import { assertEquals } from "@std/assert";
import { isForUs } from "./hosts.ts";

const AT_HOME = { scheme: "http" };
const BEHIND_A_PROXY = { scheme: "http", url: new URL("https://holdfast.example/") };

function asks(headers: Record<string, string>, names = AT_HOME, method = "GET"): boolean {
  // A program cannot set the Host of a `Request`; requests that a server gets have one.
  const request = { method, headers: new Headers(headers) } as Request;
  return isForUs(request, names);
}

Deno.test("the host must be an IP address, localhost or the configured name", () => {
  for (const host of ["localhost", "localhost:8080", "LOCALHOST", "192.0.2.1:80", "[::1]:80"]) {
    assertEquals(asks({ host }), true, host);
  }
  const others = [
    "holdfast.example",
    "localhost.example",
    "1.2.3.4.example",
    "1.2.3",
    "",
    "x[::1]",
  ];
  for (const host of others) assertEquals(asks({ host }), false, host);
  assertEquals(asks({}), false);
  assertEquals(asks({ host: "holdfast.example" }, BEHIND_A_PROXY), true);
  assertEquals(asks({ host: "holdfast.example:8080" }, BEHIND_A_PROXY), false);
  assertEquals(asks({ host: "other.example" }, BEHIND_A_PROXY), false);
  assertEquals(asks({ host: "192.0.2.1" }, BEHIND_A_PROXY), true);
});

Deno.test("the origin must be the page's own address or the configured name", () => {
  const host = "localhost:8080";
  assertEquals(asks({ host, origin: "http://localhost:8080" }, AT_HOME, "POST"), true);
  for (
    const origin of ["https://localhost:8080", "http://localhost", "http://localhost:80800", "null"]
  ) assertEquals(asks({ host, origin }, AT_HOME, "POST"), false, origin);
  const named = { host: "holdfast.example", origin: "https://holdfast.example" };
  assertEquals(asks(named, BEHIND_A_PROXY, "POST"), true);
  // The proxy uses the server's address, but the browser's origin is the configured name.
  assertEquals(asks({ ...named, host: "192.0.2.1" }, BEHIND_A_PROXY, "POST"), true);
  assertEquals(asks({ ...named, origin: "https://other.example" }, BEHIND_A_PROXY, "POST"), false);
  assertEquals(asks(named, AT_HOME, "POST"), false);
});

Deno.test("another site may link to the page, but every other request from there is refused", () => {
  const host = "localhost";
  const visit = { host, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  for (const site of ["same-origin", "none"]) {
    assertEquals(asks({ host, "sec-fetch-site": site }, AT_HOME, "POST"), true, site);
  }
  for (const site of ["cross-site", "same-site"]) {
    assertEquals(asks({ host, "sec-fetch-site": site }), false, site);
    assertEquals(asks({ ...visit, "sec-fetch-site": site }), true, site);
    assertEquals(asks({ ...visit, "sec-fetch-site": site }, AT_HOME, "POST"), false, "a form");
    const framed = { ...visit, "sec-fetch-site": site, "sec-fetch-dest": "iframe" };
    assertEquals(asks(framed), false, "a frame");
    assertEquals(asks({ ...visit, "sec-fetch-site": site, "sec-fetch-mode": "cors" }), false);
  }
});
