//! Whether the loader will preload a library into a program.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};
use object::{Architecture, Endianness, Object, elf};
use rustix::fs::{Access, access};

use crate::{Failure, show};

/// As many interpreters of interpreters as the kernel follows.
const MAX_INTERPRETERS: usize = 5;

/// Finds a program as execvp does: a name with a slash as it is, another one in PATH.
pub fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let is_path = name.as_bytes().contains(&b'/');
    let candidates: Vec<PathBuf> = if is_path {
        vec![PathBuf::from(name)]
    } else {
        let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
        env::split_paths(&path).map(|directory| directory.join(name)).collect()
    };
    let mut forbidden = None;
    for candidate in candidates {
        match fs::metadata(&candidate) {
            Ok(metadata) if metadata.is_file() && access(&candidate, Access::EXEC_OK).is_ok() => {
                return Ok(candidate);
            }
            Ok(metadata) if metadata.is_dir() && !is_path => {}
            Ok(metadata) => {
                let reason = if metadata.is_dir() { "a directory" } else { "not executable" };
                forbidden.get_or_insert(format!("{}: is {reason}", candidate.display()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                forbidden.get_or_insert(format!("{}: {error}", candidate.display()));
            }
            Err(_) => {}
        }
    }
    Err(match forbidden {
        Some(message) => Failure::not_runnable(message),
        None if is_path => Failure::not_found(format!("{}: no such program", show(name))),
        None => Failure::not_found(format!("{}: no such program in PATH", show(name))),
    })
}

/// Checks that the loader will preload `library` into the program at `path`, or into the interpreter that a
/// script names.
pub fn check(path: &Path, library: &Path) -> Result<(), Failure> {
    let mut program = path.to_owned();
    for _ in 0..MAX_INTERPRETERS {
        check_privileges(&program)?;
        match interpreter(&program)? {
            Some(interpreter) => program = interpreter,
            None => return check_elf(&program, library),
        }
    }
    Err(Failure::not_runnable(format!("{}: too many interpreters", path.display())))
}

/// The loader ignores LD_PRELOAD in a program that runs with more rights than its caller has.
fn check_privileges(path: &Path) -> Result<(), Failure> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    let reason = if metadata.mode() & 0o4000 != 0 && metadata.uid() != user.as_raw() {
        "a set-user-ID program"
    } else if metadata.mode() & 0o2000 != 0 && metadata.gid() != group.as_raw() {
        "a set-group-ID program"
    } else if !user.is_root()
        && rustix::fs::getxattr(path, c"security.capability", &mut [0u8; 0]).is_ok()
    {
        "a program with file capabilities"
    } else {
        return Ok(());
    };
    Err(Failure::not_runnable(format!(
        "{}: is {reason}, for which the loader ignores LD_PRELOAD",
        path.display()
    )))
}

/// The program that the kernel, or `env` for it, runs in place of the script at `path`; nothing for an ELF
/// file.
fn interpreter(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut head = Vec::new();
    // The kernel looks no further for the end of the line.
    BufReader::new(file.take(256))
        .read_until(b'\n', &mut head)
        .map_err(|error| unreadable(path, error))?;
    if head.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return Ok(Some(PathBuf::from("/bin/sh"))); // as execvp does
    };
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .map(OsStr::from_bytes);
    let Some(interpreter) = words.next() else {
        return Err(Failure::not_runnable(format!(
            "{}: names no interpreter after #!",
            path.display()
        )));
    };
    if Path::new(interpreter).file_name() == Some(OsStr::new("env")) {
        // The first word that is neither an option nor an assignment.
        let is_name =
            |word: &&OsStr| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'=');
        if let Some(name) = words.find(is_name) {
            return find(name).map(Some);
        }
    }
    find(interpreter).map(Some)
}

/// Checks that the ELF file at `path` has a loader, and is of the library's kind.
fn check_elf(path: &Path, library: &Path) -> Result<(), Failure> {
    let program = Elf::read(path)?;
    let library_elf = Elf::read(library)?;
    let name = |(architecture, endianness)| format!("{architecture:?} ({endianness:?} endian)");
    if program.machine != library_elf.machine {
        return Err(Failure::not_runnable(format!(
            "{}: is a program for {}, and {} is for {}",
            path.display(),
            name(program.machine),
            library.display(),
            name(library_elf.machine)
        )));
    }
    if !program.has_interpreter {
        return Err(Failure::not_runnable(format!(
            "{}: is linked statically, where preloading has no effect; link it with librctx.a",
            path.display()
        )));
    }
    Ok(())
}

/// What is compared of an ELF file.
struct Elf {
    machine: (Architecture, Endianness),
    has_interpreter: bool,
}

impl Elf {
    fn read(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        let data = ReadCache::new(file);
        let elf = object::File::parse(&data)
            .map_err(|error| Failure::not_runnable(format!("{}: {error}", path.display())))?;
        let has_interpreter = match &elf {
            object::File::Elf32(elf) => has_interpreter(elf),
            object::File::Elf64(elf) => has_interpreter(elf),
            _ => false,
        };
        Ok(Self { machine: (elf.architecture(), elf.endianness()), has_interpreter })
    }
}

fn has_interpreter<'data, H: FileHeader, R: ReadRef<'data>>(elf: &ElfFile<'data, H, R>) -> bool {
    let is_interpreter =
        |segment: &H::ProgramHeader| segment.p_type(elf.endian()) == elf::PT_INTERP;
    elf.elf_program_headers().iter().any(is_interpreter)
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    Failure::not_runnable(format!("cannot read {}: {error}", path.display()))
}
