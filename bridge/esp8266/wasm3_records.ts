/**
 * Patches of the records that the interpreter keeps for a module in RAM: only what it needs to run the module.
 *
 * - **No names**: engine_wasm3.c reads exports and imports in flash. Data segments are read there, too.
 * - **Small records**: 20 bytes for a function, 4 for a global. There is one module, and all of it is compiled before
 *   any of it runs.
 * - **One page of code**. It gets all remaining memory, as nothing is allocated after it, and then gives back the rest.
 *   So no code jumps from page to page, and no page ends with unusable words.
 * - **Constants behind the code** of their function, in 16 bits each if all of them fit.
 *
 * Long because it is a list: each patch shows the text that it replaces.
 *
 * @module
 */

/**
 * Replaces `from`, which must occur exactly `times` times in the file (default 1), by `to`; with `until`, it also
 * replaces everything up to the next occurrence of that text.
 */
export interface Patch {
  file: string;
  from: string;
  until?: string;
  to: string;
  times?: number;
}

const FUNCTIONS: Patch[] = [
  {
    file: "m3_function.h",
    from: "    struct M3Module *       module;\n\n    M3ImportInfo            import;",
    until: "# if (d_m3EnableCodePageRefCounting)",
    to: `    union { bytes_t wasm; pc_t constants; }; // constants once it is compiled
    IM3FuncType             funcType;
    pc_t                    compiled;

`,
  },
  {
    file: "m3_function.h",
    from: "    u16                     maxStackSlots;",
    until: "}\nM3Function;",
    to: `    u16                     maxStackSlots, numRetAndArgSlots;
    u8                      numLocals, numLocalSlots; // not including args
    u8                      numConstants;
    bool                    wideConstants; // of 32 bits, not 16
`,
  },
  {
    file: "m3_function.c",
    from: "    m3_Free (i_function->constants);\n",
    until: "    // Function_FreeCompiledCode (func);",
    to: "",
  },
  {
    file: "m3_function.c",
    from: "cstr_t  m3_GetFunctionName  (IM3Function i_function)",
    until: "u16  GetFunctionNumArgs",
    to: "",
  },
  {
    file: "m3_module.c",
    from: "    if (i_importInfo and func->numNames == 0)",
    until: '    m3log (module, "   added function',
    to: "",
  },
  {
    file: "m3_parse.c",
    from: "                func->module = io_module;\n",
    to: "",
  },
  { file: "m3_parse.c", from: "                func->wasmEnd = i_bytes;\n", to: "" },
  {
    file: "m3_compile.h",
    from: "CompileFunction             (IM3Function io_function);",
    to: "CompileFunction (IM3Module i_module, IM3Function io_function);",
  },
  {
    file: "m3_compile.c",
    from: "M3Result  CompileFunction  (IM3Function io_function)",
    to: "M3Result  CompileFunction  (IM3Module i_module, IM3Function io_function)",
  },
  {
    file: "m3_compile.c",
    from: "    IM3Runtime runtime = io_function->module->runtime;",
    to: "    IM3Runtime runtime = i_module->runtime;",
  },
  {
    file: "m3_compile.c",
    from: "    o->module   = io_function->module;",
    to: "    o->module   = i_module;",
  },
  {
    file: "m3_compile.c",
    from: "    o->wasmEnd  = io_function->wasmEnd;",
    to: "    o->wasmEnd  = i_module->wasmEnd;",
  },
  {
    file: "m3_compile.c",
    from:
      "    // skip over code size. the end was already calculated during parse phase\n    u32 size;\n_   (ReadLEB_u32 (& size, & o->wasm, o->wasmEnd));",
    to: `    u32 size; // parsing the section has checked it
_   (ReadLEB_u32 (& size, & o->wasm, o->wasmEnd));
    o->wasmEnd = o->wasm + size;`,
  },
  {
    file: "m3_compile.c",
    from: "o->function->numRetSlots = o->slotFirstDynamicIndex",
    to: "o->slotFirstDynamicIndex",
  },
  {
    file: "m3_compile.c",
    from: "o->function->numLocalBytes = (maxSlot - o->slotFirstLocalIndex) * sizeof (m3slot_t);",
    to: "o->function->numLocalSlots = maxSlot - o->slotFirstLocalIndex;",
  },
  {
    file: "m3_compile.c",
    from: "        if (function->module)\n",
    to: "        if (function->wasm or function->compiled)\n",
  },
  { file: "m3_compile.c", from: "        io_function->module = io_module;\n", to: "" },
  // Everything is compiled before any of it runs.
  {
    file: "m3_env.c",
    from: "M3Result  m3_CompileModule  (IM3Module io_module)",
    until: "M3Result  m3_RunStart",
    to: "",
  },
  {
    file: "m3_env.c",
    from:
      "        if (not function->compiled)\n        {\n_           (CompileFunction (function));\n",
    until: "        IM3FuncType ftype = function->funcType;",
    to: "",
  },
  {
    file: "m3_env.c",
    from:
      "        IM3Module module = function->module;\n        IM3Runtime runtime = module->runtime;\n",
    to: "        IM3Runtime runtime = io_module->runtime;\n",
  },
  {
    file: "m3_exec.h",
    from:
      "                if (M3_UNLIKELY(not function->compiled))\n                    r = CompileFunction (function);\n",
    to: "",
  },
  {
    file: "m3_exec.h",
    from: "    if (M3_UNLIKELY(not function->compiled)) // check",
    until: "    if (not result)\n",
    to: "",
  },
  // Removes lookups by name and calls from outside: engine_wasm3.c does both.
  {
    file: "m3_env.c",
    from: "IM3Global  m3_FindGlobal",
    until: "void  ReleaseCodePageNoTrack",
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
];

/** Initial values are constants: they are read directly, not compiled and run, which takes a compiler on the C stack. */
const VALUES: Patch[] = [
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
  {
    file: "m3_parse.c",
    from: "M3Result  Parse_InitExpr  (M3Module * io_module, bytes_t * io_bytes, cbytes_t i_end)",
    until: "M3Result  ParseSection_Element",
    to: "",
  },
  {
    file: "m3_env.h",
    from: "M3Result                    Module_AddGlobal ",
    to:
      `M3Result EvaluateExpression (IM3Module i_module, void * o_expressed, u8 i_type, bytes_t * io_bytes, cbytes_t i_end);
M3Result                    Module_AddGlobal `,
  },
  // All globals are i32. Whether one is mutable is not checked here: the compiler that made the module has done that.
  {
    file: "m3_env.h",
    from: "typedef struct M3Global\n{",
    until: "}\nM3Global;",
    to: `typedef struct M3Global
{
    i32 i64Value;
`,
  },
  {
    file: "m3_module.c",
    from: "    global->type = i_type;\n",
    until: "    if (o_global)",
    to: "",
  },
  {
    file: "m3_module.c",
    from: "        for (u32 i = 0; i < i_module->numGlobals; ++i)\n        {\n            m3_Free",
    until: "        m3_Free (i_module->globals);",
    to: "",
  },
  {
    file: "m3_parse.c",
    from: "                i8 waType;\n                u8 type, isMutable;",
    until: "            }\n            break;\n\n            default:",
    to: '                _throw ("an imported global");\n',
  },
  {
    file: "m3_parse.c",
    from: "        global->initExpr = i_bytes;\n",
    until: "    }\n\n    _catch: return result;",
    to: "_       (EvaluateExpression (io_module, & global->i64Value, type, & i_bytes, i_end));\n",
  },
  { file: "m3_env.c", from: "M3Result  InitGlobals", until: "M3Result  InitDataSegments", to: "" },
  { file: "m3_env.c", from: "_   (InitGlobals (io_module));\n", to: "" },
  {
    file: "m3_compile.c",
    from: "Is64BitType (i_global->type) ? op_GetGlobal_s64 : op_GetGlobal_s32",
    to: "op_GetGlobal_s32",
  },
  {
    file: "m3_compile.c",
    from: "(PushAllocatedSlotAndEmit (o, i_global->type))",
    to: "(PushAllocatedSlotAndEmit (o, c_m3Type_i32))",
  },
  { file: "m3_compile.c", from: "    if (i_global->isMutable)\n    {\n", to: "    {\n" },
  {
    file: "m3_compile.c",
    from: "    else _throw (m3Err_settingImmutableGlobal);\n",
    to: "",
  },
  // The data section is read in place, once there is memory to copy it to.
  {
    file: "m3_env.h",
    from: "typedef struct M3DataSegment\n",
    until: "//------",
    to: "",
  },
  {
    file: "m3_env.h",
    from: "    M3DataSegment *         dataSegments;\n",
    to: "    bytes_t                 dataSection, dataSectionEnd;\n",
  },
  { file: "m3_module.c", from: "        m3_Free (i_module->dataSegments);\n", to: "" },
  {
    file: "m3_parse.c",
    from: '    _throwif("too many data segments"',
    until: "    _catch:\n",
    to: `    io_module->numDataSegments = numDataSegments;
    io_module->dataSection = i_bytes;
    io_module->dataSectionEnd = i_end;

`,
  },
  {
    file: "m3_env.c",
    from: "    for (u32 i = 0; i < io_module->numDataSegments; ++i)\n",
    until: "    _catch: return result;",
    to: `    bytes_t bytes = io_module->dataSection;
    cbytes_t end = io_module->dataSectionEnd;

    for (u32 i = 0; i < io_module->numDataSegments; ++i)
    {
        u32 region, size, length = io_memory->mallocated->length;
        i32 offset;
_       (ReadLEB_u32 (& region, & bytes, end));
_       (EvaluateExpression (io_module, & offset, c_m3Type_i32, & bytes, end));
_       (ReadLEB_u32 (& size, & bytes, end));
        _throwif ("data segment underflow", size > (u32)(end - bytes));
        _throwif ("data segment out of bounds", (u32)offset > length or size > length - offset);
        memcpy (m3MemData (io_memory->mallocated) + offset, bytes, size);
        bytes += size;
    }

`,
  },
];

const PAGE: Patch[] = [
  {
    file: "m3_core.h",
    from: "    u32                           lineIndex;",
    until: "# if d_m3RecordBacktraces\n    struct M3CodeMappingPage *    mapping;",
    to: "    u16 lineIndex, numLines;\n\n",
  },
  // The longest operation: CallRawFunction.
  {
    file: "m3_core.h",
    from: "d_m3CodePageFreeLinesThreshold      4+2",
    to: "d_m3CodePageFreeLinesThreshold 6",
  },
  {
    file: "m3_code.c",
    from: "    pageSize = (pageSize + (d_m3CodePageAlignSize-1))",
    until: "    // check alignment overflow",
    to: "    pageSize = M3_MAX (pageSize, arena_left ());\n",
  },
  {
    file: "m3_code.c",
    from: "        page->info.sequence = ++i_runtime->newCodePageSequence;\n",
    to: "",
  },
  {
    file: "m3_compile.c",
    from: "    i_numLines += 2; // room for Bridge\n",
    until: "    return result;",
    to: "    if (NumFreeLines (o->page) < i_numLines) result = m3Err_mallocFailedCodePage;\n",
  },
  {
    file: "m3_compile.c",
    from: "AcquireCodePageWithCapacity (io_module->runtime, 4);",
    to: "AcquireCodePage (io_module->runtime);",
  },
  // The code of `else` comes behind that of its `if`, which ends with a jump over it.
  {
    file: "m3_compile.c",
    from: "    IM3CodePage savedPage = o->page;\n_try {\n",
    until: "static\nM3Result  Compile_If ",
    to: `_try {
_   (EmitOp (o, op_Branch));
    code_t * jumpTo = ReservePointer (o);
    * o_startPC = m3_distance (GetPC (o));
_   (CompileBlock (o, i_blockType, c_waOp_else));
    * jumpTo = m3_distance (GetPC (o));
} _catch:
    return result;
}

`,
  },
  // The code for each entry of a branch table comes behind the table.
  {
    file: "m3_compile.c",
    from: "    IM3CodePage continueOpPage = NULL;\n\n    ++targetCount; // include default\n",
    to: `    ++targetCount; // include default
    code_t * targets = (code_t *) GetPC (o);
    for (u32 i = 0; i < targetCount; ++i) ReservePointer (o);
`,
  },
  {
    file: "m3_compile.c",
    from: "_       (AcquireCompilationCodePage (o, & continueOpPage));\n",
    until: "        if (scope->opcode == c_waOp_loop)",
    to: "        targets [i] = m3_distance (GetPC (o));\n\n",
  },
  {
    file: "m3_compile.c",
    from: "        ReleaseCompilationCodePage (o);     // FIX",
    until: "    }\n\n_   (SetStackPolymorphic (o));",
    to: "",
  },
  // Constants behind the code.
  {
    file: "m3_compile.c",
    from: "    io_function->numConstantBytes = ",
    until: "} _catch:",
    to: `    io_function->numConstants = numConstantSlots;
    io_function->wideConstants = false;
    for (u16 i = 0; i < numConstantSlots; ++i)
    {
        i32 constant = o->constants [i];
        if (constant != (i16) constant) io_function->wideConstants = true;
    }
_   (EnsureCodePageNumLines (o, numConstantSlots << io_function->wideConstants));
    io_function->constants = GetPC (o);
    for (u16 i = 0; i < numConstantSlots; ++i)
    {
        u32 constant = o->constants [i];
        EmitNumber (o->page, constant & 0xffff);
        if (io_function->wideConstants) EmitNumber (o->page, constant >> 16);
    }

`,
  },
  {
    file: "m3_exec.h",
    from:
      "        u8 * stack = (u8 *) ((m3slot_t *) _sp + function->numRetAndArgSlots);\n\n        memset (stack, 0x0, function->numLocalBytes);",
    until: '#if d_m3EnableStrace >= 2\n        d_m3TracePrint("%s %s {"',
    to: `        i32 * slot = (i32 *) _sp + function->numRetAndArgSlots;
        u32 count = function->numLocalSlots;
        if (count) memset (slot, 0, count * 4);
        slot += count;

        pc_t constant = function->constants;
        count = function->numConstants;
        if (function->wideConstants)
        {
            for (; count; --count, constant += 2) * slot++ = constant [0] | (u32) constant [1] << 16;
        }
        else for (; count; --count) * slot++ = (i16) * constant++;

`,
  },
  // The stack of values reuses the compiler's memory, which is free when everything is compiled.
  {
    file: "m3_env.c",
    from:
      '        runtime->stack = m3_Malloc ("Wasm Stack", i_stackSizeInBytes + 4*sizeof (m3slot_t)); // TODO: more precise stack checks',
    to:
      "        runtime->stack = & runtime->compilation;\n        i_stackSizeInBytes = sizeof (M3Compilation) - 4*sizeof (m3slot_t);",
  },
];

/** All patches of this file. */
export const RECORDS: Patch[] = [...FUNCTIONS, ...VALUES, ...PAGE];
