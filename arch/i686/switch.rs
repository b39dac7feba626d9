//! `rctx_switch`, `rctx_call` and `getstacktop`.

/// Pushes every callee-saved register and the control words below the return address: the 32 bytes of the
/// picture in mod.rs.
macro_rules! push_registers {
    () => {
        concat!(
            "push ebp\n",
            ".cfi_adjust_cfa_offset 4\n",
            ".cfi_rel_offset ebp, 0\n",
            "push ebx\n",
            ".cfi_adjust_cfa_offset 4\n",
            ".cfi_rel_offset ebx, 0\n",
            "push esi\n",
            ".cfi_adjust_cfa_offset 4\n",
            ".cfi_rel_offset esi, 0\n",
            "push edi\n",
            ".cfi_adjust_cfa_offset 4\n",
            ".cfi_rel_offset edi, 0\n",
            "sub esp, 12\n",
            ".cfi_adjust_cfa_offset 12\n",
            "stmxcsr [esp]\n",
            "fnstcw [esp + 4]\n",
        )
    };
}

/// Takes back from [esp] what `push_registers!` put there, and returns.
macro_rules! pop_registers {
    () => {
        concat!(
            "ldmxcsr [esp]\n",
            "fldcw [esp + 4]\n",
            "add esp, 12\n",
            ".cfi_adjust_cfa_offset -12\n",
            "pop edi\n",
            ".cfi_adjust_cfa_offset -4\n",
            ".cfi_same_value edi\n",
            "pop esi\n",
            ".cfi_adjust_cfa_offset -4\n",
            ".cfi_same_value esi\n",
            "pop ebx\n",
            ".cfi_adjust_cfa_offset -4\n",
            ".cfi_same_value ebx\n",
            "pop ebp\n",
            ".cfi_adjust_cfa_offset -4\n",
            ".cfi_same_value ebp\n",
            "ret\n",
        )
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "mov ebx, [esp + 32]", //                hook
            "mov esi, [esp + 36]", //                arg
            "mov eax, esp",
            "sub esp, 16",
            ".cfi_adjust_cfa_offset 16",
            "mov [esp], esi",
            "mov dword ptr [esp + 4], {SAVE}",
            "mov [esp + 8], eax",
            "call ebx",
            ".cfi_remember_state",
            ".cfi_undefined eip", //                 the target's bytes are not back yet
            "lea esp, [eax - 16]",
            "mov [esp], esi",
            "mov dword ptr [esp + 4], {RESTORE}",
            "mov [esp + 8], eax",
            "call ebx", //                           below the bytes that it writes
            ".cfi_restore_state",
            "add esp, 16",
            ".cfi_adjust_cfa_offset -16",
            pop_registers!(),
            ".cfi_endproc",
            SAVE = const $crate::switch::RCTX_SAVE,
            RESTORE = const $crate::switch::RCTX_RESTORE,
        )
    };
}

macro_rules! call {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "push ebp",
            ".cfi_def_cfa esp, 8",
            ".cfi_offset ebp, -8",
            "mov ebp, esp",
            ".cfi_def_cfa_register ebp", //          the unwinder finds the caller's stack through ebp
            "mov eax, [ebp + 16]", //                stack
            "test eax, eax",
            "cmovz eax, esp",
            "and eax, -16",
            "lea edx, [ebp + 8]", //                 the caller's stack pointer
            "mov ecx, [ebp + 12]", //                arg
            "lea esp, [eax - 16]",
            "mov [esp], ecx",
            "mov dword ptr [esp + 4], {CALL}",
            "mov [esp + 8], edx",
            "call dword ptr [ebp + 8]", //           hook
            "mov esp, ebp",
            "pop ebp",
            ".cfi_def_cfa esp, 4",
            ".cfi_same_value ebp",
            "ret",
            ".cfi_endproc",
            CALL = const $crate::switch::RCTX_CALL,
        )
    };
}

macro_rules! stacktop {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "lea eax, [esp + 4]", //                 as it is after the return
            "ret",
            ".cfi_endproc",
        )
    };
}

pub(crate) use {call, stacktop, switch};
