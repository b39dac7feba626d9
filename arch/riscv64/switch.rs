//! `rctx_switch`, `rctx_call` and `getstacktop`.

macro_rules! push {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(
            $store, " ", $register, ", ", $slot, "*8(sp)\n",
            ".cfi_rel_offset ", $register, ", ", $slot, "*8\n",
        )
    };
}

macro_rules! pop {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(
            $load, " ", $register, ", ", $slot, "*8(sp)\n",
            ".cfi_same_value ", $register, "\n",
        )
    };
}

/// Pushes ra, every callee-saved register and fcsr: the 208 bytes of the picture in mod.rs. Uses t1.
macro_rules! push_registers {
    () => {
        concat!(
            "addi sp, sp, -208\n",
            ".cfi_adjust_cfa_offset 208\n",
            "sd ra, 8(sp)\n",
            ".cfi_rel_offset ra, 8\n",
            callee_saved!(push),
            "frcsr t1\n",
            "sd t1, 0(sp)\n",
        )
    };
}

/// Takes back from sp what `push_registers!` put there, and returns. Uses t1.
macro_rules! pop_registers {
    () => {
        concat!(
            "ld t1, 0(sp)\n",
            "fscsr t1\n",
            callee_saved!(pop),
            "ld ra, 8(sp)\n",
            ".cfi_same_value ra\n",
            "addi sp, sp, 208\n",
            ".cfi_adjust_cfa_offset -208\n",
            "ret\n",
        )
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            with_floating_point!(),
            ".cfi_startproc",
            push_registers!(),
            "mv s1, a0", //                          hook
            "mv s2, a1", //                          arg
            "mv a0, s2",
            "li a1, {SAVE}",
            "mv a2, sp",
            "jalr s1",
            ".cfi_remember_state",
            ".cfi_undefined ra", //                  the target's bytes are not back yet
            "mv sp, a0",
            "mv a2, a0",
            "mv a0, s2",
            "li a1, {RESTORE}",
            "jalr s1", //                            below the bytes that it writes
            ".cfi_restore_state",
            pop_registers!(),
            ".cfi_endproc",
            ".option pop",
            SAVE = const $crate::switch::RCTX_SAVE,
            RESTORE = const $crate::switch::RCTX_RESTORE,
        )
    };
}

macro_rules! call {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "addi sp, sp, -16",
            ".cfi_def_cfa_offset 16",
            "sd ra, 8(sp)",
            ".cfi_offset ra, -8",
            "sd s0, 0(sp)",
            ".cfi_offset s0, -16",
            "addi s0, sp, 16",
            ".cfi_def_cfa s0, 0", //                 the unwinder finds the caller's stack through s0
            "bnez a2, 2f",
            "mv a2, sp",
            "2:",
            "andi a2, a2, -16",
            "mv t1, a0", //                          hook
            "mv a0, a1", //                          arg
            "li a1, {CALL}",
            "mv sp, a2",
            "mv a2, s0", //                          the caller's stack pointer
            "jalr t1",
            "addi sp, s0, -16",
            ".cfi_def_cfa sp, 16",
            "ld s0, 0(sp)",
            ".cfi_same_value s0",
            "ld ra, 8(sp)",
            ".cfi_same_value ra",
            "addi sp, sp, 16",
            ".cfi_def_cfa_offset 0",
            "ret",
            ".cfi_endproc",
            CALL = const $crate::switch::RCTX_CALL,
        )
    };
}

macro_rules! stacktop {
    () => {
        core::arch::naked_asm!(".cfi_startproc", "mv a0, sp", "ret", ".cfi_endproc")
    };
}

pub(crate) use {call, stacktop, switch};
