//! `rctx_switch`, `rctx_call` and `getstacktop`.

macro_rules! push {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(
            $store, " ", $register, ", $sp, ", $slot, "*8\n",
            ".cfi_rel_offset ", $dwarf, ", ", $slot, "*8\n",
        )
    };
}

macro_rules! pop {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(
            $load, " ", $register, ", $sp, ", $slot, "*8\n",
            ".cfi_same_value ", $dwarf, "\n",
        )
    };
}

/// Pushes ra, every callee-saved register and fcsr: the 160 bytes of the picture in mod.rs. Uses t1.
macro_rules! push_registers {
    () => {
        concat!(
            "addi.d $sp, $sp, -160\n",
            ".cfi_adjust_cfa_offset 160\n",
            "st.d $ra, $sp, 8\n",
            ".cfi_rel_offset 1, 8\n",
            callee_saved!(push),
            "movfcsr2gr $t1, $fcsr0\n",
            "st.d $t1, $sp, 0\n",
        )
    };
}

/// Takes back from sp what `push_registers!` put there, and returns. Uses t1.
macro_rules! pop_registers {
    () => {
        concat!(
            "ld.d $t1, $sp, 0\n",
            "movgr2fcsr $fcsr0, $t1\n",
            callee_saved!(pop),
            "ld.d $ra, $sp, 8\n",
            ".cfi_same_value 1\n",
            "addi.d $sp, $sp, 160\n",
            ".cfi_adjust_cfa_offset -160\n",
            "ret\n",
        )
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "move $s0, $a0", //                      hook
            "move $s1, $a1", //                      arg
            "move $a0, $s1",
            "li.d $a1, {SAVE}",
            "move $a2, $sp",
            "jirl $ra, $s0, 0",
            ".cfi_remember_state",
            ".cfi_undefined 1", //                   the target's bytes are not back yet
            "move $sp, $a0",
            "move $a2, $a0",
            "move $a0, $s1",
            "li.d $a1, {RESTORE}",
            "jirl $ra, $s0, 0", //                   below the bytes that it writes
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
            "addi.d $sp, $sp, -16",
            ".cfi_def_cfa_offset 16",
            "st.d $ra, $sp, 8",
            ".cfi_offset 1, -8",
            "st.d $fp, $sp, 0",
            ".cfi_offset 22, -16",
            "addi.d $fp, $sp, 16",
            ".cfi_def_cfa 22, 0", //                 the unwinder finds the caller's stack through s0
            "bnez $a2, 2f",
            "move $a2, $sp",
            "2:",
            "bstrins.d $a2, $zero, 3, 0",
            "move $t1, $a0", //                      hook
            "move $a0, $a1", //                      arg
            "li.d $a1, {CALL}",
            "move $sp, $a2",
            "move $a2, $fp", //                      the caller's stack pointer
            "jirl $ra, $t1, 0",
            "addi.d $sp, $fp, -16",
            ".cfi_def_cfa 3, 16",
            "ld.d $fp, $sp, 0",
            ".cfi_same_value 22",
            "ld.d $ra, $sp, 8",
            ".cfi_same_value 1",
            "addi.d $sp, $sp, 16",
            ".cfi_def_cfa_offset 0",
            "ret",
            ".cfi_endproc",
            CALL = const $crate::switch::RCTX_CALL,
        )
    };
}

macro_rules! stacktop {
    () => {
        core::arch::naked_asm!(".cfi_startproc", "move $a0, $sp", "ret", ".cfi_endproc")
    };
}

pub(crate) use {call, stacktop, switch};
