/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page where users enter the password. */
import { button, byId, input } from "../parts/dom.ts";
import { ActError, ask } from "./acts.ts";

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  button("enter").disabled = true;
  try {
    await ask("POST", "/api/session", { password: input("password").value });
    location.replace(next());
  } catch (error) {
    if (!(error instanceof ActError)) throw error;
    byId("obstacle").textContent = error.message;
    byId("obstacle").hidden = false;
    input("password").select();
  } finally {
    button("enter").disabled = false;
  }
});

/** The page to open afterwards: always one of this server, wherever the link came from. */
function next(): string {
  const path = decodeURIComponent(location.hash.slice(1)) || "/";
  const url = new URL(path, location.origin);
  return url.origin === location.origin && url.pathname.startsWith("/devices/") ? url.href : "/";
}
