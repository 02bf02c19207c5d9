/** Tests `stack.S` on the emulated processor: the only assembly code that no other test runs. */
import { assertEquals } from "@std/assert";
import { toolTest } from "../../../../tests/support/tools.ts";
import { LIBC, run } from "../../toolchain.ts";

const PROBE = `
#include <stdint.h>
#include <stdlib.h>
extern int simcall(int number, int a, int b, int c);
void call_on_stack(void (*function)(void), void *top);

static uint8_t stack[1024] __attribute__((aligned(16)));
static volatile int called;
static uint8_t *volatile seen;

static void inside(void) {
  uint8_t local[64];
  for (unsigned i = 0; i < sizeof local; i++) local[i] = i;
  seen = local;
  for (unsigned i = 0; i < sizeof local; i++) called += local[i] == i;
}

void crashed(void) { simcall(1, 90, 0, 0); }

int main(void) {
  volatile int before = 7;
  register int kept = called + 11; /* in a register that functions must preserve */
  call_on_stack(inside, stack + sizeof stack);
  if (called != 64) simcall(1, 1, 0, 0);                                      /* it was called once */
  if (seen < stack || seen >= stack + sizeof stack) simcall(1, 2, 0, 0);      /* on that stack */
  if (before != 7 || kept != 11) simcall(1, 3, 0, 0);                         /* and our values are preserved */
  call_on_stack(inside, stack + sizeof stack);
  simcall(1, called == 128 ? 42 : 4, 0, 0);
}
`;

toolTest("a function is called on another stack, and returns", {
  "xtensa-lx106-elf-gcc": "gcc-xtensa-lx106",
  "qemu-system-xtensa": "qemu-system-misc",
}, async (tools) => {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-stack-" });
  try {
    await Deno.writeTextFile(`${folder}/probe.c`, PROBE);
    const path = (name: string) => new URL(name, import.meta.url).pathname;
    await run("xtensa-lx106-elf-gcc", [
      ...[
        "-O2",
        "-mlongcalls",
        "-mtext-section-literals",
        "-nostdlib",
        "-isystem",
        `${LIBC}/include`,
      ],
      ...["-T", path("../emulator/linker.ld"), "-o", "probe.elf"],
      ...["probe.c", path("stack.S"), path("../emulator/start.S")],
    ], folder);
    const { code } = await new Deno.Command(tools["qemu-system-xtensa"], {
      args: [
        ...["-M", "sim", "-cpu", "lx106", "-semihosting", "-display", "none", "-monitor", "none"],
        ...["-serial", "none", "-kernel", `${folder}/probe.elf`],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      signal: AbortSignal.timeout(120_000), // a wrong return would run for ever
    }).output();
    assertEquals(code, 42);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
