/**
 * Changes to the interpreter's sources, made on their way into a build. They halve the memory that interpreted code
 * takes, and leave out what no application of ours can use:
 *
 * - **Code words of 16 bits**, not 32. An operation is said by its distance from the first one, in words; a pointer by
 *   its distance from the module's memory, as all that code points to lies in the arena with it. Only constants and
 *   the two words of an import take two.
 * - **Registers of 32 bits**, and no 64-bit values: a module with i64 in it is refused.
 * - Addresses are checked in 32 bits; memory does not grow.
 * - A function keeps no names: exports and imports are looked up in the module, where it lies in flash.
 *
 * Long because it is a list: each patch shows what it replaces.
 *
 * @module
 */
import { BuildError } from "./errors.ts";

/**
 * In a file, each `from` stands exactly so many times (once, unless told), and becomes `to`; with `until`, so does
 * all from there up to the next place with that text.
 */
interface Patch {
  file: string;
  from: string;
  until?: string;
  to: string;
  times?: number;
}

const CODE: Patch[] = [
  {
    file: "m3_core.h",
    from: "typedef void /*const*/ *                    code_t;",
    to: "typedef u16 code_t;",
  },
  {
    file: "m3_core.h",
    from: "d_m3CodePageFreeLinesThreshold      4+2",
    to: "d_m3CodePageFreeLinesThreshold (6+2)",
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
    from: "EmitWord (o->page, op_Branch);",
    to: "EmitOperation (o->page, op_Branch);",
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
    from: "* o_startPC = GetPagePC (elsePage);",
    to: "* o_startPC = m3_distance (GetPagePC (elsePage));",
  },
  {
    file: "m3_compile.c",
    from: "AcquireCodePageWithCapacity (io_module->runtime, 4);",
    to: "AcquireCodePageWithCapacity (io_module->runtime, 6);",
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

/** No names: engine_wasm3.c reads exports and imports where they are, in flash. */
const NAMES: Patch[] = [
  {
    file: "m3_function.h",
    from: "    M3ImportInfo            import;",
    until: "    bytes_t                 wasm;",
    to: "",
  },
  {
    file: "m3_function.h",
    from: "    cstr_t                  names[d_m3MaxDuplicateFunctionImpl];",
    until: "    IM3FuncType             funcType;",
    to: "",
  },
  {
    file: "m3_function.c",
    from: "    for (int i = 0; i < i_function->numNames; i++)",
    until: "    if (i_function->ownsWasmCode)",
    to: "",
  },
  {
    file: "m3_function.c",
    from: "cstr_t  m3_GetFunctionName  (IM3Function i_function)",
    until: "IM3Module  m3_GetFunctionModule",
    to: "",
  },
  {
    file: "m3_function.c",
    from: "cstr_t *  GetFunctionNames",
    until: "u16  GetFunctionNumArgs",
    to: "",
  },
  {
    file: "m3_module.c",
    from:
      "            m3_Free (i_module->globals[i].name);\n            FreeImportInfo(&(i_module->globals[i].import));\n",
    to: "",
  },
  {
    file: "m3_module.c",
    from: "    if (i_importInfo and func->numNames == 0)",
    until: '    m3log (module, "   added function',
    to: "",
  },
  { file: "m3_env.h", from: "    M3ImportInfo            import;\n\n    union", to: "    union" },
  { file: "m3_env.h", from: "        i64 i64Value;", to: "        i32 i64Value;" },
  {
    file: "m3_env.h",
    from: "    cstr_t                  name;\n    bytes_t                 initExpr;",
    to: "    bytes_t initExpr;",
  },
  { file: "m3_env.c", from: "IM3Global  m3_FindGlobal", until: "M3Result  m3_GetGlobal", to: "" },
  {
    file: "m3_env.c",
    from: "void *  v_FindFunction",
    until: "static\nM3Result checkStartFunction",
    to: "",
  },
  {
    file: "m3_parse.c",
    from: "_       (Read_utf8 (& import.moduleUtf8, & i_bytes, i_end));",
    to: "_       (Skip_utf8 (& i_bytes, i_end));",
  },
  {
    file: "m3_parse.c",
    from: "_       (Read_utf8 (& import.fieldUtf8, & i_bytes, i_end));",
    to: "_       (Skip_utf8 (& i_bytes, i_end));",
  },
  {
    file: "m3_parse.c",
    from: "                i8 waType;\n                u8 type, isMutable;",
    until: "            }\n            break;\n\n            default:",
    to: '                _throw ("an imported global");\n',
  },
  {
    file: "m3_parse.c",
    from: "M3Result  ParseSection_Export",
    until: "M3Result  ParseSection_Start",
    to: "",
  },
  {
    file: "m3_parse.c",
    from: "M3Result  ParseSection_Name",
    until: "M3Result  ParseModuleSection",
    to: "",
  },
  {
    file: "m3_parse.c",
    from: "        ParseSection_Custom,    // 0",
    to: "        NULL,                   // 0",
  },
  {
    file: "m3_parse.c",
    from: "        ParseSection_Export,    // 7",
    to: "        NULL,                   // 7",
  },
  {
    file: "m3_parse.c",
    from: "M3Result  ParseSection_Import",
    to: `static M3Result  Skip_utf8  (bytes_t * io_bytes, cbytes_t i_end)
{
    u32 length;
    M3Result result = ReadLEB_u32 (& length, io_bytes, i_end);
    if (not result and length > (u32)(i_end - * io_bytes)) result = m3Err_wasmUnderrun;
    if (not result) * io_bytes += length;
    return result;
}

M3Result  ParseSection_Import`,
  },
  // The header of a page of code.
  {
    file: "m3_core.h",
    from: "    u32                           lineIndex;",
    until: "# if d_m3RecordBacktraces\n    struct M3CodeMappingPage *    mapping;",
    to: "    u16 lineIndex, numLines;\n\n",
  },
  // The stack of values lies where the compiler works: when all is compiled, nobody else needs that.
  {
    file: "m3_env.c",
    from:
      '        runtime->stack = m3_Malloc ("Wasm Stack", i_stackSizeInBytes + 4*sizeof (m3slot_t)); // TODO: more precise stack checks',
    to:
      "        runtime->stack = & runtime->compilation;\n        i_stackSizeInBytes = sizeof (M3Compilation) - 4*sizeof (m3slot_t);",
  },
  // An initial value is a constant: no need to compile and run it, with a compiler of its own on the C stack.
  {
    file: "m3_env.c",
    from: "    // OPTZ: use a simplified interpreter for expressions",
    until: "M3Result  InitMemory",
    to: `    u8 opcode;
_   (Read_u8 (& opcode, io_bytes, i_end));
    _throwif (m3Err_restrictedOpcode, opcode != c_waOp_i32_const or i_type != c_m3Type_i32);
_   (ReadLEB_i32 (o_expressed, io_bytes, i_end));
_   (Read_u8 (& opcode, io_bytes, i_end));
    _throwif (m3Err_restrictedOpcode, opcode != c_waOp_end);
    _catch: return result;
}

`,
  },
  // What a function is compiled from, and the constants that it has afterwards, need one word.
  {
    file: "m3_function.h",
    from: "    bytes_t                 wasmEnd;\n",
    to: "    union { bytes_t wasmEnd; void * constants; };\n",
  },
  { file: "m3_function.h", from: "    void *                  constants;\n", to: "" },
  {
    file: "m3_compile.c",
    from: "    if (numConstantSlots)\n",
    to: "    io_function->constants = NULL;\n    if (numConstantSlots)\n",
  },
  {
    file: "m3_code.c",
    from: "        page->info.sequence = ++i_runtime->newCodePageSequence;\n",
    to: "",
  },
];

/** What would crash. */
const FAULTS: Patch[] = [
  // Of a module for which memory has run out, counts say more than there is. The arena forgets all of it anyway.
  { file: "m3_parse.c", from: "        m3_FreeModule (module);\n", to: "" },
  // Each block within a block takes some 250 bytes more of the C stack, which ends somewhere (`START_STACK`).
  {
    file: "m3_compile.c",
    from: "_try {\n    // validate and dealloc params ----------------------------\n",
    to: '_try {\n    _throwif ("blocks nested too deep", block->depth > m3_most_depth);\n',
  },
  // An address has 32 bits, and a length may be as large.
  {
    file: "m3_parse.c",
    from:
      '        i_bytes += segment->size;\n\n        _throwif("data segment underflow", i_bytes > i_end);',
    to:
      '        _throwif("data segment underflow", segment->size > (u32)(i_end - i_bytes));\n        i_bytes += segment->size;',
  },
];

const PATCHES = [...CODE, ...WORDS, ...NAMES, ...FAULTS];

/** The changed sources. @throws {BuildError} if a place is not as it was when the change was written */
export function patchWasm3(sources: Map<string, string>): Map<string, string> {
  const changed = new Map(sources);
  for (const { file, from, until, to, times = 1 } of PATCHES) {
    const parts = changed.get(file)?.split(from) ?? [];
    if (parts.length !== times + 1) {
      throw new BuildError(`wasm3: ${file} has ${parts.length - 1} times, not ${times}:\n${from}`);
    }
    if (until !== undefined) {
      const end = parts[1]!.indexOf(until);
      if (end < 0) throw new BuildError(`wasm3: ${file} has not, behind ${from}:\n${until}`);
      parts[1] = parts[1]!.slice(end);
    }
    changed.set(file, parts.join(to));
  }
  return changed;
}
