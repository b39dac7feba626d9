//! What memory and race checkers are told. In a program without one, a null pointer is tested, and no more.
//!
//! AddressSanitizer marks the gaps between a frame's variables, and the marks stay where the
//! frame was: the frames of another slice would be reported for using what is theirs. So the marks are wiped
//! when a slice is suspended, dropped or put back; the price is that what a frame did before is no longer
//! guarded after a switch.
//!
//! Valgrind takes what lies beyond the stack pointer for free. It follows the stack pointer, but not to another
//! stack, which it tells by the distance: a slice put back from there would be written to free memory.
//!
//! Which stack runs is told by `fibers`.

use core::arch::global_asm;
use core::ffi::{c_uint, c_void};
use core::mem::size_of;
use core::ptr::{null, null_mut};

use crate::arch;

/// Words that hold the addresses of functions of a sanitizer's runtime, null in programs without it: Rust has no
/// weak references.
macro_rules! weak {
    ($($word:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        $(global_asm!(
            concat!(".weak ", $name),
            concat!(".hidden ", stringify!($word)),
            concat!(".globl ", stringify!($word)),
            ".pushsection .data.rel.ro, \"aw\"",
            ".balign {WORD}",
            concat!(stringify!($word), ":"),
            concat!(".dc.a ", $name),
            ".popsection",
            WORD = const size_of::<usize>(),
        );)*
        unsafe extern "C" {
            $(static $word: Option<unsafe extern "C" fn($($argument),*) $(-> $result)?>;)*
        }
    };
}

// sanitizer/asan_interface.h, sanitizer/common_interface_defs.h, sanitizer/tsan_interface.h.
weak! {
    rctx_private_unpoison = "__asan_unpoison_memory_region": fn(*const c_void, usize);
    rctx_private_start_switch = "__sanitizer_start_switch_fiber":
        fn(*mut *mut c_void, *const c_void, usize);
    rctx_private_finish_switch = "__sanitizer_finish_switch_fiber":
        fn(*mut c_void, *mut *const c_void, *mut usize);
    rctx_private_current_fiber = "__tsan_get_current_fiber": fn() -> *mut c_void;
    rctx_private_create_fiber = "__tsan_create_fiber": fn(c_uint) -> *mut c_void;
    rctx_private_destroy_fiber = "__tsan_destroy_fiber": fn(*mut c_void);
    rctx_private_switch_fiber = "__tsan_switch_to_fiber": fn(*mut c_void, c_uint);
}

/// Whether a sanitizer wants to know which stack runs.
#[inline]
pub fn follows_stacks() -> bool {
    // SAFETY: the loader or the linker wrote the words.
    unsafe { rctx_private_start_switch.is_some() || rctx_private_create_fiber.is_some() }
}

/// AddressSanitizer: the running thread goes over to the stack from `low` up to `high`. `leaving` takes the fake
/// stack, with the locals of the frames left behind; null ends it. `entering` is what `leaving` took when the
/// stack was left before, null for a fresh one.
pub fn switch_stack(leaving: *mut *mut c_void, (low, high): (usize, usize), entering: *mut c_void) {
    // SAFETY: the words as above. The two calls may stand together: nothing that the sanitizer instruments runs
    // until the registers are switched as well.
    unsafe {
        if let (Some(start), Some(finish)) = (rctx_private_start_switch, rctx_private_finish_switch)
        {
            start(leaving, low as *const c_void, high - low);
            finish(entering, null_mut(), null_mut());
        }
    }
}

/// AddressSanitizer: nobody goes back to the frames of a fake stack. Null is none.
pub fn end_fake_stack(fake: *mut c_void) {
    if fake.is_null() {
        return;
    }
    // SAFETY: as above. The thread takes the fake stack over, to end it, and goes back to its own.
    unsafe {
        if let (Some(start), Some(finish)) = (rctx_private_start_switch, rctx_private_finish_switch)
        {
            let (mut own, mut low, mut size) = (null_mut(), null(), 0);
            start(&mut own, null(), 0);
            finish(fake, &mut low, &mut size);
            start(null_mut(), low, size);
            finish(own, null_mut(), null_mut());
        }
    }
}

/// ThreadSanitizer's state of the running call stack; null without it.
pub fn current_fiber() -> *mut c_void {
    // SAFETY: as above.
    unsafe { rctx_private_current_fiber.map_or(null_mut(), |current| current()) }
}

/// A state for another call stack.
pub fn create_fiber() -> *mut c_void {
    // SAFETY: as above; no flags.
    unsafe { rctx_private_create_fiber.map_or(null_mut(), |create| create(0)) }
}

/// Ends a state of [`create_fiber`], which does not run.
pub fn destroy_fiber(fiber: *mut c_void) {
    // SAFETY: as above.
    unsafe {
        if let Some(destroy) = rctx_private_destroy_fiber
            && !fiber.is_null()
        {
            destroy(fiber);
        }
    }
}

/// The running thread goes over to another call stack. What was done before happens before what it does then.
pub fn switch_fiber(fiber: *mut c_void) {
    // SAFETY: as above.
    unsafe {
        if let Some(switch) = rctx_private_switch_fiber {
            switch(fiber, 0);
        }
    }
}

/// How far from a slice the running frames may be that are wiped with it: the sanitizer's own limit for a
/// `longjmp` (kMaxExpectedCleanupSize).
const FARTHEST: usize = 64 << 20;

/// The default of valgrind's --max-stackframe: it takes a longer step of the stack pointer for a change of stacks.
const FAR_FOR_VALGRIND: usize = 2_000_000;
/// memcheck.h, VG_USERREQ__MAKE_MEM_UNDEFINED: "MC" in the upper bytes.
const MAKE_MEM_UNDEFINED: usize = 0x4d43_0001;
/// helgrind.h, _VG_USERREQ__HG_ARANGE_MAKE_UNTRACKED: "HG" in the upper bytes.
const MAKE_UNTRACKED: usize = 0x4847_0127;
/// valgrind.h, VG_USERREQ__RUNNING_ON_VALGRIND and the two for stacks.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const STACK_REGISTER: usize = 0x1501;
const STACK_DEREGISTER: usize = 0x1502;

/// Whether valgrind runs the program.
pub fn on_valgrind() -> bool {
    arch::valgrind_request(&[RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0]) != 0
}

/// Tells valgrind of a stack; returns its number for [`deregister_stack`].
pub fn register_stack(low: usize, high: usize) -> usize {
    arch::valgrind_request(&[STACK_REGISTER, low, high, 0, 0, 0])
}

/// Tells valgrind that a stack is none any more.
pub fn deregister_stack(id: usize) {
    arch::valgrind_request(&[STACK_DEREGISTER, id, 0, 0, 0, 0]);
}

/// Tells helgrind to leave memory alone that is guarded by a lock it does not see.
pub fn hide_from_helgrind(start: usize, len: usize) {
    arch::valgrind_request(&[MAKE_UNTRACKED, start, len, 0, 0, 0]);
}

/// Wipes the marks from `near` to `far`, which are on one stack.
#[inline]
pub fn wipe(near: usize, far: usize) {
    // SAFETY: the loader or the linker wrote the word; the function accepts any memory.
    unsafe {
        if let Some(unpoison) = rctx_private_unpoison {
            unpoison(near as *const c_void, far - near);
        }
    }
}

/// Prepares for a slice to be put back from `near` to `far`: wipes its marks, and those of the running frames if
/// they lie nearer on what may be the same stack; tells valgrind of a change of stacks.
#[inline]
pub fn before_resume(near: usize, far: usize) {
    let here = &raw const near as usize;
    if far.wrapping_sub(here) >= FAR_FOR_VALGRIND {
        arch::valgrind_request(&[MAKE_MEM_UNDEFINED, near, far - near, 0, 0, 0]);
    }
    // SAFETY: as in wipe.
    if unsafe { rctx_private_unpoison.is_some() } {
        wipe(if here < near && far - here < FARTHEST { here } else { near }, far);
    }
}
