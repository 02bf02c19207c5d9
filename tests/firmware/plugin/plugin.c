/*
 * Runs inside QEMU and watches the emulated chip: counts its instructions, and finds accesses that the emulator allows
 * and the chip does not: loads of less than a word from flash or instruction memory, and such stores to the latter.
 *
 *     -plugin libplugin.so,counters=FILE,from=ADDRESS
 *
 * Counting begins when the instruction at `from` is first executed. The file always has the current counters.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- The used part of QEMU's plugin interface, version 1; Debian packages no header for it. ---- */

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS = 0, MEM_RW = 3 }; /* with reads only, QEMU 7.2 misses some */

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*cb)(unsigned cpu, void *data), int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*cb)(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address,
                                                 void *data),
                                      int flags, int rw, void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* ---- */

static struct counters {
  uint64_t instructions;
  uint64_t loads;      /* from flash and instruction memory */
  uint64_t stores;     /* to instruction memory */
  uint64_t illegal;    /* accesses of less than a word among them */
  uint64_t illegal_at; /* the last one's instruction and address */
  uint64_t illegal_address;
} *counters;

static uint64_t from;
static bool armed;

static void executed(unsigned cpu, void *data) {
  (void)cpu;
  if ((uint64_t)(uintptr_t)data == from) armed = true;
  if (armed) counters->instructions++;
}

static void accessed(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  (void)cpu;
  bool flash = address >= 0x40200000 && address < 0x40300000;
  bool iram = address >= 0x40100000 && address < 0x40110000;
  bool store = qemu_plugin_mem_is_store(info);
  if (!armed || !(iram || (flash && !store))) return; /* stores to the mapped flash stand for writes over its bus */
  if (store) counters->stores++;
  else counters->loads++;
  if (qemu_plugin_mem_size_shift(info) >= 2) return;
  counters->illegal++;
  counters->illegal_at = (uintptr_t)data;
  counters->illegal_address = address;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    void *at = (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn);
    qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, CB_NO_REGS, at);
    qemu_plugin_register_vcpu_mem_cb(insn, accessed, CB_NO_REGS, MEM_RW, at);
  }
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                                               char **argv) {
  (void)info;
  int file = -1;
  for (int i = 0; i < argc; i++) {
    if (!strncmp(argv[i], "counters=", 9)) file = open(argv[i] + 9, O_RDWR | O_CREAT, 0600);
    if (!strncmp(argv[i], "from=", 5)) from = strtoull(argv[i] + 5, 0, 0);
  }
  if (file < 0 || ftruncate(file, sizeof *counters)) return 1;
  counters = mmap(0, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (counters == MAP_FAILED) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
