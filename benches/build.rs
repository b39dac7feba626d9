//! Compiles the loops, which are C, because Rust cannot be told that a function returns twice; and those peers
//! that a variable or pkg-config leads to.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

/// A peer that few systems package.
struct Peer {
    /// Its name for pkg-config; in capitals, the variable that leads to its sources.
    name: &'static str,
    /// Its source files below that folder, where `$ARCH` is the instruction set.
    sources: &'static [&'static str],
    /// Its folders of headers.
    include: &'static [&'static str],
    /// Whether a file of `loops/` is its own.
    has_loops: bool,
}

const PEERS: [Peer; 4] = [
    Peer {
        name: "libucontext",
        sources: &[
            "arch/$ARCH/getcontext.S",
            "arch/$ARCH/makecontext.c",
            "arch/$ARCH/setcontext.S",
            "arch/$ARCH/swapcontext.S",
            "arch/$ARCH/trampoline.c",
        ],
        include: &["include", "arch/common", "arch/common/include"],
        has_loops: false,
    },
    Peer { name: "libaco", sources: &["aco.c", "acosw.S"], include: &["."], has_loops: true },
    Peer { name: "minicoro", sources: &[], include: &["."], has_loops: true },
    Peer {
        name: "libtealet",
        sources: &[
            "src/tealet.c",
            "stackman/stackman/stackman.c",
            "stackman/stackman/stackman_s.S",
        ],
        include: &["src", "stackman/stackman"],
        has_loops: true,
    },
];

fn main() {
    println!("cargo:rerun-if-changed=loops");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let mut loops = cc::Build::new();
    loops.opt_level(2).warnings_into_errors(true).extra_warnings(true);
    // Where a call lies decides whether the branch predictor confuses it with another.
    loops.flag("-fomit-frame-pointer").flag("-falign-functions=64").flag("-falign-loops=64");
    for name in ["common", "count", "fcontext", "peers", "posix", "pth", "sliced", "switch"] {
        loops.file(format!("loops/{name}.c"));
    }
    for Peer { name, sources, include, has_loops } in &PEERS {
        let variable = name.to_uppercase();
        println!("cargo:rerun-if-env-changed={variable}");
        let include: Vec<PathBuf> = if let Some(folder) = env::var_os(&variable) {
            let folder = PathBuf::from(folder);
            let include: Vec<_> = include.iter().map(|path| folder.join(path)).collect();
            let sources: Vec<_> =
                sources.iter().map(|path| folder.join(path.replace("$ARCH", &arch))).collect();
            if let Some(missing) = include.iter().chain(&sources).find(|path| !path.exists()) {
                eprintln!(
                    "{variable} is to be the folder of {name}'s sources, as an absolute path:"
                );
                eprintln!("there is no {}", missing.display());
                exit(1);
            }
            if !sources.is_empty() {
                cc::Build::new()
                    .opt_level(2)
                    .warnings(false)
                    .includes(&include)
                    .files(sources)
                    .compile(name);
            }
            include
        } else if let Ok(library) = pkg_config::probe_library(name) {
            library.include_paths
        } else {
            continue;
        };
        // A peer's headers are not ours to warn about.
        for path in include {
            loops.flag("-isystem").flag(path);
        }
        loops.define(&format!("HAVE_{variable}"), None);
        if *has_loops {
            loops.file(format!("loops/{name}.c"));
        }
    }
    loops.compile("loops");

    let rustc = env::var_os("RUSTC").expect("cargo sets it");
    let version = Command::new(rustc).arg("--version").output().expect("the compiler runs").stdout;
    println!("cargo:rustc-env=COMPILER={}", String::from_utf8_lossy(&version).trim());
}
