/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The form's third step: what the device is told. */
import {
  doubtsAbout,
  type FieldName,
  makeKey,
  type Problems,
  readFields,
} from "../plan/settings_form.ts";
import { showKey } from "./key_dialog.ts";
import { button, byId, chosen, complain, input, say, select } from "./dom.ts";

const IDS: Record<FieldName, string> = {
  ssid: "ssid",
  password: "password",
  server: "server",
  port: "port",
  id: "device",
  key: "key",
  timeout: "timeout",
  dialect: "dialect",
  forward: "forward",
  log: "log",
  server2: "server2",
  address: "ip-address",
  netmask: "ip-netmask",
  gateway: "ip-gateway",
  dns: "ip-dns",
  country: "country",
};

/** A key that was made, shown and confirmed, and for which id: it is not shown again until a board has it. */
let made: { id: string | undefined; key: string } | undefined;

/** The key in its field was made here. */
let wasMade = false;

/** What was pointed out as doubtful, in fields that may not have been changed since. */
let confirmed = "";

/** Another board tells this one its settings. */
let told = false;

/** What is chosen unless someone chooses otherwise, and what the choices are called. */
const KINDS = {
  own: {
    settings: "write",
    key: "make",
    words: {
      write: "Write these",
      keep: "Keep them",
      erase: "Erase them: the board then waits for settings",
    },
  },
  told: {
    settings: "keep",
    key: "none",
    words: {
      write: "Write these",
      keep: "Keep what there is: the Pyboard tells the board its settings",
      erase: "Erase them: the Pyboard tells the board all that it needs",
    },
  },
} as const;

export function setUpSettings(): void {
  for (const name of ["settings", "key"]) {
    for (const radio of document.querySelectorAll(`input[name="${name}"]`)) {
      radio.addEventListener("change", show);
    }
  }
  const password = input("password");
  const eye = button("show-password");
  eye.addEventListener("click", () => {
    const hidden = password.type === "password";
    password.type = hidden ? "text" : "password";
    eye.setAttribute("aria-pressed", String(hidden));
  });
  // A complaint has served when its field is changed.
  for (const id of Object.values(IDS)) {
    byId(id).addEventListener("input", () => complain(id, undefined));
  }
  show();
}

/** The form for firmware that another board tells its settings, or for others. */
export function showSettingsFor(toldByOther: boolean): void {
  if (told !== toldByOther) {
    const [before, after] = told ? [KINDS.told, KINDS.own] : [KINDS.own, KINDS.told];
    told = toldByOther;
    for (const name of ["settings", "key"] as const) {
      // What was not as proposed has been chosen, and stays.
      if (chosen(name) === before[name]) input(`${name}-${after[name]}`).checked = true;
    }
    for (const [choice, words] of Object.entries(after.words)) {
      document.querySelector(`label[for="settings-${choice}"]`)!.textContent = words;
    }
    for (const id of ["ssid", "server", "port", "device"]) input(id).required = !told;
    for (const id of Object.values(IDS)) complain(id, undefined);
  }
  show();
}

function show(): void {
  const write = chosen("settings") === "write";
  for (const id of ["settings-fields", "key-fields", "more-fields", "send-fields"]) {
    byId(id).hidden = !write;
  }
  byId("server-fields").hidden = !write || told;
  for (const id of ["timeout-field", "server2-field"]) byId(id).hidden = told;
  byId("settings-told").hidden = !told;
  byId("key-field").hidden = chosen("key") !== "have";
}

/** Whether the fields can be written; if not, one has the focus, and says what is wrong. */
export function checkSettings(): boolean {
  return looksRight() !== undefined;
}

/** What is to be written, and its sector. */
export type Written = Extract<ReturnType<typeof read>, { sector: Uint8Array }>;

/**
 * The settings to write. Makes a key, and shows it, if that is wanted.
 *
 * @returns undefined if it is not to be written: a field must be corrected, and has the focus, or the key was
 *   not taken; it is said which
 * @param app what the server has to run for the application, if that is known
 */
export async function readSettings(app?: string): Promise<Written | undefined> {
  const first = looksRight();
  if (!first) return undefined;
  const choice = chosen("key");
  const id = told ? undefined : input("device").value.trim();
  if (made?.id !== id) made = undefined;
  if (choice !== "make") return first;
  if (made === undefined) {
    const key = makeKey();
    say(""); // whatever was to be corrected is
    if (!await showKey({ id, app: told ? undefined : app, port: first.settings.port }, key)) {
      say("Nothing was flashed, and the key is forgotten.");
      return undefined;
    }
    made = { id, key };
  }
  const second = read(made.key);
  if ("problems" in second) throw new Error("a made key is refused");
  return second;
}

/** What is in the fields; undefined if something is wrong, or doubtful for the first time: that is pointed out. */
function looksRight(): Written | undefined {
  const choice = chosen("key");
  // Any key will do to find out whether the rest is right.
  const key = choice === "have" ? input("key").value.trim() || "?" : choice === "make" ? ZEROS : "";
  const first = read(key);
  if ("problems" in first) {
    complainOf(first.problems, "Something must be corrected first.");
    return undefined;
  }
  const fields = { ssid: input("ssid").value, password: input("password").value };
  const doubts = doubtsAbout(fields);
  const meant = JSON.stringify(fields);
  if (Object.keys(doubts).length > 0 && meant !== confirmed) {
    confirmed = meant; // whoever presses again means it
    complainOf(doubts, "Please look at this again.");
    return undefined;
  }
  return first;
}

/** Shows what is wrong with the fields, and puts the focus on the first of them. */
function complainOf(problems: Problems, words: string): void {
  for (const [name, id] of Object.entries(IDS)) complain(id, problems[name as FieldName]);
  const wrong = Object.keys(IDS).find((name) => problems[name as FieldName])!;
  const field = byId(IDS[wrong as FieldName]);
  field.closest("details")?.setAttribute("open", "");
  // The field of a key that is to be made is not shown.
  (field.closest("[hidden]") ? byId("key-make") : field).focus();
  say(words);
}

const ZEROS = "0".repeat(64);

function read(key: string): ReturnType<typeof readFields> {
  return readFields({
    ssid: input("ssid").value,
    password: input("password").value,
    server: input("server").value,
    port: input("port").value,
    id: input("device").value,
    key,
    timeout: input("timeout").value,
    dialect: select("dialect").value,
    forward: input("forward").checked,
    log: input("log").checked,
    server2: input("server2").value,
    address: input("ip-address").value,
    netmask: input("ip-netmask").value,
    gateway: input("ip-gateway").value,
    dns: input("ip-dns").value,
    country: input("country").value,
  }, told);
}

/**
 * A board has the settings. A key that was made for it is one that there is from now on, for when something is corrected;
 * whoever wants one to be made wants another.
 */
export function settingsWritten(): void {
  if (!made) return;
  input("key").value = made.key;
  input("key-have").checked = true;
  made = undefined;
  wasMade = true;
  show();
}

/** For the next board: everything stays but its id and key. Returns what is to be said of that. */
export function forgetDevice(): string {
  made = undefined;
  if (wasMade) input("key-make").checked = true;
  wasMade = false;
  show();
  input("device").value = "";
  input("key").value = "";
  const hadAddress = input("ip-address").value !== "";
  input("ip-address").value = ""; // no two boards may have the same
  if (!told) {
    return `Everything is kept but the device’s ${hadAddress ? "id, address" : "id"} and key.`;
  }
  const keyed = chosen("settings") === "write" && chosen("key") !== "none";
  return keyed ? "Everything is kept but the key." : "Everything is kept.";
}
