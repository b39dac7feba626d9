//! Names the shared object: cargo sets no SONAME of its own.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    for argument in [
        &format!("-soname,librctx.so.{major}"),
        "-Bsymbolic",
        "-z,relro,-z,now,-z,noexecstack",
        "-z,text",
    ] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
    }
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        // Where the C library is glibc, the libc crate says so.
        println!("cargo:rustc-cdylib-link-arg=-lc");
    }
}
