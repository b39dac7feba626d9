//! `<bits/signal.h>`, as far as it is in use: the libc crate's type lacks the padding, and the alignment of what the
//! kernel puts behind it.

use core::ffi::{c_long, c_uint, c_ulong};

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
    _pad: c_long,
    /// The registers.
    pub uc_mcontext: mcontext_t,
}

/// `mcontext_t`.
#[repr(C, align(16))]
pub struct mcontext_t {
    pub(super) __pc: c_ulong,
    pub(super) __gregs: [c_ulong; 32],
    pub(super) __flags: c_uint,
}
