//! What the tests share: the tools, the library under test, and running a program with a time limit.
//!
//! | variable | what it chooses | default |
//! | --- | --- | --- |
//! | `RCTX_CC`, `RCTX_CXX` | the one compiler to use, whatever a program asks for | what each program asks for |
//! | `RCTX_RUNNER` | the command that runs a program, as `qemu-aarch64 -L /usr/aarch64-linux-gnu` | none |
//! | `RCTX_ARCH` | the instruction set of the programs, as Rust names it | this machine's |
//! | `RCTX_LIBC` | their C library, `gnu` or `musl` | `gnu` |
//! | `RCTX_LIB_DIR` | where `librctx.so`, `librctx_track.so` and `librctx.a` are | `target/release` |
//! | `RCTX_LINKINGS` | the linkings to test, of those that `LINKINGS` in programs.rs names | all |
//! | `RCTX_TIMEOUT` | seconds until a program is killed | 300 |
//! | `RCTX_SEED` | what programs with random numbers begin with; each prints it | the time |
//! | `RCTX_LONG` | if set, `sliced_random` makes twenty times as many switches | not set |
//! | `RCTX_STRIP` | the command that strips the library before its size is looked at | `strip` |

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, io};

use wait_timeout::ChildExt;

/// Why a test failed, for the reader.
pub type Outcome<T = ()> = Result<T, String>;

/// The functions that a program finds in the system's libc as well.
pub const POSIX: [&str; 4] = ["getcontext", "makecontext", "setcontext", "swapcontext"];

/// The name under which the loader finds the library.
pub const SONAME: &str = "librctx.so.0";

/// The same of the tracking object.
pub const TRACK_SONAME: &str = "librctx-track.so.0";

/// The top of the source tree.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the tree")
}

/// The words of an environment variable, or none when it is not set.
pub fn words(variable: &str) -> Option<Vec<String>> {
    Some(env::var(variable).ok()?.split_whitespace().map(str::to_owned).collect())
}

/// A file of the library under test. `scratch` is cargo's directory for the files of tests.
pub fn library(scratch: &Path, name: &str) -> Outcome<PathBuf> {
    let directory = match env::var_os("RCTX_LIB_DIR") {
        Some(directory) => root().join(directory),
        None => scratch.parent().expect("scratch lies in the target directory").join("release"),
    };
    let file = directory.join(name);
    file.canonicalize().map_err(|_| format!("there is no {}: run make", file.display()))
}

/// A directory in which the linker and the loader find both objects under the names that they look for; made once.
pub fn library_links(scratch: &Path) -> Outcome<PathBuf> {
    static MADE: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    let make = || {
        let directory = scratch.join("lib");
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        for (built, names) in [
            ("librctx.so", ["librctx.so", SONAME]),
            ("librctx_track.so", ["librctx-track.so", TRACK_SONAME]),
        ] {
            let file = library(scratch, built)?;
            for name in names {
                let link = directory.join(name);
                let _ = fs::remove_file(&link); // an earlier run's
                symlink(&file, link).map_err(|error| error.to_string())?;
            }
        }
        Ok(directory)
    };
    MADE.get_or_init(make).clone()
}

/// A command from words, `RCTX_RUNNER`'s or a compiler's.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// What a command has left.
pub struct Finished {
    /// The process id that it had.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr.
    pub stderr: String,
}

impl Finished {
    /// Everything, for the reader of a failure.
    pub fn describe(&self, what: &str, command: &Command) -> String {
        format!(
            "{what}\n{command:?}\n{}\n--- stdout\n{}--- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

/// Runs a command to its end, or kills it when `RCTX_TIMEOUT` is over. Its output goes through files in
/// `directory`, so that a grandchild that lives on holds nobody up.
pub fn run(command: &mut Command, directory: &Path) -> Outcome<Finished> {
    let limit = match env::var("RCTX_TIMEOUT") {
        Ok(seconds) => seconds.parse().map_err(|_| format!("RCTX_TIMEOUT={seconds}: no number"))?,
        Err(_) => 300,
    };
    // cargo's leads to the library that it has built for the machine itself.
    command.env_remove("LD_LIBRARY_PATH");
    let mut attempt = || -> io::Result<_> {
        let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
        let mut child =
            command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?).spawn()?;
        let ended = child.wait_timeout(Duration::from_secs(limit))?;
        let status = match ended {
            Some(status) => status,
            None => {
                child.kill()?;
                child.wait()?
            }
        };
        let text = |file| Ok::<_, io::Error>(String::from_utf8_lossy(&fs::read(file)?).into());
        let (stdout, stderr) = (text(stdout)?, text(stderr)?);
        Ok((ended.is_some(), Finished { pid: child.id(), status, stdout, stderr }))
    };
    match attempt() {
        Ok((true, finished)) => Ok(finished),
        Ok((false, finished)) => {
            Err(finished.describe(&format!("killed after {limit} seconds"), command))
        }
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

/// As [`run`], for a command that must succeed.
pub fn run_tool(command: &mut Command, directory: &Path) -> Outcome<Finished> {
    let finished = run(command, directory)?;
    if finished.status.success() {
        return Ok(finished);
    }
    Err(finished.describe("failed", command))
}

/// The functions that a C header declares.
pub fn declared_functions(header: &str) -> BTreeSet<String> {
    let comments =
        regex::Regex::new(r"(?s:/\*.*?\*/)|(?m://.*$)|(?m:^\s*#.*(\\\n.*)*$)").expect("fixed");
    let text = comments.replace_all(header, "");
    let name = regex::Regex::new(r"^[^(]*?([A-Za-z_][A-Za-z_0-9]*)\s*\(").expect("fixed");
    let statements = text.split([';', '{', '}']).filter(|text| !text.contains("typedef"));
    statements.filter_map(|text| Some(name.captures(text)?[1].to_owned())).collect()
}
