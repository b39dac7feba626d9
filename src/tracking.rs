//! What the library and its tracking object (track/, librctx-track.so) agree on. Compiled into both.
//!
//! The shadow is one word a thread: the kernel's signal mask, or, with the bit of SIGKILL, which is never blocked,
//! *unknown*. It lies in the thread-local storage of the tracking object, so that the library has none.

use core::ffi::{c_char, c_int};

/// The bit that makes a shadow unknown.
pub const UNKNOWN: u64 = 1 << (libc::SIGKILL - 1);
/// What the kernel takes out of every mask.
pub const NEVER_BLOCKED: u64 = UNKNOWN | 1 << (libc::SIGSTOP - 1);

/// What the tracking object tells the library, by `rctx_private_track`.
#[repr(C)]
pub struct Tracking {
    /// The running thread's shadow; behind it a word that stays unknown. Both are at the same distance from the
    /// thread pointer in every thread.
    pub words: *mut [u64; 2],
    /// Why masks cannot be tracked, or not any longer, for the reader; null when they can.
    pub refused: *const c_char,
    /// Called by the check mode at the first difference. Does not return.
    pub differ: unsafe extern "C" fn(kernel: u64, shadow: u64) -> c_int,
}
