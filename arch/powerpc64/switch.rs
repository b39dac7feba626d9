//! `rctx_switch`, `rctx_call` and `getstacktop`.

/// Saves every callee-saved register and the FPSCR in a frame of its own, and LR and CR in the caller's header:
/// the picture in mod.rs. Uses r0, r11, r12, f0.
macro_rules! push_registers {
    () => {
        concat!(
            "mflr 0\n",
            "mfcr 12\n",
            "std 0, 16(1)\n",
            "stw 12, 8(1)\n",
            "stdu 1, -528(1)\n",
            ".cfi_def_cfa_offset 528\n",
            ".cfi_offset 65, 16\n",
            each!(cr, ".cfi_offset 68+\\n, 8"),
            each!(
                r,
                "std \\n, 32+8*(\\n-14)(1)",
                ".cfi_offset \\n, 32+8*(\\n-14)-528",
                "stfd \\n, 176+8*(\\n-14)(1)",
                ".cfi_offset 32+\\n, 176+8*(\\n-14)-528"
            ),
            "addi 11, 1, 320\n",
            each!(
                v,
                "stvx \\n, 0, 11",
                ".cfi_offset 77+\\n, 320+16*(\\n-20)-528",
                "addi 11, 11, 16"
            ),
            "mffs 0\n",
            "stfd 0, 512(1)\n",
        )
    };
}

/// Links the pushed frame at r1 to its caller's, after r1 has moved there.
macro_rules! chain_pushed {
    () => {
        "addi 0, 1, 528\n\
         std 0, 0(1)\n"
    };
}

/// Takes back from above [r1] what `push_registers!` put there, and returns. Keeps r3.
macro_rules! pop_registers {
    () => {
        concat!(
            "lfd 0, 512(1)\n",
            "mtfsf 255, 0, 1, 0\n", //               all 64 bits
            "addi 11, 1, 320\n",
            each!(v, "lvx \\n, 0, 11", "addi 11, 11, 16"),
            each!(r, "ld \\n, 32+8*(\\n-14)(1)", "lfd \\n, 176+8*(\\n-14)(1)"),
            "ld 0, 528+16(1)\n",
            "lwz 12, 528+8(1)\n",
            "mtlr 0\n",
            "mtocrf 0x20, 12\n",
            "mtocrf 0x10, 12\n",
            "mtocrf 0x08, 12\n",
            "addi 1, 1, 528\n",
            cfi_loaded!(),
            "blr\n",
        )
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            entry!(),
            push_registers!(),
            "mr 14, 3", //                           hook
            "mr 15, 4", //                           arg
            "mr 3, 15",
            "li 4, {SAVE}",
            "addi 5, 1, 32",
            "std 2, 24(1)",
            "mr 12, 14",
            "mtctr 12",
            "bctrl",
            "ld 2, 24(1)", //                        the unwinder looks for this instruction
            ".cfi_remember_state",
            ".cfi_undefined 65", //                  the target's bytes are not back yet
            "addi 1, 3, -32",
            chain_pushed!(),
            "mr 5, 3",
            "mr 3, 15",
            "li 4, {RESTORE}",
            "std 2, 24(1)",
            "mr 12, 14",
            "mtctr 12",
            "bctrl", //                              below the bytes that it writes
            ".cfi_restore_state",
            "ld 2, 24(1)",
            pop_registers!(),
            ".cfi_endproc",
            this = sym $crate::switch::rctx_switch,
            SAVE = const $crate::switch::RCTX_SAVE,
            RESTORE = const $crate::switch::RCTX_RESTORE,
        )
    };
}

macro_rules! call {
    () => {
        core::arch::naked_asm!(
            entry!(),
            "mflr 0",
            "std 0, 16(1)",
            ".cfi_offset 65, 16",
            "stdu 1, -48(1)",
            ".cfi_def_cfa_offset 48",
            "std 31, 32(1)",
            ".cfi_offset 31, -16",
            "mr 31, 1",
            ".cfi_def_cfa_register 31", //           the unwinder finds the caller's stack through r31
            "mr 12, 3", //                           hook
            "mr 3, 4", //                            arg
            "li 4, {CALL}",
            "cmpdi 5, 0",
            "bne 2f",
            "mr 5, 1",
            "2: clrrdi 5, 5, 4",
            "std 31, -32(5)", //                     the back chain
            "addi 1, 5, -32",
            "addi 5, 31, 48", //                     the caller's stack pointer
            "std 2, 24(1)",
            "mtctr 12",
            "bctrl",
            "ld 2, 24(1)", //                        the unwinder looks for this instruction
            "mr 1, 31",
            ".cfi_def_cfa_register 1",
            "ld 31, 32(1)",
            ".cfi_same_value 31",
            "addi 1, 1, 48",
            ".cfi_def_cfa_offset 0",
            "ld 0, 16(1)",
            "mtlr 0",
            ".cfi_same_value 65",
            "blr",
            ".cfi_endproc",
            this = sym $crate::switch::rctx_call,
            CALL = const $crate::switch::RCTX_CALL,
        )
    };
}

macro_rules! stacktop {
    () => {
        core::arch::naked_asm!(".cfi_startproc", "mr 3, 1", "blr", ".cfi_endproc")
    };
}

pub(crate) use {call, stacktop, switch};
