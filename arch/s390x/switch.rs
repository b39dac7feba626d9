//! `rctx_switch`, `rctx_call` and `getstacktop`.

/// The rule that a register, by its DWARF number, is `offset` bytes above r15 (at least 64, less than 8192).
/// DW_OP_breg15 is 0x7f.
macro_rules! cfi_pushed {
    ($number:literal, $offset:literal) => {
        concat!(
            ".cfi_escape 0x10, ", $number, ", 3, 0x7f, (", $offset, " & 0x7f) | 0x80, ", $offset,
            " >> 7\n",
        )
    };
}

/// Saves every callee-saved register and the FPC below the caller's frame: the picture in mod.rs. r15 goes
/// down first, since nothing below it is safe from a signal. Uses r0 and r1.
macro_rules! push_registers {
    () => {
        concat!(
            "lgr %r0, %r15\n",
            ".cfi_def_cfa_register %r0\n",
            "nill %r15, 0xfff0\n",
            "aghi %r15, -320\n",
            "stmg %r6, %r14, 160(%r15)\n",
            "stg %r0, 232(%r15)\n",
            "std %f8, 240(%r15)\n",
            "std %f9, 248(%r15)\n",
            "std %f10, 256(%r15)\n",
            "std %f11, 264(%r15)\n",
            "std %f12, 272(%r15)\n",
            "std %f13, 280(%r15)\n",
            "std %f14, 288(%r15)\n",
            "std %f15, 296(%r15)\n",
            "stfpc 304(%r15)\n",
            // The CFA belongs to the saved r15: its value and 160.
            ".cfi_escape 0x0f, 7, 0x7f, (232 & 0x7f) | 0x80, 232 >> 7, 0x06, 0x23, 0xa0, 1\n",
            cfi_pushed!(6, "160"),
            cfi_pushed!(7, "168"),
            cfi_pushed!(8, "176"),
            cfi_pushed!(9, "184"),
            cfi_pushed!(10, "192"),
            cfi_pushed!(11, "200"),
            cfi_pushed!(12, "208"),
            cfi_pushed!(13, "216"),
            cfi_pushed!(14, "224"),
            cfi_pushed!(24, "240"),
            cfi_pushed!(28, "248"),
            cfi_pushed!(25, "256"),
            cfi_pushed!(29, "264"),
            cfi_pushed!(26, "272"),
            cfi_pushed!(30, "280"),
            cfi_pushed!(27, "288"),
            cfi_pushed!(31, "296"),
        )
    };
}

/// Takes back from above [r15] what `push_registers!` put there, and returns.
macro_rules! pop_registers {
    () => {
        concat!(
            "lfpc 304(%r15)\n",
            "ld %f8, 240(%r15)\n",
            "ld %f9, 248(%r15)\n",
            "ld %f10, 256(%r15)\n",
            "ld %f11, 264(%r15)\n",
            "ld %f12, 272(%r15)\n",
            "ld %f13, 280(%r15)\n",
            "ld %f14, 288(%r15)\n",
            "ld %f15, 296(%r15)\n",
            "lmg %r6, %r15, 160(%r15)\n",
            cfi_loaded!(),
            "br %r14\n",
        )
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            cfi_start!(),
            push_registers!(),
            "lgr %r7, %r2", //                       hook
            "lgr %r8, %r3", //                       arg
            "lgr %r2, %r8",
            "lghi %r3, {SAVE}",
            "la %r4, 160(%r15)",
            "basr %r14, %r7",
            ".cfi_remember_state",
            ".cfi_undefined %r14", //                the target's bytes are not back yet
            "lay %r15, -160(%r2)",
            "lgr %r4, %r2",
            "lgr %r2, %r8",
            "lghi %r3, {RESTORE}",
            "basr %r14, %r7", //                     below the bytes that it writes
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
            cfi_start!(),
            "stg %r11, 88(%r15)",
            ".cfi_offset %r11, -72",
            "stg %r14, 112(%r15)",
            ".cfi_offset %r14, -48",
            "lgr %r11, %r15",
            ".cfi_def_cfa_register %r11", //         the unwinder finds the caller's stack through r11
            "lgr %r1, %r2", //                       hook
            "lgr %r2, %r3", //                       arg
            "lghi %r3, {CALL}",
            "ltgr %r4, %r4",
            "jne 2f",
            "lgr %r4, %r15",
            "2:",
            "nill %r4, 0xfff0",
            "lay %r15, -160(%r4)", //                the register save area
            "stg %r11, 0(%r15)", //                  the back chain
            "lgr %r4, %r11", //                      the caller's stack pointer
            "basr %r14, %r1",
            "lgr %r15, %r11",
            ".cfi_def_cfa_register %r15",
            "lg %r11, 88(%r15)",
            ".cfi_same_value %r11",
            "lg %r14, 112(%r15)",
            ".cfi_same_value %r14",
            "br %r14",
            ".cfi_endproc",
            CALL = const $crate::switch::RCTX_CALL,
        )
    };
}

macro_rules! stacktop {
    () => {
        core::arch::naked_asm!(cfi_start!(), "lgr %r2, %r15", "br %r14", ".cfi_endproc")
    };
}

pub(crate) use {call, stacktop, switch};
