//! What the tracking object needs of ISA.

use core::arch::naked_asm;

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words: those of `rctx_track_words`, by the psABI's initial-exec access.
pub fn words() -> *mut [u64; 2] {
    unimplemented!()
}

/// Bytes from a thunk to the next.
pub const THUNK_SIZE: usize = 8;

/// The thunks, one after the other: each makes the shadow unknown, calls its handler with the kernel's arguments,
/// and makes the shadow unknown again, maybe in another thread. An unwinder passes through.
#[unsafe(naked)]
pub unsafe extern "C" fn thunks() {
    naked_asm!(
        ".error \"thunks: {THUNKS} of them; {HANDLERS}, store {UNKNOWN}\"",
        THUNKS = const THUNKS,
        HANDLERS = sym HANDLERS,
        UNKNOWN = const UNKNOWN,
    )
}

/// `vfork`, which returns twice on one stack; the child may have changed the word of both.
macro_rules! vfork {
    ($name:ident) => {
        core::arch::naked_asm!(
            concat!(".error \"", stringify!($name), ": store {UNKNOWN}, fail by {failed}\""),
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
