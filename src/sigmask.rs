//! The policy for signal masks, and the environment that chooses it.

use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU8, Ordering};

use libc::sigset_t;

use crate::context::fail;
use crate::fibers;

/// The unprefixed functions save and install the signal mask, with one system call a swap. The default.
pub const RCTX_SIGMASK_POSIX: c_int = 0;
/// The unprefixed functions leave the signal mask alone.
pub const RCTX_SIGMASK_NONE: c_int = 1;

/// [`RCTX_SIGMASK_POSIX`] and its kin, as the assembly and the slow path compare them.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum Policy {
    /// The mask is saved and installed.
    Posix = RCTX_SIGMASK_POSIX as u8,
    /// The mask is left alone.
    None = RCTX_SIGMASK_NONE as u8,
}

/// Every policy with its word in the environment.
const POLICIES: [(Policy, &CStr); 2] = [(Policy::Posix, c"posix"), (Policy::None, c"none")];

/// The policy in force, read by every unprefixed function: one byte, no lock.
pub static POLICY: AtomicU8 = AtomicU8::new(Policy::Posix as u8);

/// The policy in force.
pub fn policy() -> Policy {
    let byte = POLICY.load(Ordering::Relaxed);
    POLICIES.iter().map(|row| row.0).find(|&policy| policy as u8 == byte).unwrap_or(Policy::Posix)
}

/// Chooses how the unprefixed functions treat the signal mask, for the whole process.
///
/// - `policy`: `RCTX_SIGMASK_POSIX` or `RCTX_SIGMASK_NONE`.
///
/// Returns the policy before, or -1 with errno `EINVAL` for a number that is no policy, which changes
/// nothing. Contexts that exist keep or lack their mask as they were saved. Async-signal-safe and
/// thread-safe; a swap that runs in another thread meanwhile follows either policy.
#[unsafe(no_mangle)]
pub extern "C" fn rctx_sigmask(policy: c_int) -> c_int {
    match POLICIES.iter().find(|row| row.0 as c_int == policy) {
        Some(row) => POLICY.swap(row.0 as u8, Ordering::Relaxed) as c_int,
        None => fail(libc::EINVAL),
    }
}

/// The size of the kernel's signal set, which the raw system call asks for.
pub const KERNEL_SIGSET_SIZE: usize = 8;

/// Installs the mask `new` unless it is null and stores the mask before in `old` unless that is null.
///
/// The raw system call, because libc's functions clear the signals that it reserves for itself out of the
/// mask, and because only the kernel's eight bytes of `old` may be written.
///
/// # Safety
/// Each pointer is null or leads to a `sigset_t`.
pub unsafe fn exchange(new: *const sigset_t, old: *mut sigset_t) -> Result<(), c_int> {
    // SAFETY: the kernel reads and writes eight bytes at most at pointers that the caller vouches for.
    let status = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, KERNEL_SIGSET_SIZE)
    };
    // SAFETY: errno was just set.
    if status == 0 { Ok(()) } else { Err(unsafe { *libc::__errno_location() }) }
}

/// Blocks every signal of the calling thread.
pub fn block_all() -> Result<(), c_int> {
    let all = [!0u8; size_of::<sigset_t>()];
    // SAFETY: `all` is as large as a signal set.
    unsafe { exchange(all.as_ptr().cast(), null_mut()) }
}

/// Reads the environment, once, when the library is loaded.
///
/// # Safety
/// Called by the loader, before `main`.
unsafe extern "C" fn read_environment() {
    fibers::start();
    // SAFETY: secure_getenv takes a C string and returns one or null; nothing changes the environment yet.
    let variable = |name: &CStr| unsafe {
        let value = secure_getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    };
    let mut chosen = POLICIES[0];
    if let Some(name) = variable(c"RCTX_SIGMASK") {
        match POLICIES.iter().find(|row| row.1 == name) {
            Some(&row) => chosen = row,
            None => report(&[
                c"rctx: RCTX_SIGMASK=",
                name,
                c" is not a policy (posix, none): using posix\n",
            ]),
        }
        POLICY.store(chosen.0 as u8, Ordering::Relaxed);
    }
    if variable(c"RCTX_VERBOSE").is_some_and(|value| value == c"1") {
        report(&[
            c"rctx ",
            crate::VERSION,
            c" ",
            ARCHITECTURE,
            c", signal masks: ",
            chosen.1,
            c"\n",
        ]);
    }
}

const ARCHITECTURE: &CStr = crate::arch::NAME;

unsafe extern "C" {
    /// Missing from the libc crate.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

#[used]
#[unsafe(link_section = ".init_array")]
static READ_ENVIRONMENT: unsafe extern "C" fn() = read_environment;

/// Writes one line to stderr, in one call as far as 256 bytes hold it.
fn report(parts: &[&CStr]) {
    let mut line = [0u8; 256];
    let bytes = parts.iter().flat_map(|part| part.to_bytes());
    let len = line.iter_mut().zip(bytes).map(|(place, byte)| *place = *byte).count();
    // SAFETY: `line` holds `len` bytes.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), len) };
}
