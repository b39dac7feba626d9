//! Names the shared object, and says where librctx.so is, which `make` builds first. (As a dependency, the library would
//! hand its own linker arguments on.)

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    for argument in [
        &format!("-soname,librctx-track.so.{major}"),
        "-Bsymbolic",
        "-z,relro,-z,now,-z,noexecstack",
        "-z,text",
        "-rpath,$ORIGIN",
    ] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
    }
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    // <profile>/build/<package>/out
    let profile = Path::new(&out).ancestors().nth(3).expect("cargo's own layout");
    println!("cargo:rustc-link-search=native={}", profile.display());
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        // Where the C library is glibc, the libc crate says so.
        println!("cargo:rustc-cdylib-link-arg=-lc");
    } else {
        // Preloaded, the library has to come before glibc, which has its functions; musl has not, nor such filters.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-F,librctx.so.{major}");
    }
}
