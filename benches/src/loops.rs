//! The loops of `loops/`, and those over Rust crates. Each returns the nanoseconds that `n` operations took.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use context::stack::FixedSizeStack;
use context::{Context, Transfer};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, Yielder};

use crate::cpu;

/// Whose functions of POSIX are called, in the order of loops.h.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Peer {
    Glibc,
    Posix,
    None,
    Twins,
    Track,
    Libucontext,
}

/// Where the stack of a new context comes from, in the order of posix.c.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Stacks {
    Fresh,
    Rctx,
    Kept,
}

/// How a new context gives control back, in the order of posix.c.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum End {
    Swap,
    Finish,
}

/// A loop of a peer that may be absent: over so many bytes of locals, if that matters, so many times.
type PeerLoop = extern "C" fn(locals: usize, n: usize) -> f64;

// The loops are safe to call once `load` has run. Those over many contexts have static state: one thread at a time.
unsafe extern "C" {
    fn load_peers(rctx: *const c_char);
    safe fn library_version() -> *const c_char;
    fn find_loop(peer: *const c_char, what: *const c_char) -> Option<PeerLoop>;
    safe fn posix_is_present(peer: Peer) -> c_int;
    fn loop_ring(count: usize, n: usize, rounds: usize, times: *mut f64, block: *mut usize) -> f64;
    fn loop_ring_memcpys(count: usize, len: usize, n: usize, rounds: usize, times: *mut f64);

    /// Nanoseconds that the thread has run.
    safe fn now() -> f64;
    pub safe fn posix_swap(peer: Peer, n: usize) -> f64;
    pub safe fn posix_getcontext(peer: Peer, n: usize) -> f64;
    pub safe fn posix_setcontext(peer: Peer, n: usize) -> f64;
    pub safe fn posix_create(peer: Peer, stacks: Stacks, end: End, n: usize) -> f64;
    pub safe fn posix_cold(peer: Peer, n: usize) -> f64;
    pub safe fn posix_resident(peer: Peer, count: usize) -> f64;
    pub safe fn loop_sigprocmask(n: usize) -> f64;
    pub safe fn loop_stack_alloc(n: usize) -> f64;
    pub safe fn loop_memcpys(len: usize, n: usize) -> f64;
    pub safe fn rctx_switch_swap(n: usize) -> f64;
    pub safe fn sliced_swap(masked: c_int, locals: usize, n: usize) -> f64;
    pub safe fn sliced_finish(n: usize) -> f64;
    pub safe fn sliced_resident(count: usize) -> f64;
    pub safe fn slice_length(locals: usize) -> usize;
    pub safe fn compact_swap(locals: usize, n: usize) -> f64;
    pub safe fn compact_create(n: usize) -> f64;
    pub safe fn compact_cold(n: usize) -> f64;

    /// Whether callgrind's requests were there to be compiled.
    pub safe fn count_is_possible() -> c_int;
    pub safe fn count_begin();
    fn count_end(name: *const c_char);
}

/// Loads the peers, and `rctx` as the library that is measured.
pub fn load(rctx: &Path) {
    let rctx = CString::new(rctx.as_os_str().as_encoded_bytes()).expect("a path has no null byte");
    // SAFETY: a C string; the libraries' constructors ask for nothing.
    unsafe { load_peers(rctx.as_ptr()) }
}

/// The version of the library that was loaded.
pub fn version() -> String {
    // SAFETY: a static C string.
    unsafe { CStr::from_ptr(library_version()) }.to_string_lossy().into_owned()
}

/// The loop of a peer, unless it is absent.
pub fn find(peer: &CStr, what: &CStr) -> Option<PeerLoop> {
    // SAFETY: two C strings.
    unsafe { find_loop(peer.as_ptr(), what.as_ptr()) }
}

/// Whether the functions of POSIX of a peer are there.
pub fn is_present(peer: Peer) -> bool {
    posix_is_present(peer) != 0
}

/// Has callgrind write what was counted since [`count_begin`], under a name.
pub fn dump(name: &str) {
    let name = CString::new(name).expect("a name has no null byte");
    // SAFETY: a C string.
    unsafe { count_end(name.as_ptr()) }
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

/// Runs a loop in two threads at once, on two CPUs: their mean time.
pub fn at_once(run: impl Fn(usize) -> f64 + Sync, other: cpu::Cpu, n: usize) -> f64 {
    let barrier = Barrier::new(2);
    let one = |barrier: &Barrier| {
        barrier.wait();
        run(n)
    };
    let times = thread::scope(|scope| {
        let second = scope.spawn(|| {
            cpu::pin_to(other).expect("the CPU was there before");
            one(&barrier)
        });
        [one(&barrier), second.join().expect("a loop does not panic")]
    });
    times.iter().sum::<f64>() / 2.0
}

/// The crate corosensei: a resume and a suspend are two switches.
pub fn corosensei_swap(n: usize) -> f64 {
    let mut coroutine = Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
        loop {
            yielder.suspend(());
        }
    });
    coroutine.resume(());
    let start = now();
    for _ in 0..n / 2 {
        coroutine.resume(());
    }
    let time = now() - start;
    // SAFETY: the closure owns nothing; unwinding it is what panic = "abort" rules out.
    unsafe { coroutine.force_reset() };
    time
}

/// A coroutine on a stack that is kept: it is resumed once, comes back and is reset.
pub fn corosensei_create(n: usize) -> f64 {
    thread_local! {
        static STACK: RefCell<Option<DefaultStack>> = const { RefCell::new(None) };
    }
    let mut stack = STACK
        .take()
        .unwrap_or_else(|| DefaultStack::new(64 << 10).expect("there is room for one stack"));
    let start = now();
    for _ in 0..n {
        let mut coroutine =
            Coroutine::with_stack(stack, |yielder: &Yielder<(), ()>, ()| yielder.suspend(()));
        coroutine.resume(());
        // SAFETY: as above.
        unsafe { coroutine.force_reset() };
        stack = coroutine.into_stack();
    }
    let time = now() - start;
    STACK.set(Some(stack));
    time
}

extern "C" fn context_task(mut transfer: Transfer) -> ! {
    loop {
        // SAFETY: whoever resumes keeps the stack and resumes only what it was given last.
        transfer = unsafe { transfer.context.resume(0) };
    }
}

/// The crate context: Boost's fcontext, wrapped.
pub fn context_swap(n: usize) -> f64 {
    let stack = FixedSizeStack::default();
    // SAFETY: the stack outlives the context.
    let mut transfer = Transfer::new(unsafe { Context::new(&stack, context_task) }, 0);
    // SAFETY: as in the task.
    transfer = unsafe { transfer.context.resume(0) };
    let start = now();
    for _ in 0..n / 2 {
        // SAFETY: as in the task.
        transfer = unsafe { transfer.context.resume(0) };
    }
    now() - start
}

/// The same on a stack that is kept: a context is resumed once, comes back and is forgotten.
pub fn context_create(n: usize) -> f64 {
    let stack = FixedSizeStack::default();
    let start = now();
    for _ in 0..n {
        // SAFETY: the stack outlives the context, and the one before is not resumed again.
        unsafe { Context::new(&stack, context_task).resume(0) };
    }
    now() - start
}
