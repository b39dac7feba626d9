//! `rctx_switch`, `rctx_call` and `getstacktop`.

/// Pushes every callee-saved register and the floating-point environment: the bytes of the picture in mod.rs.
/// Leaves the address of d8 in r4, the unwinder's frame pointer. Uses r12.
macro_rules! push_registers {
    () => {
        concat!(
            "push {{r4-r11, lr}}\n",
            ".save {{r4-r11, lr}}\n",
            "vpush {{d8-d15}}\n",
            ".vsave {{d8-d15}}\n",
            "mov r4, sp\n",
            ".setfp r4, sp\n",
            "sub r12, sp, #8\n",
            "bic sp, r12, #15\n",
            "vmrs r12, fpscr\n",
            "str r12, [sp]\n",
            "str r4, [sp, #4]\n",
        )
    };
}

/// Takes back from [sp] what `push_registers!` put there, and returns. Keeps r0.
macro_rules! pop_registers {
    () => {
        concat!(
            "ldrd r2, r3, [sp]\n",
            "vmsr fpscr, r2\n",
            "mov sp, r3\n",
            "vpop {{d8-d15}}\n",
            "pop {{r4-r11, pc}}\n",
        )
    };
}

/// From here on there is no caller to find: the target's bytes are not back yet.
macro_rules! no_caller {
    () => {
        ".fnend\n.fnstart\n.cantunwind"
    };
}

macro_rules! switch {
    () => {
        core::arch::naked_asm!(
            ".fnstart",
            push_registers!(),
            "mov r5, r0", //                         hook
            "mov r6, r1", //                         arg
            "mov r0, r6",
            "mov r1, #{SAVE}",
            "mov r2, sp",
            "blx r5",
            no_caller!(),
            "mov sp, r0",
            "mov r2, r0",
            "mov r0, r6",
            "mov r1, #{RESTORE}",
            "blx r5", //                             below the bytes that it writes
            pop_registers!(),
            ".fnend",
            SAVE = const $crate::switch::RCTX_SAVE,
            RESTORE = const $crate::switch::RCTX_RESTORE,
        )
    };
}

macro_rules! call {
    () => {
        core::arch::naked_asm!(
            ".fnstart",
            "push {{r11, lr}}",
            ".save {{r11, lr}}",
            "mov r11, sp",
            ".setfp r11, sp", //                     the unwinder finds the caller's stack through r11
            "cmp r2, #0",
            "moveq r2, sp",
            "bic r2, r2, #15",
            "mov r3, r0", //                         hook
            "mov r0, r1", //                         arg
            "mov r1, #{CALL}",
            "mov sp, r2",
            "add r2, r11, #8", //                    the caller's stack pointer
            "blx r3",
            "mov sp, r11",
            "pop {{r11, pc}}",
            ".fnend",
            CALL = const $crate::switch::RCTX_CALL,
        )
    };
}

macro_rules! stacktop {
    () => {
        core::arch::naked_asm!(
            ".fnstart",
            "mov r0, sp",
            "bx lr",
            ".fnend",
        )
    };
}

pub(crate) use {call, stacktop, switch};
