/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The choice of firmware and application, and what it means for the flash. */
import { type FlashSize, flashSizes, partsFor } from "../../esp8266/manifest.ts";
import { FlashError } from "../chip/errors.ts";
import { toApplication } from "../plan/application.ts";
import { fetchPart, type Firmware, listFirmware } from "../plan/firmware.ts";
import { parseAddress, type Piece } from "../plan/plan.ts";
import { button, byId, chosen, input, make, select } from "./dom.ts";

/** Where the application stands, for firmware that brings no manifest. */
const APPLICATION = 0xf0000;

let firmware: Firmware[] = [];
let rows = 0;

export async function setUpFirmware(): Promise<void> {
  byId("firmware-choice").addEventListener("change", show);
  select("application").addEventListener("change", show);
  button("add-file").addEventListener("click", () => addRow().focus());
  addRow();
  const note = byId("no-firmware");
  try {
    const list = await listFirmware(new URL(".", document.baseURI).href);
    firmware = list.firmware;
    note.textContent = list.complaints.length > 0
      ? `Some firmware cannot be used: ${list.complaints.join("; ")}.`
      : firmware.length > 0
      ? ""
      : "No firmware was built yet. Build it with: deno task firmware — then reload this page. " +
        "Or choose files on this computer.";
  } catch (error) {
    note.textContent = `The list of firmware cannot be loaded: ${
      error instanceof Error ? error.message : error
    }. Choose files on this computer, or reload this page.`;
  }
  note.hidden = note.textContent === "";
  byId("firmware-list").replaceChildren(...firmware.map(({ manifest }, index) => {
    const { name, version, board, flavour } = manifest;
    const id = `firmware-${index}`;
    const radio = make("input", { type: "radio", name: "firmware", id, value: String(index) });
    radio.checked = index === 0;
    const words = `${name} ${version} for ${board}, ${flavour}`;
    return make("div", { className: "choice" }, radio, make("label", { htmlFor: id }, words));
  }));
  if (firmware.length === 0) input("firmware-files").checked = true;
  show();
}

function show(): void {
  byId("files").hidden = chosen("firmware") !== "files";
  const applications = choice()?.manifest.applications ?? [];
  const options = [
    ...applications.map(({ name }, index) => [String(index), name]),
    ["file", "A file on this computer"],
    ["keep", choice() ? "None, or keep what is on the board" : "Keep what is on the board"],
  ];
  const box = select("application");
  const before = box.value;
  const same = options.length === box.options.length &&
    options.every(([value, words], at) =>
      box.options[at]!.value === value && box.options[at]!.text === words
    );
  if (!same) {
    box.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
    box.value = applications.length > 0 ? "0" : before === "file" ? "file" : "keep";
  }
  byId("application-field").hidden = box.value !== "file";
}

function choice(): Firmware | undefined {
  return firmware[Number(chosen("firmware"))];
}

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
  const row = make(
    "li",
    {},
    make("label", { htmlFor: file.id }, `File ${number}`),
    file,
    make("label", { htmlFor: address.id }, `Address of file ${number}`),
    address,
    remove,
  );
  remove.addEventListener("click", () => {
    row.remove();
    button("add-file").focus();
  });
  byId("file-rows").append(row);
  return file;
}

/** What the user has chosen, loaded and checked. @throws {FlashError} */
export async function loadPieces(flashBytes: number): Promise<Piece[]> {
  const pieces: Piece[] = [];
  const built = choice();
  if (built) {
    for (const part of partsFor(built.manifest, sizeName(flashBytes))) {
      pieces.push({ name: part.name, offset: part.offset, data: await fetchPart(built, part) });
    }
  } else if (chosen("firmware") === "files") {
    pieces.push(...await localFiles());
  }
  const application = select("application").value;
  if (application === "file") {
    const file = input("application-file").files?.[0];
    if (!file) throw new FlashError("NO_FILE", "no application file is chosen");
    const data = toApplication(await bytesOf(file), file.name);
    const offset = built?.manifest.applications[0]?.offset ?? APPLICATION;
    pieces.push({ name: `application ${file.name}`, offset, data });
  } else if (built && application !== "keep") {
    const part = built.manifest.applications[Number(application)]!;
    const data = toApplication(await fetchPart(built, part), part.file);
    pieces.push({ name: `application ${part.name}`, offset: part.offset, data });
  }
  return pieces;
}

function sizeName(bytes: number): FlashSize {
  for (const [name, size] of Object.entries(flashSizes)) {
    if (size === bytes) return name as FlashSize;
  }
  return `${bytes / 1024 / 1024}MB` as FlashSize; // partsFor says which there are
}

async function localFiles(): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for (const row of byId("file-rows").children) {
    const [file, address] = row.querySelectorAll("input");
    const chosenFile = file!.files?.[0];
    if (!chosenFile) continue;
    const offset = parseAddress(address!.value);
    if (offset === undefined) {
      throw new FlashError(
        "BAD_PLAN",
        `${
          JSON.stringify(address!.value)
        } is no address for ${chosenFile.name}: write it like 0x10000`,
      );
    }
    pieces.push({ name: chosenFile.name, offset, data: await bytesOf(chosenFile) });
  }
  if (pieces.length === 0) throw new FlashError("NO_FILE", "no firmware file is chosen");
  return pieces;
}

async function bytesOf(file: File): Promise<Uint8Array> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (cause) {
    throw new FlashError("NO_FILE", `${file.name} cannot be read`, undefined, { cause });
  }
}
