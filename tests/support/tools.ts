/**
 * Tests that need an external program: if it is missing, the test is shown as ignored, with the necessary Debian
 * packages in its name; with CI=true it fails, so that nothing is skipped there unnoticed.
 *
 * @module
 */

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // missing or not permitted: no tool either way
  }
}

/**
 * The full path of a program on the path, or of a file if `name` contains a slash (for what a package
 * brings besides programs). Undefined when it is missing; in CI that is an error which names the
 * Debian package.
 */
export function tool(name: string, debianPackage: string): string | undefined {
  const path = find(name);
  if (path === undefined && inCi()) {
    throw new Error(`${name} is missing. Add its Debian package to .ci/run: ${debianPackage}`);
  }
  return path;
}

/** The paths of a test's tools, by the names that the test asked for. */
export type Tools<N extends string> = Record<N, string>;

/**
 * Registers a test that needs external programs. `tools` maps each program to its Debian package.
 *
 * ```ts ignore
 * toolTest("a broker carries a message", { mosquitto: "mosquitto" }, async ({ mosquitto }) => {
 *   await new Deno.Command(mosquitto, { args: ["-h"], stdout: "null" }).output();
 * });
 * ```
 */
export function toolTest<N extends string>(
  name: string,
  tools: Record<N, string>,
  fn: (paths: Tools<N>, t: Deno.TestContext) => void | Promise<void>,
): void {
  const { paths, missing } = locate(tools);
  if (missing.length === 0) {
    Deno.test(name, (t) => fn(paths as Tools<N>, t));
  } else if (inCi()) {
    Deno.test(name, () => {
      throw new Error(`A tool is missing. Add its Debian package to .ci/run: ${missing.join(" ")}`);
    });
  } else {
    Deno.test({ name: `${name} [apt install ${missing.join(" ")}]`, ignore: true, fn() {} });
  }
}

/** The paths of the tools, and the packages of missing ones. */
export function locate(
  tools: Record<string, string>,
): { paths: Record<string, string>; missing: string[] } {
  const paths: Record<string, string> = {};
  const missing = new Set<string>();
  for (const [name, debianPackage] of Object.entries(tools)) {
    const path = find(name);
    if (path === undefined) missing.add(debianPackage);
    else paths[name] = path;
  }
  return { paths, missing: [...missing] };
}

function find(name: string): string | undefined {
  if (name.includes("/")) return isFile(name) ? name : undefined;
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder !== "");
  // Debian puts servers into the sbin next to a bin, which is not on every user's path.
  const servers = folders.map((folder) => folder.replace(/\/bin$/, "/sbin"));
  return [...folders, ...servers].map((folder) => `${folder}/${name}`).find(isFile);
}

function inCi(): boolean {
  return Deno.env.get("CI") === "true";
}
