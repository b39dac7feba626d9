//! Processes that share their parent's memory, and system calls by number.

use core::ffi::{c_int, c_long, c_void};

use crate::real::interpose;
use crate::{forget, give_up, port};

/// The C library's `vfork`. Makes the parent's shadow unknown, which the child shares.
///
/// # Safety
/// The C library's.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> libc::pid_t {
    port::vfork!(vfork)
}

/// The C library's `__vfork`.
///
/// # Safety
/// As [`vfork`].
#[cfg(target_env = "gnu")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn __vfork() -> libc::pid_t {
    port::vfork!(__vfork)
}

/// What `vfork` ends with when the kernel answers with a negated errno.
pub extern "C" fn vfork_failed(status: c_int) -> libc::pid_t {
    // SAFETY: the location of errno is valid in every thread.
    unsafe { *libc::__errno_location() = -status };
    -1
}

/// Whether a child has its parent's thread-local words, and meanwhile runs beside it.
fn shares_words(flags: u64) -> bool {
    let [vm, tls, vfork] =
        [libc::CLONE_VM, libc::CLONE_SETTLS, libc::CLONE_VFORK].map(|it| it as u64);
    flags & (vm | tls | vfork) == vm
}

fn give_up_words() {
    give_up(c"posix: the program has made a process with a thread's own memory, by clone");
}

/// Calls `real`, the C library's `clone`.
fn make_process(flags: c_int, real: impl FnOnce() -> c_int) -> c_int {
    if shares_words(flags as u32 as u64) {
        give_up_words();
    }
    let status = real();
    forget(); // CLONE_VFORK: the child may have changed the word of both
    status
}

interpose! {
    // The variable arguments are read whether they are there or not.
    fn clone(
        function: *mut c_void,
        stack: *mut c_void,
        flags: c_int,
        argument: *mut c_void;
        parent: usize,
        tls: usize,
        child: usize
    ) -> c_int, in front of real {
        // SAFETY: the caller's arguments. A child does not return from it.
        make_process(flags, || unsafe { real(function, stack, flags, argument, parent, tls, child) })
    }

    #[cfg(target_env = "gnu")]
    fn __clone(
        function: *mut c_void,
        stack: *mut c_void,
        flags: c_int,
        argument: *mut c_void;
        parent: usize,
        tls: usize,
        child: usize
    ) -> c_int, in front of real {
        // SAFETY: as above.
        make_process(flags, || unsafe { real(function, stack, flags, argument, parent, tls, child) })
    }

    fn syscall(
        number: c_long;
        first: usize,
        second: usize,
        third: usize,
        fourth: usize,
        fifth: usize,
        sixth: usize
    ) -> c_long, in front of real {
        match number {
            libc::SYS_rt_sigprocmask if second != 0 => forget(),
            libc::SYS_rt_sigaction if second != 0 => {
                give_up(c"posix: the program has installed a signal handler by syscall(SYS_rt_sigaction, ...)");
            }
            libc::SYS_clone if shares_words(if cfg!(target_arch = "s390x") { second } else { first } as u64) => give_up_words(),
            // SAFETY: its first argument is a structure whose first member is the flags.
            libc::SYS_clone3 if shares_words(unsafe { (first as *const u64).read() }) => give_up_words(),
            _ => {}
        }
        // SAFETY: the caller's arguments.
        unsafe { real(number, first, second, third, fourth, fifth, sixth) }
    }
}
