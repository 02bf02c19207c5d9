/** `--store postgres://…` on the server's command line and in its configuration. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { fails, folder, type Process, start } from "../tests/support/main_process.ts";
import { withPostgres } from "../tests/support/postgres.ts";

Deno.test("options that a PostgreSQL store cannot have are reported with exit code 2, without the password", async () => {
  const store = "postgres://u:secret@h.invalid/d";
  const wrong: [string[], string][] = [
    [["--open", "--store", `${store}?sslmode=some`], "sslmode must be one of"],
    [["--open", "--store", "postgres://u:secret@h:x/d"], "is not a host"],
    [["--open", "--store", store, "--durability", "normal"], "PostgreSQL supports only full"],
    [["devices", "--store", store], "--store takes the name of a file here"],
  ];
  await Promise.all(wrong.map(async ([args, about]) => {
    const [code, text] = await fails(...args);
    assertEquals([code, text.includes("secret")], [2, false], text);
    assertStringIncludes(text, about);
  }));
});

withPostgres("a server's process on PostgreSQL", (server) => {
  const url = (password: string) =>
    server().url(server().schema()).replace("postgres@", `postgres${password}@`);

  const exposed = ({ log }: Process) => log.some(({ code }) => code === "PASSWORD_EXPOSED");

  Deno.test("a device's own topics are refused with the reason: they need a store in SQLite", async () => {
    const mqtt = ["--mqtt", "mqtt://127.0.0.1:1", "--mqtt-own-topics", "a/#"];
    const [code, text] = await fails("--open", "--store", url(""), ...mqtt);
    assertEquals(code, 2, text);
    assertStringIncludes(text, "topics of a device's own need a store in SQLite");
  });

  Deno.test("a password on the command line causes a warning, and is in no line of the log", async () => {
    {
      await using process = start("--open", "--app", "echo", "--store", url(":secret"));
      const port = await process.port();
      await using client = new Client({ id: "1", port });
      await client.write("hello");
      assertEquals(await client.readline(), "echo hello");
      assert(exposed(process), process.stderr);
      assert(!process.stderr.includes("secret"), process.stderr);
      process.kill("SIGTERM");
      assertEquals((await process.ended).code, 0, process.stderr);
    }
    await using process = start("--open", "--app", "echo", "--store", url(""));
    await process.port();
    assert(!exposed(process), process.stderr);
  });

  Deno.test("the URL may be in a configuration, and its password is not exposed", async () => {
    using place = folder();
    const file = `${place.path}/holdfast.jsonc`;
    Deno.writeTextFileSync(
      file,
      JSON.stringify({ open: true, store: url(":secret"), app: ["echo"] }),
    );
    await using process = start("--config", file);
    await process.port();
    assert(!exposed(process), process.stderr);
    assert(!process.stderr.includes("secret"), process.stderr);
  });

  Deno.test("a server that cannot reach its database does not start; it says why and exits with code 1", async () => {
    const [code, text] = await fails("--open", "--store", "postgres://u:secret@127.0.0.1:1/d");
    assertEquals([code, text.includes("secret")], [1, false], text);
    assertStringIncludes(text, "ECONNREFUSED");
  });
});
