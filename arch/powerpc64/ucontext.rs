//! `<bits/signal.h>` of musl, as far as it is in use: the libc crate has no such type.

use core::ffi::{c_int, c_long, c_ulong, c_void};

/// `ucontext_t`.
#[repr(C)]
pub struct ucontext_t {
    /// The word of `src/context.rs`.
    pub uc_flags: c_ulong,
    /// The context that follows when the function of `makecontext` returns.
    pub uc_link: *mut ucontext_t,
    /// The stack of `makecontext`, or the slice.
    pub uc_stack: libc::stack_t,
    /// The signal mask.
    pub uc_sigmask: libc::sigset_t,
    /// The registers.
    pub uc_mcontext: mcontext_t,
}

/// `mcontext_t`.
#[repr(C)]
pub struct mcontext_t {
    _unused: [c_ulong; 4],
    signal: c_int,
    _pad0: c_int,
    handler: c_ulong,
    oldmask: c_ulong,
    pub regs: *mut c_void,
    pub gp_regs: [c_ulong; 48],
    pub fp_regs: [f64; 33],
    pub v_regs: *mut c_void,
    pub vmx_reserve: [c_long; 34 + 34 + 32 + 1],
}
