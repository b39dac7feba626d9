//! What installs a signal handler. The kernel is given a thunk in the handler's place, the program never sees it: where
//! a thunk is reported, its handler is put in its place. A thunk belongs to one handler for good, so what the kernel
//! does with dispositions (`SA_RESETHAND`, two threads, a signal meanwhile) needs no lock and no care.

use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering};

use libc::sighandler_t;

use crate::real::interpose;
use crate::{forget, give_up, port};

/// How many handlers a program may have before masks are tracked no longer.
pub const THUNKS: usize = 256;

/// The handler of each thunk, read by it; 0 for one that is free.
pub static HANDLERS: [AtomicUsize; THUNKS] = [const { AtomicUsize::new(0) }; THUNKS];

/// The largest constant that stands for no handler: SIG_DFL, SIG_IGN, SIG_HOLD. (SIG_ERR is -1.)
const SIG_HOLD: sighandler_t = 2;

fn first_thunk() -> usize {
    port::thunks as *const () as usize
}

/// What the kernel is to call in place of `handler`.
fn hide(handler: sighandler_t) -> sighandler_t {
    if handler <= SIG_HOLD || handler == libc::SIG_ERR || show(handler) != handler {
        return handler;
    }
    for (index, slot) in HANDLERS.iter().enumerate() {
        match slot.compare_exchange(0, handler, Ordering::Relaxed, Ordering::Relaxed) {
            Err(other) if other != handler => {}
            _ => return first_thunk() + index * port::THUNK_SIZE,
        }
    }
    give_up(c"posix: the program has too many signal handlers");
    handler
}

/// The program's own handler, from what the kernel has.
fn show(handler: sighandler_t) -> sighandler_t {
    let distance = handler.wrapping_sub(first_thunk());
    match HANDLERS.get(distance / port::THUNK_SIZE) {
        Some(slot) => slot.load(Ordering::Relaxed),
        None => handler,
    }
}

/// What a program says of a signal's handler.
trait Action: Copy {
    fn handler(&mut self) -> &mut sighandler_t;
}

impl Action for libc::sigaction {
    fn handler(&mut self) -> &mut sighandler_t {
        &mut self.sa_sigaction
    }
}

/// C's `struct sigvec`, which the C library declares no longer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SigVec {
    handler: sighandler_t,
    mask: c_int,
    flags: c_int,
}

impl Action for SigVec {
    fn handler(&mut self) -> &mut sighandler_t {
        &mut self.handler
    }
}

interpose! {
    fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int, in front of real {
        // SAFETY: the caller's arguments.
        unsafe { install(signal, new, old, real) }
    }

    #[cfg(target_env = "gnu")]
    fn __sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int, in front of real {
        // SAFETY: the caller's arguments.
        unsafe { install(signal, new, old, real) }
    }

    // For old programs alone; a machine that came after it has none.
    #[cfg(all(target_env = "gnu", not(any(target_arch = "riscv64", target_arch = "loongarch64"))))]
    fn sigvec(signal: c_int, new: *const SigVec, old: *mut SigVec) -> c_int, in front of real {
        // SAFETY: the caller's arguments.
        unsafe { install(signal, new, old, real) }
    }

    fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t, in front of real {
        // SAFETY: the caller's arguments.
        show(unsafe { real(signal, hide(handler)) })
    }

    fn bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t, in front of real {
        // SAFETY: the caller's arguments.
        show(unsafe { real(signal, hide(handler)) })
    }

    #[cfg(target_env = "gnu")]
    fn ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t, in front of real {
        // SAFETY: the caller's arguments.
        show(unsafe { real(signal, hide(handler)) })
    }

    #[cfg(target_env = "gnu")]
    fn sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t, in front of real {
        // SAFETY: the caller's arguments.
        show(unsafe { real(signal, hide(handler)) })
    }

    fn __sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t, in front of real {
        // SAFETY: the caller's arguments.
        show(unsafe { real(signal, hide(handler)) })
    }

    fn sigset(signal: c_int, handler: sighandler_t) -> sighandler_t, in front of real {
        forget(); // it blocks or unblocks the signal as well
        // SAFETY: the caller's arguments.
        show(unsafe { real(signal, hide(handler)) })
    }
}

/// # Safety
/// The arguments are those of `sigaction`, or of a function like it.
unsafe fn install<A: Action>(
    signal: c_int,
    new: *const A,
    old: *mut A,
    real: unsafe extern "C" fn(c_int, *const A, *mut A) -> c_int,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let status = if new.is_null() {
            real(signal, new, old)
        } else {
            let mut hidden = new.read();
            *hidden.handler() = hide(*hidden.handler());
            real(signal, &hidden, old)
        };
        if status == 0 && !old.is_null() {
            *(*old).handler() = show(*(*old).handler());
        }
        status
    }
}
