//! The stacks that a checker is told of, and which of them runs.
//!
//! AddressSanitizer must know the bounds of the running stack and keeps locals on a fake stack of its own,
//! ThreadSanitizer keeps a call stack beside the real one, and valgrind takes a switch for a huge frame unless it
//! knows both stacks. What they keep belongs to a stack, not to a context: many contexts may be saved on one stack,
//! be assigned, and be resumed more than once. So it is found by the stack pointer, in a table of the stacks that
//! `makecontext` was given and of the threads' own.
//!
//! The table exists in a process with a sanitizer or under valgrind only. There every context is saved with the
//! word [`WATCHED`], which the fast paths do not know: every resume goes through `context`, which calls [`resume`].
//! Its lock is not one of libc's, because a race checker would learn an order of events from it that the program
//! does not have. Signals are blocked while it is held.

use core::ffi::{c_int, c_void};
use core::mem::size_of;
use core::ptr::{null_mut, with_exposed_provenance_mut};
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::arch::{self, ucontext_t};
use crate::context::{PLAIN, WATCHED};
use crate::sanitizer;
use crate::sigmask;
use crate::stack::{self, Bounds};

/// What the unprefixed `getcontext` and its twin save, but for the mask's bit; [`WATCHED`] where a sanitizer is.
pub static CAPTURED: AtomicUsize = AtomicUsize::new(PLAIN);

/// Called once, at load.
pub fn start() {
    if sanitizer::follows_stacks() {
        CAPTURED.store(WATCHED, Ordering::Relaxed);
    }
}

/// The word of a context with registers only.
pub fn captured() -> usize {
    CAPTURED.load(Ordering::Relaxed)
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Stack {
    low: usize,
    high: usize,
    /// ThreadSanitizer's fiber.
    fiber: *mut c_void,
    /// AddressSanitizer's fake stack, while it does not run.
    fake: *mut c_void,
    /// Valgrind's number.
    id: usize,
    /// The stack pointer with which it was left.
    near: usize,
    /// Whether a thread runs on it.
    running: bool,
    /// Whether it is a thread's own, which the thread's own fiber belongs to.
    own: bool,
}

impl Stack {
    fn holds(&self, address: usize) -> bool {
        (self.low..self.high).contains(&address)
    }

    /// The running thread goes over from `here` on this stack to `sp` on another.
    fn switch(&mut self, here: usize, to: &mut Stack, sp: usize) {
        (self.running, to.running) = (false, true);
        self.near = here;
        self.fiber = sanitizer::current_fiber();
        sanitizer::switch_stack(&mut self.fake, (to.low, to.high), to.fake);
        sanitizer::switch_fiber(to.fiber);
        leave_frames(to.near, sp);
    }

    /// Nothing that was saved on this stack will be resumed.
    fn end(self) {
        if self.id != 0 {
            sanitizer::deregister_stack(self.id);
        }
        if !self.running {
            sanitizer::end_fake_stack(self.fake);
            if !self.own {
                sanitizer::destroy_fiber(self.fiber);
            }
        }
    }
}

/// More stacks than this are not told of.
const CAPACITY: usize = 1 << 18;

struct Table {
    locked: AtomicBool,
    len: usize,
    /// By the lowest address.
    stacks: [Stack; CAPACITY],
}

/// Calls `work` with the table, which is made at the first call; not at all when there is no memory.
fn with_table(work: impl FnOnce(&mut Table)) {
    static TABLE: AtomicUsize = AtomicUsize::new(0);
    let mut mask = [0usize; size_of::<libc::sigset_t>() / size_of::<usize>()];
    let all = [!0usize; size_of::<libc::sigset_t>() / size_of::<usize>()];
    // SAFETY: both are as large as a signal set.
    if unsafe { sigmask::exchange(all.as_ptr().cast(), mask.as_mut_ptr().cast()) }.is_err() {
        return;
    }
    if TABLE.load(Ordering::Acquire) == 0
        && let Some(fresh) = map()
        && TABLE.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire).is_err()
    {
        // SAFETY: nobody has seen this mapping.
        unsafe { libc::munmap(with_exposed_provenance_mut(fresh), size_of::<Table>()) };
    }
    let table = with_exposed_provenance_mut::<Table>(TABLE.load(Ordering::Acquire));
    // SAFETY: null or a mapping that is never released, whose zeros are a table without stacks.
    if let Some(locked) = unsafe { table.as_ref().map(|table| &table.locked) } {
        while locked.swap(true, Ordering::Acquire) {
            // SAFETY: no preconditions.
            unsafe { libc::sched_yield() };
        }
        // SAFETY: the lock is held; `locked` is not used through this reference.
        work(unsafe { &mut *table });
        locked.store(false, Ordering::Release);
    }
    // SAFETY: as large as a signal set. A mask that could be exchanged once can be again.
    let _ = unsafe { sigmask::exchange(mask.as_ptr().cast(), null_mut()) };
}

/// Memory for the table, zeroed as it is touched.
fn map() -> Option<usize> {
    const PROTECTION: c_int = libc::PROT_READ | libc::PROT_WRITE;
    const FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let memory = unsafe { libc::mmap(null_mut(), size_of::<Table>(), PROTECTION, FLAGS, -1, 0) };
    (memory != libc::MAP_FAILED).then(|| {
        sanitizer::hide_from_helgrind(memory as usize, size_of::<Table>());
        memory.expose_provenance()
    })
}

impl Table {
    fn stacks(&mut self) -> &mut [Stack] {
        // SAFETY: `len` is never more than CAPACITY. No checks of an index: they would bring the panic handler.
        unsafe { slice::from_raw_parts_mut((&raw mut self.stacks).cast(), self.len) }
    }

    /// Where the stacks begin whose lowest address is beyond `address`.
    fn beyond(&mut self, address: usize) -> usize {
        self.stacks().partition_point(|stack| stack.low <= address)
    }

    /// The stacks that hold `address`, the innermost first: one may be an array in a frame of another.
    fn holders(&mut self, address: usize) -> impl Iterator<Item = &mut Stack> {
        let end = self.beyond(address);
        self.stacks().iter_mut().take(end).rev().filter(move |stack| stack.holds(address))
    }

    fn insert(&mut self, stack: Stack) {
        if self.len < CAPACITY {
            let at = self.beyond(stack.low);
            let words = size_of::<Stack>() / size_of::<usize>();
            // SAFETY: there is room for one more behind the last, and `at` is no more than `len`. Not memmove, by
            // the compiler's insight neither: race checkers watch libc's.
            unsafe {
                let stacks = (&raw mut self.stacks).cast::<usize>();
                for word in (at * words..self.len * words).rev() {
                    stacks.add(word + words).write_volatile(stacks.add(word).read_volatile());
                }
                stacks.cast::<Stack>().add(at).write(stack);
            }
            self.len += 1;
        }
    }

    /// Forgets the stacks that overlap the bytes from `low` to `high` and that `gone` applies to.
    fn remove(&mut self, low: usize, high: usize, gone: impl Fn(&Stack) -> bool) {
        let mut kept = 0;
        for index in 0..self.len {
            // SAFETY: both are less than `len`.
            unsafe {
                let stacks = (&raw mut self.stacks).cast::<Stack>();
                let stack = stacks.add(index).read();
                if stack.low < high && low < stack.high && gone(&stack) {
                    stack.end();
                } else {
                    stacks.add(kept).write(stack);
                    kept += 1;
                }
            }
        }
        self.len = kept;
    }

    /// The running stack, which `here` lies on; entered when it is the thread's own and not known yet.
    fn running(&mut self, here: usize) -> Option<*mut Stack> {
        if let Some(stack) = self.holders(here).find(|stack| stack.running) {
            return Some(stack);
        }
        let Bounds { low, high } = stack::own_bounds().ok().filter(|own| own.holds(here))?;
        self.remove(low, high, |other| other.own); // an earlier thread's
        let (fiber, fake) = (null_mut(), null_mut());
        self.insert(Stack { low, high, running: true, own: true, fiber, fake, id: 0, near: here });
        self.holders(here).find(|stack| stack.running).map(|stack| &raw mut *stack)
    }
}

/// `makecontext` has put a first frame on the stack from `low` up to `high`.
pub fn made(low: usize, high: usize) {
    let on_valgrind = sanitizer::on_valgrind();
    if !on_valgrind && !sanitizer::follows_stacks() {
        return;
    }
    sanitizer::wipe(low, high);
    with_table(|table| {
        table.remove(low, high, |other| other.low >= low || other.high <= high);
        table.insert(Stack {
            low,
            high,
            running: false,
            own: false,
            fiber: sanitizer::create_fiber(),
            fake: null_mut(),
            id: if on_valgrind { sanitizer::register_stack(low, high) } else { 0 },
            near: high,
        });
    });
}

/// The stack from `low` up to `high` is about to be released.
pub fn released(low: usize, high: usize) {
    if sanitizer::follows_stacks() || sanitizer::on_valgrind() {
        with_table(|table| table.remove(low, high, |_| true));
    }
}

/// The running thread is about to resume `ucp`.
///
/// # Safety
/// `ucp` is a context that can be resumed.
#[inline]
pub unsafe fn resume(ucp: *const ucontext_t) {
    if sanitizer::follows_stacks() {
        // SAFETY: the caller's promise.
        go_to(unsafe { arch::stack_pointer(ucp) });
    }
}

/// The running thread is about to end, on whatever stack.
pub fn end_thread() {
    if sanitizer::follows_stacks()
        && let Ok(own) = stack::own_bounds()
    {
        go_to(own.high);
        sanitizer::wipe(own.low, own.high);
    }
}

/// The frames from `near` up to `sp` are left for good, as by `longjmp`, if there are any.
fn leave_frames(near: usize, sp: usize) {
    if near < sp {
        sanitizer::wipe(near, sp);
    }
}

/// The running thread goes to the stack that ends at `sp` or has it inside.
#[cold]
fn go_to(sp: usize) {
    let here = &raw const sp as usize;
    with_table(|table| {
        if let Some(from) = table.running(here) {
            let to =
                table.holders(sp - 1).find(|stack| &raw const **stack == from || !stack.running);
            match to {
                Some(to) if &raw const *to != from => {
                    // SAFETY: another stack of the table, which has not changed.
                    unsafe { (*from).switch(here, to, sp) };
                }
                Some(_) => leave_frames(here, sp),
                None => {} // nobody has told us of it
            }
        }
    });
}
