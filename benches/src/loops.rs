//! The loops of loops.c, and those over Rust crates. Each returns the nanoseconds that `n` operations took.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::time::Instant;

use context::stack::FixedSizeStack;
use context::{Context, Transfer};
use corosensei::{Coroutine, Yielder};

/// Whose functions of POSIX are called, in the order of loops.c.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Peer {
    Glibc,
    Posix,
    None,
    Twins,
}

/// Where the stack of a new context comes from, in the order of loops.c.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Stacks {
    Fresh,
    Pooled,
}

/// How a new context gives control back, in the order of loops.c.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum End {
    Swap,
    Finish,
}

// The loops are safe to call once `load` has run, on one thread: their state for a shared stack is static.
unsafe extern "C" {
    fn load_peers(rctx: *const c_char, fcontext: *const c_char) -> c_int;
    safe fn library_version() -> *const c_char;
    fn loop_ring(count: usize, n: usize, rounds: usize, times: *mut f64, block: *mut usize) -> f64;
    fn loop_ring_memcpys(count: usize, len: usize, n: usize, rounds: usize, times: *mut f64);

    pub safe fn loop_swap(peer: Peer, n: usize) -> f64;
    pub safe fn loop_getcontext(peer: Peer, n: usize) -> f64;
    pub safe fn loop_setcontext(peer: Peer, n: usize) -> f64;
    pub safe fn loop_sigprocmask(n: usize) -> f64;
    pub safe fn loop_fcontext(n: usize) -> f64;
    pub safe fn loop_switch(n: usize) -> f64;
    pub safe fn loop_create(peer: Peer, stacks: Stacks, end: End, n: usize) -> f64;
    pub safe fn loop_create_fcontext(n: usize) -> f64;
    pub safe fn loop_create_compact(n: usize) -> f64;
    pub safe fn loop_create_sliced(n: usize) -> f64;
    pub safe fn loop_sliced(masked: c_int, locals: usize, n: usize) -> f64;
    pub safe fn loop_compact(locals: usize, n: usize) -> f64;
    pub safe fn loop_memcpys(len: usize, n: usize) -> f64;
    pub safe fn slice_length(locals: usize) -> usize;
}

/// Loads the peers. Returns whether Boost's fcontext is there.
pub fn load(rctx: &Path, fcontext: &CStr) -> bool {
    let rctx = CString::new(rctx.as_os_str().as_encoded_bytes()).expect("a path has no null byte");
    // SAFETY: two C strings; the libraries' constructors ask for nothing.
    unsafe { load_peers(rctx.as_ptr(), fcontext.as_ptr()) != 0 }
}

/// The version of the library that was loaded.
pub fn version() -> String {
    // SAFETY: a static C string.
    unsafe { CStr::from_ptr(library_version()) }.to_string_lossy().into_owned()
}

/// What a ring of contexts takes.
pub struct Ring {
    /// Resident bytes of a context, its handle included.
    pub resident: f64,
    /// The size of its block.
    pub block: usize,
}

/// Swaps round `count` suspended contexts, `n` swaps in each of the rounds that `times` has room for.
pub fn ring(count: usize, n: usize, times: &mut [f64]) -> Ring {
    let mut block = 0;
    // SAFETY: as many times as there is room for; `block` is written.
    let resident = unsafe { loop_ring(count, n, times.len(), times.as_mut_ptr(), &mut block) };
    Ring { resident, block }
}

/// The same with two bare memcpys of `len` bytes in place of a swap.
pub fn ring_memcpys(count: usize, len: usize, n: usize, times: &mut [f64]) {
    // SAFETY: as many times as there is room for.
    unsafe { loop_ring_memcpys(count, len, n, times.len(), times.as_mut_ptr()) }
}

/// The crate corosensei: a resume and a suspend are two switches.
pub fn loop_corosensei(n: usize) -> f64 {
    let mut coroutine = Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
        loop {
            yielder.suspend(());
        }
    });
    coroutine.resume(());
    let start = Instant::now();
    for _ in 0..n / 2 {
        coroutine.resume(());
    }
    let time = start.elapsed().as_nanos() as f64;
    // SAFETY: the closure owns nothing; unwinding it is what panic = "abort" rules out.
    unsafe { coroutine.force_reset() };
    time
}

/// The crate context: Boost's fcontext, wrapped.
pub fn loop_context(n: usize) -> f64 {
    extern "C" fn task(mut transfer: Transfer) -> ! {
        loop {
            // SAFETY: main keeps the stack and resumes only what it was given last.
            transfer = unsafe { transfer.context.resume(0) };
        }
    }
    let stack = FixedSizeStack::default();
    // SAFETY: the stack outlives the context.
    let mut transfer = Transfer::new(unsafe { Context::new(&stack, task) }, 0);
    // SAFETY: as in the task.
    transfer = unsafe { transfer.context.resume(0) };
    let start = Instant::now();
    for _ in 0..n / 2 {
        // SAFETY: as in the task.
        transfer = unsafe { transfer.context.resume(0) };
    }
    start.elapsed().as_nanos() as f64
}
