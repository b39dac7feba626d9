//! `rctx-run PROGRAM [ARG...]`: runs a program with librctx preloaded.
//!
//! The loader only warns about what it cannot preload, and says nothing at all where preloading has no effect.
//! So everything that stands in the way is looked for first and told in one line.

mod program;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::prelude::*;

/// The words that the library reads from RCTX_SIGMASK.
const POLICIES: [&str; 3] = ["posix", "none", TRACK];
/// The policy that takes the tracking object, which brings the library along.
const TRACK: &str = "track";
const SONAME: &str = concat!("librctx.so.", env!("CARGO_PKG_VERSION_MAJOR"));
const TRACK_SONAME: &str = concat!("librctx-track.so.", env!("CARGO_PKG_VERSION_MAJOR"));
/// Where `make install` puts the library; set by the Makefile.
const LIBDIR: Option<&str> = option_env!("RCTX_INSTALL_LIBDIR");

const USAGE: &str = "\
Usage: rctx-run [--sigmask=posix|none|track] PROGRAM [ARG...]

Runs PROGRAM with librctx preloaded, so that its getcontext, setcontext, makecontext and swapcontext are
rctx's.

  --sigmask=posix   switches keep the signal mask, as POSIX says (the default)
  --sigmask=none    switches leave the signal mask alone: faster, for programs that never change it
                    between contexts
  --sigmask=track   switches keep the signal mask, without a system call where it stays the same: for
                    programs that change their mask through the C library only (RCTX_SIGMASK_CHECK=1 tells)
  -h, --help        this text
  -V, --version     the version

Exit status: PROGRAM's own; 2 for a wrong option, 126 if PROGRAM cannot be run with the library,
127 if PROGRAM or the library is not found.
";

/// Why nothing was run, and the exit status that says so, as shells number them.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    fn usage(message: impl fmt::Display) -> Self {
        let message = format!("{message}\nTry `rctx-run --help`.");
        Self { status: 2, message }
    }

    fn not_runnable(message: impl fmt::Display) -> Self {
        Self { status: 126, message: message.to_string() }
    }

    fn not_found(message: impl fmt::Display) -> Self {
        Self { status: 127, message: message.to_string() }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("rctx-run: {}", failure.message);
            ExitCode::from(failure.status)
        }
    }
}

enum Request {
    Print(String),
    Run { sigmask: Option<&'static str>, program: OsString, arguments: Vec<OsString> },
}

fn parse(mut parser: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut sigmask = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("sigmask") => {
                let word = parser.value()?;
                let known = POLICIES.into_iter().find(|known| word == **known);
                sigmask = Some(known.ok_or_else(|| {
                    format!("--sigmask={} is none of: {}", word.display(), POLICIES.join(", "))
                })?);
            }
            Short('h') | Long("help") => return Ok(Request::Print(USAGE.to_owned())),
            Short('V') | Long("version") => {
                return Ok(Request::Print(format!("rctx-run {}\n", env!("CARGO_PKG_VERSION"))));
            }
            // What follows the program is the program's.
            Value(program) => {
                let arguments = parser.raw_args()?.collect();
                return Ok(Request::Run { sigmask, program, arguments });
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Err("no program to run".into())
}

/// Returns only if there was nothing to run.
fn run() -> Result<(), Failure> {
    let (sigmask, program, arguments) =
        match parse(lexopt::Parser::from_env()).map_err(Failure::usage)? {
            Request::Print(text) => {
                print!("{text}");
                return Ok(());
            }
            Request::Run { sigmask, program, arguments } => (sigmask, program, arguments),
        };
    let word = sigmask.map(OsString::from).or_else(|| env::var_os("RCTX_SIGMASK"));
    let library =
        find_library(if word.is_some_and(|word| word == TRACK) { TRACK_SONAME } else { SONAME })?;
    let path = program::find(&program)?;
    program::check(&path, &library)?;

    let mut preload = library.into_os_string();
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let mut command = Command::new(&path);
    command.arg0(&program).args(arguments).env("LD_PRELOAD", preload);
    if let Some(word) = sigmask {
        command.env("RCTX_SIGMASK", word);
    }
    let error = command.exec();
    Err(Failure::not_runnable(format!("cannot run {}: {error}", path.display())))
}

/// Finds the library from where this program lies: in the same directory (a build), in ../lib (an
/// installation, wherever it was moved to), or in the LIBDIR that it was built for.
fn find_library(soname: &str) -> Result<PathBuf, Failure> {
    let own = env::current_exe()
        .map_err(|error| Failure::not_found(format!("cannot find my own place: {error}")))?;
    let directory = own.parent().unwrap_or(Path::new("/"));
    let mut places = vec![directory.to_owned(), directory.join("../lib")];
    places.extend(LIBDIR.map(PathBuf::from));
    let library = places
        .iter()
        .filter_map(|place| Some(place.canonicalize().ok()?.join(soname)))
        .find(|library| library.exists())
        .ok_or_else(|| {
            let places: Vec<_> = places.iter().map(show).collect();
            Failure::not_found(format!("{soname} is in none of: {}", places.join(", ")))
        })?;
    // The loader splits LD_PRELOAD at spaces and colons, expands what begins with a dollar sign, and has no
    // way to quote them.
    if library.as_os_str().as_bytes().iter().any(|byte| b" :$".contains(byte)) {
        return Err(Failure::not_found(format!(
            "LD_PRELOAD cannot name {}: no space, colon or dollar sign may be in the path",
            library.display()
        )));
    }
    Ok(library)
}

/// A path or name as it is shown in a message.
fn show(name: impl AsRef<OsStr>) -> String {
    name.as_ref().display().to_string()
}
