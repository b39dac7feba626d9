//! rctx gives C programs the POSIX context functions and stack slicing.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `context` | what a context is: the word that tells the kinds apart, and how each is resumed |
//! | `entry` | the first frame of a fresh context |
//! | `posix` | `getcontext`, `setcontext`, `makecontext`, `swapcontext` and their twins |
//! | `sliced` | the same with a base: contexts that share one C stack |
//! | `slice` | the engine below it, and the compact handle `rctx_slice_*` |
//! | `switch` | `rctx_switch`, `rctx_call`, `getstacktop`, `stack_direction` |
//! | `sigmask` | the policy for signal masks and the environment |
//! | `tracking` | what is agreed on with the tracking object, the crate in `track/` |
//! | `sanitizer` | what memory and race checkers are told |
//! | `fibers` | the stacks that they are told of |
//! | `pool` | released stacks, kept for `rctx_stack_alloc` |
//! | `stack` | `rctx_stack_alloc`, and what is known of a thread's own stack |
//! | `arch` | the table of instruction sets; their code is in `arch/` |
//!
//! # From Rust
//!
//! The crate is the C library as it is: raw functions with C's names. Switch its panic handler off, which is for C
//! programs: `rctx = { version = "0.1", default-features = false }`.
//!
//! ```
//! use std::ffi::c_void;
//! use std::mem::zeroed;
//!
//! use rctx::{rctx_makecontext, rctx_stack_alloc, rctx_stack_free, rctx_swapcontext, ucontext_t};
//!
//! struct Squares {
//!     caller: ucontext_t,
//!     own: ucontext_t,
//!     value: u32,
//! }
//!
//! unsafe extern "C" fn squares(this: *mut c_void) {
//!     let this = this.cast::<Squares>();
//!     for i in 1.. {
//!         // SAFETY: main keeps the structure, and is suspended in `caller`.
//!         unsafe {
//!             (*this).value = i * i;
//!             rctx_swapcontext(&raw mut (*this).own, &raw const (*this).caller);
//!         }
//!     }
//! }
//!
//! fn main() {
//!     // SAFETY: zeroes are a context that was never captured; the stack lives until nothing runs on it.
//!     unsafe {
//!         let mut storage: Squares = zeroed();
//!         let this = &raw mut storage;
//!         assert_eq!(rctx_stack_alloc(&raw mut (*this).own.uc_stack, 64 * 1024), 0);
//!         let mut stack = (*this).own.uc_stack;
//!         rctx_makecontext(&raw mut (*this).own, Some(squares), this.cast());
//!         for wanted in [1, 4, 9] {
//!             assert_eq!(rctx_swapcontext(&raw mut (*this).caller, &raw const (*this).own), 0);
//!             assert_eq!((*this).value, wanted);
//!         }
//!         assert_eq!(rctx_stack_free(&raw mut stack), 0);
//!     }
//!     println!("1, 4, 9");
//! }
//! ```
//!
//! What a suspended function holds is dropped only if it is resumed to its end, and a panic must not leave a
//! context's function: `extern "C"` ends the process there.
//!
//! Do not use a capture that returns twice (`getcontext`, `rctx_getcontext`,
//! `rctx_getcontext_sliced`) from Rust. The compiler has no way to be told, and locals may be wrong at
//! the second return. `swapcontext` and `makecontext` return once and are sound.

#![no_std]
#![allow(non_camel_case_types)] // the names of C

#[cfg(all(feature = "c-library", not(panic = "abort")))]
compile_error!("rctx switches stacks below the unwinder: build it with panic = \"abort\"");

#[macro_use]
mod arch;
mod context;
mod entry;
mod fibers;
mod pool;
mod posix;
mod sanitizer;
mod sigmask;
mod slice;
mod sliced;
mod stack;
mod switch;
mod tracking;

#[doc(hidden)]
pub use arch::LAYOUT;
pub use arch::ucontext_t;
pub use posix::*;
pub use sigmask::*;
pub use slice::{rctx_slice_free, rctx_slice_start, rctx_slice_swap, rctx_slice_t};
pub use sliced::*;
pub use stack::{rctx_stack_alloc, rctx_stack_free};
pub use switch::*;

use core::ffi::{CStr, c_char};

/// The library's version, "major.minor.patch".
///
/// Returns a static string that is never freed. Async-signal-safe, thread-safe, cannot fail.
#[unsafe(no_mangle)]
pub extern "C" fn rctx_version() -> *const c_char {
    VERSION.as_ptr()
}

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => unreachable!(),
    };

/// Brings the panic handler to Rust programs; cargo links a shared object along with the rlib, which needs one.
#[cfg(not(feature = "c-library"))]
extern crate std;

#[cfg(feature = "c-library")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: abort takes no arguments and does not return.
    unsafe { libc::abort() }
}
