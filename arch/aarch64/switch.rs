//! `rctx_switch`, `rctx_call` and `getstacktop`.

/// Pushes every callee-saved register and the floating-point environment: the 176 bytes of the picture in
/// mod.rs. Uses x4 and x5.
macro_rules! push_registers {
    () => {
        concat!(
            "stp x29, x30, [sp, #-176]!\n",
            ".cfi_def_cfa_offset 176\n",
            ".cfi_rel_offset x29, 0\n",
            ".cfi_rel_offset x30, 8\n",
            "stp x19, x20, [sp, #16]\n",
            ".cfi_rel_offset x19, 16\n",
            ".cfi_rel_offset x20, 24\n",
            "stp x21, x22, [sp, #32]\n",
            ".cfi_rel_offset x21, 32\n",
            ".cfi_rel_offset x22, 40\n",
            "stp x23, x24, [sp, #48]\n",
            ".cfi_rel_offset x23, 48\n",
            ".cfi_rel_offset x24, 56\n",
            "stp x25, x26, [sp, #64]\n",
            ".cfi_rel_offset x25, 64\n",
            ".cfi_rel_offset x26, 72\n",
            "stp x27, x28, [sp, #80]\n",
            ".cfi_rel_offset x27, 80\n",
            ".cfi_rel_offset x28, 88\n",
            "stp d8, d9, [sp, #96]\n",
            ".cfi_rel_offset d8, 96\n",
            ".cfi_rel_offset d9, 104\n",
            "stp d10, d11, [sp, #112]\n",
            ".cfi_rel_offset d10, 112\n",
            ".cfi_rel_offset d11, 120\n",
            "stp d12, d13, [sp, #128]\n",
            ".cfi_rel_offset d12, 128\n",
            ".cfi_rel_offset d13, 136\n",
            "stp d14, d15, [sp, #144]\n",
            ".cfi_rel_offset d14, 144\n",
            ".cfi_rel_offset d15, 152\n",
            read_environment!(),
            "str x5, [sp, #160]\n",
        )
    };
}

/// Takes back from [sp] what `push_registers!` put there, and returns. Keeps x0.
macro_rules! pop_registers {
    () => {
        concat!(
            "ldr x2, [sp, #160]\n",
            read_environment!(),
            write_environment!(),
            "ldp d14, d15, [sp, #144]\n",
            ".cfi_same_value d14\n",
            ".cfi_same_value d15\n",
            "ldp d12, d13, [sp, #128]\n",
            ".cfi_same_value d12\n",
            ".cfi_same_value d13\n",
            "ldp d10, d11, [sp, #112]\n",
            ".cfi_same_value d10\n",
            ".cfi_same_value d11\n",
            "ldp d8, d9, [sp, #96]\n",
            ".cfi_same_value d8\n",
            ".cfi_same_value d9\n",
            "ldp x27, x28, [sp, #80]\n",
            ".cfi_same_value x27\n",
            ".cfi_same_value x28\n",
            "ldp x25, x26, [sp, #64]\n",
            ".cfi_same_value x25\n",
            ".cfi_same_value x26\n",
            "ldp x23, x24, [sp, #48]\n",
            ".cfi_same_value x23\n",
            ".cfi_same_value x24\n",
            "ldp x21, x22, [sp, #32]\n",
            ".cfi_same_value x21\n",
            ".cfi_same_value x22\n",
            "ldp x19, x20, [sp, #16]\n",
            ".cfi_same_value x19\n",
            ".cfi_same_value x20\n",
            "ldp x29, x30, [sp], #176\n",
            ".cfi_def_cfa_offset 0\n",
            ".cfi_same_value x29\n",
            ".cfi_same_value x30\n",
            "ret\n",
        )
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "mov x19, x0", //                        hook
            "mov x20, x1", //                        arg
            "mov x0, x20",
            "mov w1, #{SAVE}",
            "mov x2, sp",
            "blr x19",
            ".cfi_remember_state",
            ".cfi_undefined x30", //                 the target's bytes are not back yet
            "mov sp, x0",
            "mov x2, x0",
            "mov x0, x20",
            "mov w1, #{RESTORE}",
            "blr x19", //                            below the bytes that it writes
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
            "stp x29, x30, [sp, #-16]!",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset x29, -16",
            ".cfi_offset x30, -8",
            "mov x29, sp",
            ".cfi_def_cfa_register x29", //          the unwinder finds the caller's stack through x29
            "mov x3, sp",
            "cmp x2, #0",
            "csel x2, x3, x2, eq",
            "and x2, x2, #-16",
            "mov x8, x0", //                         hook
            "mov x0, x1", //                         arg
            "mov w1, #{CALL}",
            "mov sp, x2",
            "add x2, x29, #16", //                   the caller's stack pointer
            "blr x8",
            "mov sp, x29",
            ".cfi_def_cfa_register sp",
            "ldp x29, x30, [sp], #16",
            ".cfi_def_cfa_offset 0",
            ".cfi_same_value x29",
            ".cfi_same_value x30",
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
            "mov x0, sp",
            "ret",
            ".cfi_endproc",
        )
    };
}

pub(crate) use {call, stacktop, switch};
