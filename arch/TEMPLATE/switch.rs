//! `rctx_switch`, `rctx_call` and `getstacktop`.

/// Pushes the registers, calls the hook to save, moves to the stack pointer that it returns, calls the hook to
/// restore, and takes back the registers that are there now.
macro_rules! switch {
    () => {
        core::arch::naked_asm!(".error \"rctx_switch\"")
    };
}

/// Calls the hook on another stack, which the unwinder must find the way back from.
macro_rules! call {
    () => {
        core::arch::naked_asm!(".error \"rctx_call\"")
    };
}

/// The stack pointer that the caller has after the return.
macro_rules! stacktop {
    () => {
        core::arch::naked_asm!(".error \"getstacktop\"")
    };
}

pub(crate) use {call, stacktop, switch};
