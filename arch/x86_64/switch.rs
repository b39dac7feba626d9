//! `rctx_switch`, `rctx_call` and `getstacktop`.

/// Pushes every callee-saved register and the control words below the return address: the 64 bytes of the
/// picture in mod.rs.
macro_rules! push_registers {
    () => {
        concat!(
            "push rbp\n",
            ".cfi_adjust_cfa_offset 8\n",
            ".cfi_rel_offset rbp, 0\n",
            "push rbx\n",
            ".cfi_adjust_cfa_offset 8\n",
            ".cfi_rel_offset rbx, 0\n",
            "push r12\n",
            ".cfi_adjust_cfa_offset 8\n",
            ".cfi_rel_offset r12, 0\n",
            "push r13\n",
            ".cfi_adjust_cfa_offset 8\n",
            ".cfi_rel_offset r13, 0\n",
            "push r14\n",
            ".cfi_adjust_cfa_offset 8\n",
            ".cfi_rel_offset r14, 0\n",
            "push r15\n",
            ".cfi_adjust_cfa_offset 8\n",
            ".cfi_rel_offset r15, 0\n",
            "sub rsp, 8\n",
            ".cfi_adjust_cfa_offset 8\n",
            "stmxcsr [rsp]\n",
            "fnstcw [rsp + 4]\n",
        )
    };
}

/// Takes back from [rsp] what `push_registers!` put there, and returns.
macro_rules! pop_registers {
    () => {
        concat!(
            "ldmxcsr [rsp]\n",
            "fldcw [rsp + 4]\n",
            "add rsp, 8\n",
            ".cfi_adjust_cfa_offset -8\n",
            "pop r15\n",
            ".cfi_adjust_cfa_offset -8\n",
            ".cfi_same_value r15\n",
            "pop r14\n",
            ".cfi_adjust_cfa_offset -8\n",
            ".cfi_same_value r14\n",
            "pop r13\n",
            ".cfi_adjust_cfa_offset -8\n",
            ".cfi_same_value r13\n",
            "pop r12\n",
            ".cfi_adjust_cfa_offset -8\n",
            ".cfi_same_value r12\n",
            "pop rbx\n",
            ".cfi_adjust_cfa_offset -8\n",
            ".cfi_same_value rbx\n",
            "pop rbp\n",
            ".cfi_adjust_cfa_offset -8\n",
            ".cfi_same_value rbp\n",
            "ret\n",
        )
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "mov rbx, rdi", //                       hook
            "mov r12, rsi", //                       arg
            "mov rdi, r12",
            "mov esi, {SAVE}",
            "mov rdx, rsp",
            "call rbx",
            ".cfi_remember_state",
            ".cfi_undefined rip", //                 the target's bytes are not back yet
            "mov rsp, rax",
            "mov rdi, r12",
            "mov esi, {RESTORE}",
            "mov rdx, rax",
            "call rbx", //                           below the bytes that it writes
            ".cfi_restore_state",
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
            "push rbp",
            ".cfi_def_cfa rsp, 16",
            ".cfi_offset rbp, -16",
            "mov rbp, rsp",
            ".cfi_def_cfa_register rbp", //          the unwinder finds the caller's stack through rbp
            "test rdx, rdx",
            "cmovz rdx, rsp",
            "and rdx, -16",
            "mov rax, rdi", //                       hook
            "mov rdi, rsi", //                       arg
            "mov esi, {CALL}",
            "mov rsp, rdx",
            "lea rdx, [rbp + 16]", //                the caller's stack pointer
            "call rax",
            "mov rsp, rbp",
            "pop rbp",
            ".cfi_def_cfa rsp, 8",
            ".cfi_same_value rbp",
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
            "lea rax, [rsp + 8]", //                 as it is after the return
            "ret",
            ".cfi_endproc",
        )
    };
}

pub(crate) use {call, stacktop, switch};
