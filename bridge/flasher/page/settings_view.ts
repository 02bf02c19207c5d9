/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The form's third step: the device's settings. */
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

/** A key that was made, shown and confirmed, and its id: it is not shown again until a board has it. */
let made: { id: string | undefined; key: string } | undefined;

/** The key in its field was made here. */
let wasMade = false;

/** The doubtful values that the user was asked about; the fields may have changed since. */
let confirmed = "";

/** This board gets its settings from another one. */
let told = false;

/** The default choice, and the names of the choices. */
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
  // A complaint disappears when its field is changed.
  for (const id of Object.values(IDS)) {
    byId(id).addEventListener("input", () => complain(id, undefined));
  }
  show();
}

/** Shows the form for firmware that gets its settings from another board, or for other firmware. */
export function showSettingsFor(toldByOther: boolean): void {
  if (told !== toldByOther) {
    const [before, after] = told ? [KINDS.told, KINDS.own] : [KINDS.own, KINDS.told];
    told = toldByOther;
    for (const name of ["settings", "key"] as const) {
      // Fields that differ from the default were chosen, and stay.
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

/** Whether the fields can be written; if not, the focus is on one that says what is wrong. */
export function checkSettings(): boolean {
  return looksRight() !== undefined;
}

/** The settings to write, and their sector. */
export type Written = Extract<ReturnType<typeof read>, { sector: Uint8Array }>;

/**
 * The settings to write. Makes a key, and shows it, if chosen.
 *
 * @returns undefined if nothing must be written: a field must be corrected, and has the focus, or the user did not take
 * the key; the page says which
 * @param app the server's half of the application, if known
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
    say(""); // everything is corrected
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

/** The fields' values; undefined if something is wrong, or doubtful for the first time: the page then says so. */
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
    confirmed = meant; // the second press confirms
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
  // The field is hidden if the key will be made.
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
 * The settings are on the board. The key that was made for it moves into the field for a key that exists, so that
 * corrected settings have the same one; “Make one” makes another.
 */
export function settingsWritten(): void {
  if (!made) return;
  input("key").value = made.key;
  input("key-have").checked = true;
  made = undefined;
  wasMade = true;
  show();
}

/** For the next board: keeps everything but the id and key. Returns what to tell the user. */
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
