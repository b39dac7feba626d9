//! What changes the signal mask of its caller.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering;

use libc::sigset_t;

use crate::real::interpose;
use crate::tracking::{NEVER_BLOCKED, UNKNOWN};
use crate::{ACTIVE, forget, shadow};

/// The C library's own signals, which it takes out of masks, or adds to them, as it likes.
const OF_LIBC: u64 = 0b111 << 31;

/// The first eight bytes of a signal set, which are the kernel's.
///
/// # Safety
/// `set` points to a signal set.
unsafe fn bits(set: *const sigset_t) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { set.cast::<u64>().read_unaligned() }
}

/// Makes the change with `real` and records its outcome.
///
/// # Safety
/// The arguments are those of `sigprocmask`.
unsafe fn change(
    how: c_int,
    set: *const sigset_t,
    old: *mut sigset_t,
    real: unsafe extern "C" fn(c_int, *const sigset_t, *mut sigset_t) -> c_int,
) -> c_int {
    if set.is_null() || !ACTIVE.load(Ordering::Acquire) {
        // SAFETY: the caller's promise. No shadow is known that a change could make wrong.
        return unsafe { real(how, set, old) };
    }
    let mut own = MaybeUninit::<sigset_t>::uninit();
    // SAFETY: the caller's promise. `old` may be `set`: the wanted bits are read first.
    let (wanted, old) = unsafe { (bits(set), if old.is_null() { own.as_mut_ptr() } else { old }) };
    // A kind of unknown that no other change in flight has: a signal handler makes it plain unknown.
    let pending = (&raw const own as u64) << libc::SIGKILL | UNKNOWN;
    shadow().store(pending, Ordering::Relaxed);
    // SAFETY: as above; after success `old` is what was in force.
    let before = unsafe {
        let status = real(how, set, old);
        if status != 0 || wanted & OF_LIBC != 0 {
            return status;
        }
        bits(old)
    };
    let now = match how {
        libc::SIG_BLOCK => before | wanted,
        libc::SIG_UNBLOCK => before & !wanted,
        _ => wanted,
    };
    let now = now & !NEVER_BLOCKED;
    let _ = shadow().compare_exchange(pending, now, Ordering::Relaxed, Ordering::Relaxed);
    0
}

interpose! {
    fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int, in front of real {
        // SAFETY: the caller's arguments.
        unsafe { change(how, set, old, real) }
    }

    fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int, in front of real {
        // SAFETY: the caller's arguments.
        unsafe { change(how, set, old, real) }
    }

    #[cfg(target_env = "gnu")]
    fn sigblock(mask: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: the caller's argument.
        unsafe { real(mask) }
    }

    #[cfg(target_env = "gnu")]
    fn sigsetmask(mask: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: the caller's argument.
        unsafe { real(mask) }
    }

    fn sighold(signal: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: the caller's argument.
        unsafe { real(signal) }
    }

    fn sigrelse(signal: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: the caller's argument.
        unsafe { real(signal) }
    }

    // Each of these restores a mask, if one was saved.

    fn longjmp(buffer: *mut c_void, value: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: the caller's arguments; does not return.
        unsafe { real(buffer, value) }
    }

    fn _longjmp(buffer: *mut c_void, value: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: as above.
        unsafe { real(buffer, value) }
    }

    fn siglongjmp(buffer: *mut c_void, value: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: as above.
        unsafe { real(buffer, value) }
    }

    #[cfg(target_env = "gnu")]
    fn __longjmp_chk(buffer: *mut c_void, value: c_int) -> c_int, in front of real {
        forget();
        // SAFETY: as above.
        unsafe { real(buffer, value) }
    }
}
