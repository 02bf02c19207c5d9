/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page's orders to the server, by the same routes that programs use. */
import { byId } from "../parts/dom.ts";

/** Why the server has not done something, in its words. */
export class ActError extends Error {}

/** Asks the server for something. @throws {ActError} */
export async function ask(
  method: "POST" | "DELETE",
  path: string,
  body?: unknown,
): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      ...(body !== undefined && {
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    });
  } catch {
    throw new ActError("The server does not answer: it is unknown whether this was done.");
  }
  const answer = await response.json();
  if (!response.ok) throw new ActError(answer.message);
  return answer;
}

/** Does it, and says how that went. @returns whether it went well */
export async function act(what: string, run: () => Promise<unknown>): Promise<boolean> {
  const outcome = byId("outcome");
  try {
    await run();
    outcome.textContent = `${what}: done.`;
    outcome.classList.remove("bad");
    return true;
  } catch (error) {
    if (!(error instanceof ActError)) throw error;
    outcome.textContent = `${what}: ${error.message}`;
    outcome.classList.add("bad");
    return false;
  }
}

/** Asks the viewer to confirm. */
export function isSure(question: string, yes: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>("sure");
  byId("question").textContent = question;
  byId("yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
