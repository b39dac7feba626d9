//! The primitive under slicing, for engines that manage stack memory themselves.

use core::ffi::{c_int, c_void};

use crate::arch;

/// A hook of [`rctx_switch`] and [`rctx_call`].
///
/// - `arg`: what the function was given.
/// - `op`: `RCTX_SAVE`, `RCTX_RESTORE` or `RCTX_CALL`.
/// - `stacktop`: a stack pointer; each function says which.
pub type rctx_hook_t =
    Option<unsafe extern "C" fn(arg: *mut c_void, op: c_int, stacktop: *mut c_void) -> *mut c_void>;

/// `op` of the first call of a hook by [`rctx_switch`]: save what is to be kept, choose the stack pointer.
pub const RCTX_SAVE: c_int = 0;
/// `op` of the second call of a hook by [`rctx_switch`]: put the target's bytes back.
pub const RCTX_RESTORE: c_int = 1;
/// `op` of the call of a hook by [`rctx_call`].
pub const RCTX_CALL: c_int = 2;

/// Pushes every callee-saved register, calls `hook(arg, RCTX_SAVE, sp)`, installs the returned value as the
/// stack pointer, calls `hook(arg, RCTX_RESTORE, sp)` below it and pops the registers from there.
///
/// - `hook`: called twice, on the running stack and on the chosen one. `sp` is the lowest address that the
///   resume will read, 16-byte aligned; the registers and the floating-point control words above it belong
///   to the bytes to save. Returning `sp` unchanged means "no switch". The second call writes only at or
///   above its `sp`. A hook does not throw, longjmp or switch.
/// - `arg`: passed on.
///
/// Returns what the second call returned, in the context whose registers were popped. Never touches the
/// signal mask. Async-signal-safe and thread-safe as far as the hook is.
///
/// # Safety
/// The stack pointer that the hook returns was given to a hook before, and the bytes above it are, after
/// the second call, what they were then.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_switch(hook: rctx_hook_t, arg: *mut c_void) -> *mut c_void {
    arch::switch!()
}

/// Calls `hook(arg, RCTX_CALL, old_sp)` on another stack and returns its result.
///
/// - `hook`: the function; it may throw through this one, and a backtrace goes on in the caller.
/// - `arg`: passed on.
/// - `stack`: the far end (the top) of the stack to run on, aligned down to 16; null for the running one.
///
/// `old_sp` is the caller's stack pointer, as [`getstacktop`] would return it. Async-signal-safe and
/// thread-safe as far as the hook is.
///
/// # Safety
/// The bytes below `stack` are free and suffice for the hook.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_call(
    hook: rctx_hook_t,
    arg: *mut c_void,
    stack: *mut c_void,
) -> *mut c_void {
    arch::call!()
}

/// Returns the caller's stack pointer at the call: everything of the caller that must survive a switch lies
/// on the older side of it. Async-signal-safe, thread-safe, cannot fail.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn getstacktop() -> *mut c_void {
    arch::stacktop!()
}

/// Returns -1 where stacks grow towards lower addresses, +1 where they grow up. Every instruction set that
/// the library knows grows down. Async-signal-safe, thread-safe, cannot fail.
#[unsafe(no_mangle)]
pub extern "C" fn stack_direction() -> c_int {
    -1
}
