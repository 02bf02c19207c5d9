/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page's requests to the server, over the same routes that programs use. */
import { byId } from "../parts/dom.ts";

/** The server's reason for a refusal. */
export class ActError extends Error {}

/** Sends a request to the server. @throws {ActError} */
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
    throw new ActError("The server does not answer: it may or may not have done this.");
  }
  const answer = await response.json();
  if (!response.ok) throw new ActError(answer.message);
  return answer;
}

/** Runs an action, and shows its outcome. @returns whether it succeeded */
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
