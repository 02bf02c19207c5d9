/**
 * Patches of the interpreter's sources, applied during a build. They halve the memory of interpreted code, and remove
 * features that our applications cannot use:
 *
 * - **Code words of 16 bits**, not 32. An operation is stored as its distance from the first one, in words; a pointer
 *   as its distance from the module's memory, as everything that code points to is in the arena with it. Only
 *   constants and the two words of an import take two.
 * - **Registers of 32 bits**, and no 64-bit values: a module that uses i64 is refused.
 * - Addresses are checked in 32 bits; memory does not grow.
 *
 * wasm3_records.ts patches the module's other records.
 *
 * @module
 */
import { BuildError } from "./errors.ts";
import { type Patch, RECORDS } from "./wasm3_records.ts";

const CODE: Patch[] = [
  {
    file: "m3_core.h",
    from: "typedef void /*const*/ *                    code_t;",
    to: "typedef u16 code_t;",
  },
  {
    file: "m3_exec_defs.h",
    from: "((IM3Operation)(* _pc))(_pc + 1, d_m3OpArgs)",
    to: "m3_operation(*_pc)(_pc + 1, d_m3OpArgs)",
  },
  {
    file: "m3_exec_defs.h",
    from: "((IM3Operation)(*  PC))( PC + 1, d_m3OpArgs)",
    to: "m3_operation(*PC)(PC + 1, d_m3OpArgs)",
  },
  {
    file: "m3_exec_defs.h",
    from: "#define nextOpImpl()",
    to:
      `/* Where the operations are: operations.ts puts them behind each other, and this name in front. */
extern const u32 m3_operations[];
#define m3_operation(word) ((IM3Operation)(m3_operations + (word)))

#define nextOpImpl()`,
  },
  {
    file: "m3_exec.h",
    from: "# define rewrite_op(OP)             * ((void **) (_pc-1)) = (void*)(OP)",
    to: "# define rewrite_op(OP) (*(code_t *)(_pc - 1) = (const u32 *)(OP) - m3_operations)",
  },
  {
    file: "m3_exec.h",
    from: "# define immediate(TYPE)            * ((TYPE *) _pc++)",
    to: `# define m3_pointer(word) ((word) ? (void *)((u8 *)_mem + (i16)(word)) : (void *)0)
# define m3_far_pointer(word) ((void *)((u8 *)_mem + (i16)(word)))
# define immediate(TYPE) ((TYPE)_Generic((TYPE){ 0 }, i32: *_pc++, u32: *_pc++, default: m3_far_pointer(*_pc++)))
# define immediate_32() (_pc += 2, _pc[-2] | (u32)_pc[-1] << 16)`,
  },
  {
    file: "m3_exec.h",
    from: "M3RawCall call = (M3RawCall) (* _pc++);",
    to: "M3RawCall call = (M3RawCall)immediate_32();",
  },
  {
    file: "m3_exec.h",
    from: "ctx.userdata = immediate (void *);",
    to: "ctx.userdata = (void *)immediate_32();",
  },
  {
    file: "m3_exec.h",
    from: "* ((void**) --_pc) = (void*) (function->compiled);",
    to: "*(code_t *)--_pc = (u8 *)function->compiled - (u8 *)_mem;",
  },
  { file: "m3_exec.h", from: "jumpOp (* _pc);", to: "jumpOp (m3_far_pointer (*_pc));" },
  { file: "m3_exec.h", from: "    pc_t * branches = (pc_t *) _pc;\n", to: "" },
  {
    file: "m3_exec.h",
    from: "jumpOp (branches [branchIndex]);",
    to: "jumpOp (m3_far_pointer (_pc [branchIndex]));",
  },
  { file: "m3_exec.h", from: "u32 value = * (u32 *)_pc++;", to: "u32 value = immediate_32 ();" },
  { file: "m3_exec.h", from: "u64 value = * (u64 *)_pc;", to: "u64 value = 0;" },
  {
    file: "m3_code.c",
    from: "    i_page->code [i_page->info.lineIndex++] = i_word;",
    to: "    i_page->code [i_page->info.lineIndex++] = m3_distance (i_word);",
  },
  {
    file: "m3_code.c",
    from: "void  EmitWord_impl  (IM3CodePage i_page, void * i_word)",
    to: `u8 *m3_memory; /* what pointers are counted from */
bool m3_too_far; /* a word did not hold what it had to */

u16  m3_distance (const void * i_pointer)
{
    i32 distance = i_pointer ? (u8 *)i_pointer - m3_memory : 0;
    if (distance != (i16)distance) m3_too_far = true;
    return distance;
}

void  EmitNumber  (IM3CodePage i_page, u32 i_number)
{
    if (i_number > 0xffff) m3_too_far = true;
    i_page->code [i_page->info.lineIndex++] = i_number;
}

void  EmitOperation  (IM3CodePage i_page, const void * i_operation)
{
    EmitNumber (i_page, (const u32 *)i_operation - m3_operations);
}

void  EmitWord_impl  (IM3CodePage i_page, void * i_word)`,
  },
  {
    file: "m3_code.c",
    from: '#include "m3_env.h"',
    to: '#include "m3_env.h"\n#include "m3_exec_defs.h"',
  },
  {
    file: "m3_code.c",
    from: "    memcpy (& i_page->code[i_page->info.lineIndex++], & i_word, sizeof(i_word));",
    to: `    i_page->code [i_page->info.lineIndex++] = i_word;
    i_page->code [i_page->info.lineIndex++] = i_word >> 16;`,
  },
  {
    file: "m3_code.h",
    from: "void                    EmitWord32              (IM3CodePage i_page, u32 i_word);",
    to: `void                    EmitWord32              (IM3CodePage i_page, u32 i_word);
void                    EmitNumber              (IM3CodePage i_page, u32 i_number);
void                    EmitOperation           (IM3CodePage i_page, const void * i_operation);
u16                     m3_distance             (const void * i_pointer);
extern u8 *             m3_memory;
extern bool             m3_too_far;`,
  },
  {
    file: "m3_compile.c",
    from: "EmitWord (o->page, i_operation);",
    to: "EmitOperation (o->page, i_operation);",
  },
  {
    file: "m3_compile.c",
    from: "EmitWord32 (o->page, i_immediate);",
    to: "EmitNumber (o->page, i_immediate);",
  },
  {
    file: "m3_compile.c",
    from: "EmitWord32 (o->page, i_offset);",
    to: "EmitNumber (o->page, i_offset);",
  },
  {
    file: "m3_compile.c",
    from: `        pc_t next = * (pc_t *) patches;
        * (pc_t *) patches = pc;
        patches = next;`,
    to: `        pc_t next = *patches ? (pc_t)(m3_memory + (i16)*patches) : NULL;
        *(code_t *)patches = m3_distance (pc);
        patches = next;`,
  },
  {
    file: "m3_compile.c",
    from: "pc_t * jumpTo = (pc_t *) ReservePointer (o);",
    to: "code_t * jumpTo = ReservePointer (o);",
  },
  { file: "m3_compile.c", from: "pc_t * jumpTo = NULL;", to: "code_t * jumpTo = NULL;" },
  {
    file: "m3_compile.c",
    from: "jumpTo = (pc_t *) ReservePointer (o);",
    to: "jumpTo = ReservePointer (o);",
  },
  {
    file: "m3_compile.c",
    from: "* jumpTo = GetPC (o);",
    to: "* jumpTo = m3_distance (GetPC (o));",
    times: 2,
  },
  {
    file: "m3_compile.c",
    from: "pc_t * pc = (pc_t *) ReservePointer (o);",
    to: "code_t * pc = ReservePointer (o);",
  },
  {
    file: "m3_compile.c",
    from: "else * pc = GetPC (o);",
    to: "else * pc = m3_distance (GetPC (o));",
  },
  {
    file: "m3_compile.c",
    from: "CompileElseBlock  (IM3Compilation o, pc_t * o_startPC, IM3FuncType i_blockType)",
    to: "CompileElseBlock  (IM3Compilation o, code_t * o_startPC, IM3FuncType i_blockType)",
  },
  {
    file: "m3_compile.c",
    from: `        EmitWord (page, op_CallRawFunction);
        EmitWord (page, i_function);
        EmitWord (page, io_function);
        EmitWord (page, i_userdata);`,
    to: `        EmitOperation (page, op_CallRawFunction);
        EmitWord32 (page, (u32)i_function);
        EmitWord (page, io_function);
        EmitWord32 (page, (u32)i_userdata);`,
  },
];

/** No 64-bit values, and addresses checked in 32 bits. */
const WORDS: Patch[] = [
  {
    file: "m3_core.h",
    from: "typedef i64                     m3reg_t;",
    to: "typedef i32 m3reg_t;",
  },
  {
    file: "m3_core.c",
    from: "    else if (type < c_m3Type_i32 or type > c_m3Type_f64)",
    to: "    else if (type != c_m3Type_i32)",
  },
  {
    file: "m3_compile.c",
    from: "        if (opinfo->compiler) {",
    to: `        if (opinfo->type >= c_m3Type_i64 && opinfo->type <= c_m3Type_f64)
            _throw ("64-bit or floating-point numbers");

        if (opinfo->compiler) {`,
  },
  {
    file: "m3_exec.h",
    from: "    u64 operand = (u32) _r0;                            \\",
    to: "    u32 operand = (u32) _r0; \\",
    times: 3,
  },
  {
    file: "m3_exec.h",
    from: "    u64 operand = slot (u32);                           \\",
    to: "    u32 operand = slot (u32); \\",
    times: 3,
  },
  {
    file: "m3_exec.h",
    from: "operand + sizeof (SRC_TYPE) <= _mem->length",
    to: "operand >= offset && operand <= _mem->length - sizeof (SRC_TYPE)",
    times: 2,
  },
  {
    file: "m3_exec.h",
    from: "operand + sizeof (DEST_TYPE) <= _mem->length",
    to: "operand >= offset && operand <= _mem->length - sizeof (DEST_TYPE)",
    times: 3,
  },
  {
    file: "m3_exec.h",
    from: "memcpy(&value, src8, sizeof(value));",
    to: "m3_load(&value, src8, sizeof(value));",
    times: 2,
  },
  {
    file: "m3_exec.h",
    from: "memcpy(mem8, &val, sizeof(val));",
    to: "m3_store(mem8, &val, sizeof(val));",
    times: 4,
  },
  {
    file: "m3_exec.h",
    from: "M3Result r = ResizeMemory (runtime, requiredPages);",
    to: "(void) requiredPages; M3Result r = m3Err_wasmMemoryOverflow;",
  },
];

/** Fixes of crashes. */
const FAULTS: Patch[] = [
  // If memory runs out while a module is loaded, its counts are too high to free it. The arena is reset anyway.
  { file: "m3_parse.c", from: "        m3_FreeModule (module);\n", to: "" },
  // Each nested block takes some 250 more bytes of the C stack, which is limited (`START_STACK`).
  {
    file: "m3_compile.c",
    from: "_try {\n    // validate and dealloc params ----------------------------\n",
    to: '_try {\n    _throwif ("blocks nested too deep", block->depth > m3_most_depth);\n',
  },
];

const PATCHES = [...CODE, ...WORDS, ...RECORDS, ...FAULTS];

/** The patched sources. @throws {BuildError} if a patch does not fit the source */
export function patchWasm3(sources: Map<string, string>): Map<string, string> {
  const changed = new Map(sources);
  for (const { file, from, until, to, times = 1 } of PATCHES) {
    const parts = changed.get(file)?.split(from) ?? [];
    if (parts.length !== times + 1) {
      throw new BuildError(
        `wasm3: a patch does not fit ${file}, which has this ${
          parts.length - 1
        } times, not ${times}:\n${from}`,
      );
    }
    if (until !== undefined) {
      const end = parts[1]!.indexOf(until);
      if (end < 0) {
        throw new BuildError(
          `wasm3: a patch does not fit ${file}, which lacks, after ${from}:\n${until}`,
        );
      }
      parts[1] = parts[1]!.slice(end);
    }
    changed.set(file, parts.join(to));
  }
  return changed;
}
