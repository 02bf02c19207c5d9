/** The firmware that came with the page: a list of folders, each with a manifest and its files. */
import { checkPart, type Manifest, type Part, readManifest } from "../../formats/manifest.ts";
import { FlashError } from "../chip/errors.ts";

/** A firmware that can be chosen. */
export interface Firmware {
  /** Address of its folder, ending in `/`. */
  base: string;
  manifest: Manifest;
}

/** Names of the flavours of a firmware. */
const FLAVOURS: Record<string, string> = { wifi: "WiFi", pyboard: "link for a Pyboard" };

/** Whether its application is part of it, so that the user cannot choose one. */
export function isApplicationWithin({ aot }: Manifest): boolean {
  return aot !== undefined;
}

/** Whether it gets its settings from another board, so that it needs none in flash. */
export function isToldSettings({ flavour }: Manifest): boolean {
  return flavour === "pyboard";
}

/** The names of the firmware in the list. Boards are named only where that distinguishes two. */
export function firmwareNames(list: readonly Pick<Firmware, "manifest">[]): string[] {
  const short = list.map(({ manifest }) => {
    const { name, version, flavour } = manifest;
    const own = name === "holdfast" ? "Holdfast" : name;
    // For a Pyboard's firmware this goes without saying.
    const more = isApplicationWithin(manifest) && !isToldSettings(manifest)
      ? " with its application in it"
      : "";
    return `${own} ${version} (${FLAVOURS[flavour] ?? flavour})${more}`;
  });
  return short.map((words, index) => {
    const alone = short.filter((other) => other === words).length === 1;
    return alone ? words : `${words} for ${list[index]!.manifest.board}`;
  });
}

type Fetch = (address: string) => Promise<Response>;

/**
 * The firmware to choose from. An unusable one becomes a complaint, and the others are listed.
 *
 * @param base address of the page's folder, ending in `/`
 */
export async function listFirmware(
  base: string,
  get: Fetch = fetch,
): Promise<{ firmware: Firmware[]; complaints: string[] }> {
  const index = await load(get, `${base}firmware/index.json`);
  const folders: unknown = await index.json();
  if (!Array.isArray(folders)) throw new FlashError("NO_FILE", "the list of firmware is no list");
  const firmware: Firmware[] = [];
  const complaints: string[] = [];
  for (const folder of folders) {
    const address = `${base}firmware/${encodeURIComponent(String(folder))}/`;
    try {
      const manifest = readManifest(await (await load(get, `${address}manifest.json`)).text());
      firmware.push({ base: address, manifest });
    } catch (error) {
      complaints.push(`${folder}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { firmware, complaints };
}

/** The bytes of a part, checked against its manifest. @throws {FlashError} NO_FILE, BAD_IMAGE */
export async function fetchPart(
  { base }: Firmware,
  part: Part,
  get: Fetch = fetch,
): Promise<Uint8Array> {
  const response = await load(get, base + encodeURIComponent(part.file));
  const bytes = new Uint8Array(await response.arrayBuffer());
  try {
    await checkPart(part, bytes);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new FlashError("BAD_IMAGE", message, part.offset, { cause });
  }
  return bytes;
}

async function load(get: Fetch, address: string): Promise<Response> {
  const name = address.split("/").slice(-2).join("/");
  let response;
  try {
    response = await get(address);
  } catch (cause) {
    throw new FlashError("NO_FILE", `${name} cannot be fetched`, undefined, { cause });
  }
  if (!response.ok) throw new FlashError("NO_FILE", `${name} is not there (${response.status})`);
  return response;
}
