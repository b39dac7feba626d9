//! The functions of the C library that ours stand in front of.

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// glibc's first version for the machine: dlsym does not find what it keeps under this one for old programs alone.
#[cfg(target_env = "gnu")]
const FIRST_VERSION: &CStr = if cfg!(target_arch = "x86_64") {
    c"GLIBC_2.2.5"
} else if cfg!(target_arch = "x86") {
    c"GLIBC_2.0"
} else if cfg!(target_arch = "s390x") {
    c"GLIBC_2.2"
} else if cfg!(target_arch = "arm") {
    c"GLIBC_2.4"
} else {
    c"GLIBC_2.17"
};

/// A function that comes next after ours of the same name.
pub struct Real {
    name: &'static CStr,
    address: AtomicUsize,
}

impl Real {
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicUsize::new(0) }
    }

    /// Its address. Found when the object is loaded, or before that by whoever comes first.
    pub fn address(&self) -> usize {
        match self.address.load(Ordering::Relaxed) {
            0 => self.find(),
            address => address,
        }
    }

    #[cold]
    fn find(&self) -> usize {
        let name = self.name.as_ptr();
        // SAFETY: a C string.
        let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name) };
        #[cfg(target_env = "gnu")]
        let address = if address.is_null() {
            // SAFETY: C strings.
            unsafe { libc::dlvsym(libc::RTLD_NEXT, name, FIRST_VERSION.as_ptr()) }
        } else {
            address
        };
        self.address.store(address as usize, Ordering::Relaxed);
        address as usize
    }

    /// Whether the program's calls lead past ours to it. `program` is dlopen's handle of the program.
    pub fn is_called_past_ours(&self, program: *mut c_void) -> bool {
        // SAFETY: a C string.
        let called = unsafe { libc::dlsym(program, self.name.as_ptr()) } as usize;
        // Another object's function may stand before ours; in one that is loaded late, nothing comes next.
        !is_ours(called) && [0, called].contains(&self.address())
    }
}

/// Whether `address` lies in this object.
fn is_ours(address: usize) -> bool {
    let object = |address: usize| {
        // SAFETY: `info` is written if the answer is not 0.
        unsafe {
            let mut info = core::mem::zeroed::<libc::Dl_info>();
            (libc::dladdr(address as *const _, &mut info) != 0).then_some(info.dli_fbase)
        }
    };
    object(address) == object(is_ours as *const () as usize)
}

/// The type of a function of C, whose variable arguments are told apart: powerpc64's callers leave room for all
/// arguments of a function that has some.
macro_rules! function {
    ([$($type:ty),*] -> $result:ty) => {
        unsafe extern "C" fn($($type),*) -> $result
    };
    ([$($type:ty),*] $variable:tt -> $result:ty) => {
        unsafe extern "C" fn($($type),*, ...) -> $result
    };
}
pub(crate) use function;

/// Defines functions in front of the C library's: within the body, the name behind `in front of` is the function that
/// comes next. Behind a semicolon stand the variable arguments.
macro_rules! interpose {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(; $($variable:ident: $its_type:ty),*)?) -> $result:ty,
            in front of $real:ident $body:block
    )*) => {
        $(
            $(#[$attribute])*
            #[doc = concat!("The C library's `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// The C library's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type,)* $($($variable: $its_type),*)?) -> $result {
                let $real: $crate::real::function!([$($type),*] $([$($its_type),*])? -> $result) = {
                    let address = reals::$name.address();
                    // SAFETY: the next function of this name has this type.
                    unsafe { core::mem::transmute(address) }
                };
                $body
            }
        )*

        #[allow(non_upper_case_globals)] // the names of C
        mod reals {
            use crate::real::Real;
            $($(#[$attribute])* pub static $name: Real = Real::new(
                match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => unreachable!(),
                },
            );)*
        }

        /// Every function of this file.
        pub static REALS: &[&crate::real::Real] = &[$($(#[$attribute])* &reals::$name),*];
    };
}
pub(crate) use interpose;

/// Every function, once.
pub fn all() -> impl Iterator<Item = &'static Real> {
    let lists = [crate::masks::REALS, crate::handlers::REALS, crate::processes::REALS];
    lists.into_iter().flatten().copied()
}
