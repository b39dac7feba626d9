//! The first frame of a fresh context.

use core::ffi::c_int;
use core::mem::size_of;

use crate::arch::{self, ARGUMENT_REGISTERS, ENTRY_AREA, STACK_ALIGN, ucontext_t};

const WORD: usize = size_of::<usize>();

/// The bytes of the arguments that are passed on the stack, so that the rest is aligned.
const fn stack_arguments(argc: usize) -> Option<usize> {
    match argc.saturating_sub(ARGUMENT_REGISTERS.len()).checked_mul(WORD) {
        Some(size) => size.checked_next_multiple_of(STACK_ALIGN),
        None => None,
    }
}

/// What lies below them: never nothing, since a slice has a first byte, and a function pushes something.
const REST: usize =
    if ENTRY_AREA == 0 { STACK_ALIGN } else { ENTRY_AREA.next_multiple_of(STACK_ALIGN) };

/// The size in bytes of the first frame of a function with one argument.
pub const FRAME_SIZE: usize = stack_arguments(1).unwrap() + REST;

/// Makes `ucp` start `func` on the stack from `low` up to `high`, with `argument(0..argc)`, and resume `link`
/// when it returns. `ENOMEM` when the first frame does not fit; nothing is changed then.
///
/// The frame is written at its address, or `shift` bytes further when the stack's bytes are kept elsewhere until
/// the first resume.
///
/// # Safety
/// `ucp` holds a captured context; the bytes of the frame are writable.
pub unsafe fn make(
    ucp: *mut ucontext_t,
    (low, high): (usize, usize),
    shift: isize,
    func: usize,
    argc: usize,
    argument: impl Fn(usize) -> usize,
    link: *mut ucontext_t,
) -> Result<(), c_int> {
    let arguments = stack_arguments(argc)
        .and_then(|size| (high & !(STACK_ALIGN - 1)).checked_sub(size))
        .filter(|&arguments| arguments.checked_sub(REST).is_some_and(|start| start >= low))
        .ok_or(libc::ENOMEM)?;
    let sp = arguments - ENTRY_AREA;
    // SAFETY: the frame lies between `low` and `high`, which the caller vouches for.
    unsafe {
        let frame = (sp as *mut usize).byte_offset(shift);
        arch::set_entry(ucp, sp, frame, func, link as usize);
        for index in 0..argc {
            match ARGUMENT_REGISTERS.get(index) {
                Some(&offset) => arch::set_field(ucp, offset, argument(index)),
                None => {
                    let slot = index - ARGUMENT_REGISTERS.len();
                    frame.byte_add(ENTRY_AREA).add(slot).write(argument(index))
                }
            }
        }
    }
    Ok(())
}
