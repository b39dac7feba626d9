//! What the shared object itself keeps to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use gimli::{BaseAddresses, CieOrFde, EhFrame, NativeEndian, UnwindSection};
use object::elf::*;
use object::read::elf::{Dyn, ElfFile64, ProgramHeader};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use rctx_tests::{POSIX, SONAME, TRACK_SONAME, declared_functions, library, root, run_tool};
use regex::Regex;

const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

const LIBRARY: &str = "librctx.so";
const TRACK: &str = "librctx_track.so";

fn read(name: &str) -> Vec<u8> {
    let file = library(Path::new(SCRATCH), name).unwrap_or_else(|error| panic!("{error}"));
    fs::read(file).expect("the library can be read")
}

/// Both objects.
fn each() -> [Vec<u8>; 2] {
    [LIBRARY, TRACK].map(read)
}

fn parse(data: &[u8]) -> ElfFile64<'_> {
    ElfFile64::parse(data).expect("the library is an ELF file")
}

/// Every entry of the dynamic section, with its string if it has one.
fn dynamic(file: &ElfFile64) -> Vec<(u32, u64, String)> {
    let (endian, data) = (file.endian(), file.data());
    let sections = file.elf_section_table();
    let (entries, strings) = sections.dynamic(endian, data).unwrap().expect("a dynamic section");
    let strings = sections.strings(endian, data, strings).unwrap();
    let entry = |entry: &Dyn64<_>| {
        let string = entry.string(endian, strings).unwrap_or_default();
        let string = String::from_utf8_lossy(string).into_owned();
        (entry.tag32(endian).unwrap_or_default(), entry.d_val(endian), string)
    };
    entries.iter().map(entry).collect()
}

fn strings(file: &ElfFile64, tag: u32) -> Vec<String> {
    dynamic(file).into_iter().filter(|entry| entry.0 == tag).map(|entry| entry.2).collect()
}

fn flags(file: &ElfFile64, tag: u32) -> u64 {
    dynamic(file).iter().find(|entry| entry.0 == tag).map_or(0, |entry| entry.1)
}

/// Name, address and size of every exported symbol.
fn exports(file: &ElfFile64) -> Vec<(String, u64, u64)> {
    let defined = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
    defined.map(|it| (it.name().unwrap().to_owned(), it.address(), it.size())).collect()
}

#[test]
fn its_name_and_what_it_needs() {
    let data = read(LIBRARY);
    let file = parse(&data);
    assert_eq!(strings(&file, DT_SONAME), [SONAME]);
    assert_eq!(strings(&file, DT_NEEDED), ["libc.so.6"]);

    let data = read(TRACK);
    let file = parse(&data);
    assert_eq!(strings(&file, DT_SONAME), [TRACK_SONAME]);
    assert_eq!(strings(&file, DT_NEEDED), [SONAME, "libc.so.6"]);
    // Preloaded alone, it puts the library in front of libc.
    assert_eq!(strings(&file, DT_FILTER), [SONAME]);
    assert_eq!(strings(&file, DT_RUNPATH), ["$ORIGIN"]);
}

/// Only the tracking object has any; the library reaches it from the thread pointer.
#[test]
fn the_library_has_no_thread_local_storage() {
    for (name, expected) in [(LIBRARY, false), (TRACK, true)] {
        let data = read(name);
        let file = parse(&data);
        let mut headers = file.elf_program_headers().iter();
        assert_eq!(headers.any(|it| it.p_type(file.endian()) == PT_TLS), expected, "{name}");
    }
}

#[test]
fn nothing_is_both_writable_and_executable() {
    each().iter().for_each(|data| assert_protected(&parse(data)));
}

fn assert_protected(file: &ElfFile64) {
    let endian = file.endian();
    let segments: Vec<_> = file.elf_program_headers().iter().collect();
    let of_type = |wanted| segments.iter().filter(move |it| it.p_type(endian) == wanted);
    let stack: Vec<_> = of_type(PT_GNU_STACK).collect();
    assert_eq!(stack.len(), 1, "without this header the loader makes stacks executable");
    for segment in of_type(PT_LOAD).chain(stack) {
        assert_ne!(segment.p_flags(endian) & (PF_W | PF_X), PF_W | PF_X);
    }
    assert!(of_type(PT_GNU_RELRO).next().is_some());
    assert_ne!(flags(file, DT_FLAGS) & u64::from(DF_BIND_NOW), 0);
    assert_eq!(flags(file, DT_FLAGS) & u64::from(DF_TEXTREL), 0);
    assert!(dynamic(file).iter().all(|entry| entry.0 != DT_TEXTREL));
}

#[test]
fn it_reads_the_environment_securely() {
    each().iter().for_each(|data| assert_secure(&parse(data)));
    let data = read(LIBRARY);
    assert!(undefined_symbols(&parse(&data)).contains("secure_getenv"));
}

fn undefined_symbols(file: &ElfFile64) -> BTreeSet<String> {
    let undefined = file.dynamic_symbols().filter(|symbol| symbol.is_undefined());
    undefined.map(|it| it.name().expect("a name is ASCII").to_owned()).collect()
}

fn assert_secure(file: &ElfFile64) {
    let imported = undefined_symbols(file);
    for insecure in ["getenv", "environ", "__environ"] {
        assert!(!imported.contains(insecure), "{insecure}: a set-user-ID program would see it");
    }
}

#[test]
fn its_symbols_have_no_versions() {
    each().iter().for_each(|data| assert_versionless(&parse(data)));
}

fn assert_versionless(file: &ElfFile64) {
    assert!(dynamic(file).iter().all(|entry| entry.0 != DT_VERDEF));
    let versions = file.elf_section_table().versions(file.endian(), file.data()).unwrap();
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
        let index = versions.as_ref().map(|it| it.version_index(file.endian(), symbol.index()));
        let global = index.is_none_or(|index| index.is_global());
        assert!(global, "{} has a version", symbol.name().unwrap());
    }
}

#[test]
fn it_exports_what_the_header_declares() {
    let data = read(LIBRARY);
    let header = fs::read_to_string(root().join("include/rctx.h")).expect("include/rctx.h");
    let mut declared = declared_functions(&header);
    declared.extend(POSIX.map(str::to_owned));
    declared.insert("rctx_private_track".to_owned());
    let exported: BTreeSet<_> = exports(&parse(&data)).into_iter().map(|it| it.0).collect();
    assert_eq!(exported, declared);
}

/// The tracking object stands in front of functions of libc, and has no name of its own.
#[test]
fn the_tracking_object_exports_what_libc_does() {
    let data = read(TRACK);
    let libc = fs::read(libc_path()).expect("the system's libc");
    let libc: BTreeSet<_> = exports(&parse(&libc)).into_iter().map(|it| it.0).collect();
    let exported = exports(&parse(&data));
    assert!(exported.len() > 20);
    for (name, ..) in exported {
        assert!(libc.contains(&name), "{name}");
    }
}

/// Functions of glibc that change no mask, or put it back before they return, and install no handler of the program's.
/// What is none of `sigset_t`, waiting, sending and threads to come: `siginterrupt` keeps the handler, `sigignore`
/// installs none, `sigstack` and `sigreturn` do nothing, `posix_spawn` has the child's mask.
const HARMLESS: &str = "
    setjmp _setjmp __sigsetjmp
    sigemptyset sigfillset sigaddset __sigaddset sigdelset __sigdelset sigismember __sigismember
    sigisemptyset sigandset sigorset siggetmask sigpending
    sigsuspend __sigsuspend sigpause __sigpause __xpg_sigpause sigwait sigwaitinfo sigtimedwait __sigtimedwait64 signalfd
    gsignal sigqueue pthread_sigqueue pidfd_send_signal
    pthread_attr_getsigmask_np pthread_attr_setsigmask_np posix_spawnattr_getsigdefault posix_spawnattr_getsigmask
    posix_spawnattr_setsigdefault posix_spawnattr_setsigmask
    siginterrupt sigignore sigstack sigaltstack sigreturn
    psignal psiginfo strsignal sigabbrev_np sigdescr_np sig2str str2sig
    __libc_allocate_rtsig __libc_current_sigrtmax __libc_current_sigrtmin
    cnd_signal pthread_cond_signal";

/// Every function of libc that a mask or a handler may be changed by, going by its name, is exported, or known not to
/// be one; every other name of one that is exported is, too.
#[test]
fn the_tracking_object_stands_in_front_of_all_that_changes_masks() {
    let data = read(TRACK);
    let own: BTreeSet<_> = exports(&parse(&data)).into_iter().map(|it| it.0).collect();
    let libc = fs::read(libc_path()).expect("the system's libc");
    let libc = parse(&libc);
    let functions: Vec<_> = public_functions(&libc);
    let covered: BTreeSet<_> =
        functions.iter().filter(|it| own.contains(&it.0)).map(|it| it.1).collect();
    let names = Regex::new("sig|jmp|clone|vfork|^syscall$").unwrap();
    let numbers = Regex::new("copysign|signbit|significand").unwrap();
    let missing: Vec<_> = functions
        .iter()
        .filter(|(name, address)| {
            let by_name = names.is_match(name)
                && !numbers.is_match(name)
                && HARMLESS.split_whitespace().all(|it| it != name);
            !own.contains(name) && (by_name || covered.contains(address))
        })
        .map(|it| &it.0)
        .collect();
    assert!(missing.is_empty(), "to be interposed in track/, or HARMLESS: {missing:?}");
}

/// Name and address of each function that programs may call: those of one version, GLIBC_PRIVATE, are libc's own.
fn public_functions(libc: &ElfFile64) -> Vec<(String, u64)> {
    let versions = libc.elf_section_table().versions(libc.endian(), libc.data()).unwrap();
    let versions = versions.expect("libc has versions");
    let is_private = |symbol| {
        let version = versions.version(versions.version_index(libc.endian(), symbol));
        version.unwrap().is_some_and(|version| version.name() == b"GLIBC_PRIVATE")
    };
    let symbols = libc.dynamic_symbols().filter(|it| it.is_definition());
    let functions = symbols.filter(|it| it.kind() == SymbolKind::Text && !is_private(it.index()));
    functions.map(|it| (it.name().unwrap().to_owned(), it.address())).collect()
}

/// The C library that this test itself runs with.
fn libc_path() -> String {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    path.into_iter().find(|path| path.ends_with("/libc.so.6")).expect("libc").to_owned()
}

#[test]
fn it_is_small() {
    let directory = Path::new(SCRATCH);
    let stripped = directory.join("stripped.so");
    let file = library(directory, "librctx.so").expect("was found before");
    let strip = std::env::var("RCTX_STRIP").unwrap_or_else(|_| "strip".into());
    run_tool(Command::new(strip).arg("-o").arg(&stripped).arg(file), directory)
        .unwrap_or_else(|message| panic!("{message}"));
    let size = fs::metadata(stripped).expect("strip wrote it").len();
    assert!(size < 64 * 1024, "{size} bytes");
}

#[test]
fn every_function_has_an_unwind_table() {
    each().iter().for_each(|data| assert_unwindable(&parse(data)));
}

fn assert_unwindable(file: &ElfFile64) {
    let section = file.section_by_name(".eh_frame").expect(".eh_frame");
    let text = file.section_by_name(".text").expect(".text");
    let bases = BaseAddresses::default().set_eh_frame(section.address()).set_text(text.address());
    let frames = EhFrame::new(section.data().expect("its bytes"), NativeEndian);
    let mut covered = Vec::new();
    let mut entries = frames.entries(&bases);
    while let Some(entry) = entries.next().expect("a well-formed table") {
        if let CieOrFde::Fde(partial) = entry {
            let fde = partial.parse(EhFrame::cie_from_offset).expect("a well-formed entry");
            covered.push(fde.initial_address()..fde.end_address());
        }
    }
    covered.sort_by_key(|range| range.start);
    for (name, start, size) in exports(file) {
        // A function may have a table for each of its parts.
        let mut reached = start;
        for range in &covered {
            if range.contains(&reached) {
                reached = range.end;
            }
        }
        assert!(size > 0 && reached >= start + size, "{name} has none from {reached:#x} on");
    }
}
