/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The second step: which firmware and which application. */
import {
  type Firmware,
  firmwareNames,
  isApplicationWithin,
  isToldSettings,
  listFirmware,
} from "../plan/firmware.ts";
import {
  type ApplicationChoice,
  type FirmwareChoice,
  settingsArea as areaOf,
} from "../plan/pieces.ts";
import type { FlashMode } from "../../formats/image.ts";
import { inspectApplication } from "../plan/application.ts";
import { bytesOf } from "../plan/pieces.ts";
import { explain } from "../words/faults.ts";
import { aboutApplication } from "../plan/applications.ts";
import { button, byId, chosen, input, isServedHere, make, marked, select } from "./dom.ts";
import { keepForOffline } from "./offline.ts";
import { showSettingsFor } from "./settings_view.ts";

let firmware: Firmware[] = [];
let rows = 0;

/** Resolves when the list of firmware has arrived or failed, to the words for the user. */
export async function setUpFirmware(): Promise<string> {
  byId("firmware-choice").addEventListener("change", show);
  select("application").addEventListener("change", show);
  input("application-file").addEventListener("change", () => void showApplicationFile());
  button("add-file").addEventListener("click", () => addRow().focus());
  addRow();
  const note = byId("firmware-note");
  note.textContent = "The list of firmware is loading …";
  note.hidden = false;
  try {
    const list = await listFirmware(new URL(".", document.baseURI).href);
    firmware = list.firmware;
    note.textContent = "";
    if (list.complaints.length > 0) {
      note.textContent = `Some firmware cannot be used: ${list.complaints.join("; ")}.`;
    } else if (firmware.length === 0) {
      note.replaceChildren(
        "This page has come without firmware. " +
          (isServedHere()
            ? "The README of Holdfast says how to build it (“A board”): then reload this page."
            : "Tell its publisher.") +
          " Or choose files on this computer.",
      );
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    note.textContent =
      `The list of firmware cannot be loaded: ${why}. Reload this page, or choose files on this computer.`;
  }
  note.hidden = note.textContent === "";
  byId("firmware-list").replaceChildren(
    ...firmwareNames(firmware).map((words, index) => {
      const id = `firmware-${index}`;
      const radio = make("input", { type: "radio", name: "firmware", id, value: String(index) });
      return make("div", { className: "choice" }, radio, make("label", { htmlFor: id }, words));
    }),
  );
  // A choice made while the list was loading stays.
  if (chosen("firmware") === "") {
    input(firmware.length > 0 ? "firmware-0" : "firmware-files").checked = true;
  }
  show();
  void keepForOffline(firmware);
  return note.textContent;
}

/** Whether what will be flashed depends on a list that has not arrived yet. */
export function isListAwaited(): boolean {
  return chosen("firmware") === "";
}

/** Whether the list has brought some firmware. */
export function isFirmwareThere(): boolean {
  return firmware.length > 0;
}

function show(): void {
  byId("files").hidden = chosen("firmware") !== "files";
  const manifest = built()?.manifest;
  showSettingsFor(manifest !== undefined && isToldSettings(manifest));
  const within = manifest !== undefined && isApplicationWithin(manifest);
  byId("application-choice").hidden = within;
  byId("application-within").hidden = !within;
  byId("flash-mode-field").hidden = manifest === undefined;
  const applications = manifest?.applications ?? [];
  const options = [
    ...applications.map(({ name }, index) => [String(index), name]),
    ["file", "A file on this computer"],
    ["keep", "Keep what is on the board"],
  ];
  const box = select("application");
  const names = (list: Iterable<{ text: string }>) =>
    Array.from(list, ({ text }) => text).join("\n");
  if (names(box.options) !== names(options.map(([, text]) => ({ text: text! })))) {
    box.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    box.value = applications.length > 0 ? "0" : "keep";
  }
  byId("application-field").hidden = within || box.value !== "file";
  showAbout(applications[Number(box.value)]?.name);
}

/** Shows what the chosen application does, and its other half at the server. */
function showAbout(name: string | undefined): void {
  const about = aboutApplication(name ?? "");
  const half = about?.app && ` Its other half runs in the server: \`--app ${about.app}\``;
  byId("application-about").replaceChildren(
    ...marked(
      about
        ? `${about.does}${half ?? ""}`
        : "The program that the board runs. If it has another half for the server, start the server with that: " +
          "`--app ./FILE.ts`",
    ),
  );
}

/** Says at once, without flashing, whether the firmware can run the chosen file. */
async function showApplicationFile(): Promise<void> {
  const field = input("application-file");
  const file = field.files?.[0];
  let words = "", good = true;
  if (file) {
    try {
      const { size, imports } = inspectApplication(await bytesOf(file), file.name);
      const uses = imports.filter((name) => name.startsWith("board."))
        .map((name) => name.slice("board.".length)).join(", ");
      words = `${file.name} can be flashed: ${size} bytes${uses && `; it uses ${uses}`}.`;
    } catch (error) {
      good = false;
      words = explain(error).text;
    }
  }
  if (field.files?.[0] !== file) return; // another one was chosen meanwhile
  byId("application-note").textContent = words;
  byId("application-note").className = good ? "hint" : "problem";
  if (good) field.removeAttribute("aria-invalid");
  else field.setAttribute("aria-invalid", "true");
}

/** The chosen firmware, if it came with the page. */
function built(): Firmware | undefined {
  return firmware[Number(chosen("firmware"))];
}

export function firmwareChoice(): FirmwareChoice {
  const came = built();
  if (came) return { kind: "built", firmware: came };
  if (chosen("firmware") === "keep") return { kind: "keep" };
  const files = Array.from(byId("file-rows").children, (row) => {
    const [file, address] = row.querySelectorAll("input");
    return { file: file!.files?.[0], address: address!.value };
  });
  return {
    kind: "files",
    files: files.flatMap(({ file, address }) => file ? [{ file, address }] : []),
  };
}

export function applicationChoice(): ApplicationChoice {
  const came = built();
  if (came && isApplicationWithin(came.manifest)) return { kind: "within" };
  const value = select("application").value;
  if (value === "file") return { kind: "file", file: input("application-file").files?.[0] };
  const part = came?.manifest.applications[Number(value)];
  return came && part ? { kind: "built", firmware: came, part } : { kind: "keep" };
}

/** The chosen mode in which the chip reads its flash. */
export function flashMode(): FlashMode {
  return select("flash-mode").value as FlashMode;
}

/** The server's `--app` that belongs to what is chosen, if that is known. */
export function serverApp(): string | undefined {
  const choice = applicationChoice();
  if (choice.kind === "within") return aboutApplication(built()?.manifest.aot ?? "")?.app;
  return choice.kind === "built" ? aboutApplication(choice.part.name)?.app : undefined;
}

/** The sector of the settings in the flash. */
export function settingsArea(): { offset: number; size: number } {
  return areaOf(firmwareChoice());
}

/** Adds a file with its address; returns the field for the file. */
function addRow(): HTMLInputElement {
  const number = ++rows;
  const file = make("input", { type: "file", id: `file-${number}`, accept: ".bin" });
  const address = make("input", {
    id: `address-${number}`,
    value: number === 1 ? "0x0" : "",
    spellcheck: false,
    autocapitalize: "none",
  });
  const remove = make("button", { type: "button" }, "Remove");
  remove.setAttribute("aria-label", `Remove file ${number}`);
  const field = (label: string, control: HTMLInputElement) =>
    make("div", {}, make("label", { htmlFor: control.id }, label), control);
  const row = make(
    "li",
    {},
    field(`File ${number}`, file),
    field(`Address of file ${number}`, address),
    remove,
  );
  remove.addEventListener("click", () => {
    row.remove();
    button("add-file").focus();
  });
  byId("file-rows").append(row);
  return file;
}
