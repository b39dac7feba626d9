//! Real programs behave the same under policy `track`: what they print, and their status.

use std::fs;
use std::path::Path;
use std::process::Command;

use rctx_tests::{Finished, TRACK_SONAME, library_links, run};

const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

#[track_caller]
fn assert_same(name: &str, program: &str, arguments: &[&str]) {
    let directory = Path::new(SCRATCH).join("track").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    let links = library_links(Path::new(SCRATCH)).unwrap_or_else(|error| panic!("{error}"));
    let object = links.join(TRACK_SONAME);
    let run = |environment: &[(&str, &str)]| -> Finished {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&directory).envs(environment.iter().copied());
        run(&mut command, &directory).unwrap_or_else(|error| panic!("{error}"))
    };
    let expected = run(&[]);
    assert!(expected.status.success(), "{}", expected.describe("failed", &Command::new(program)));
    assert!(!expected.stdout.is_empty(), "{name} prints something");
    for check in ["0", "1"] {
        let seen = run(&[
            ("LD_PRELOAD", object.to_str().expect("a path")),
            ("RCTX_SIGMASK_CHECK", check),
            ("RCTX_VERBOSE", "1"),
        ]);
        assert_eq!(seen.status, expected.status, "{}", seen.stderr);
        assert_eq!(seen.stdout, expected.stdout);
        assert!(seen.stderr.contains(", signal masks: track"), "{}", seen.stderr);
        assert!(!seen.stderr.contains(", signal masks: posix: "), "{}", seen.stderr);
    }
}

/// Traps, a pipeline, a background job, a subshell killed by a signal.
const SHELL: &str = "trap 'echo usr1' USR1; trap 'echo exit' EXIT; kill -USR1 $$; trap; \
    (kill -TERM $(sh -c 'echo $PPID')); echo $?; sleep 0.1 & wait $!; echo $?; \
    printf 'c\\nb\\na\\n' | sort | tr a-z A-Z; yes | head -n 2";

#[test]
fn a_shell() {
    assert_same("sh", "sh", &["-c", SHELL]);
    assert_same(
        "bash",
        "bash",
        &[
            "-c",
            &format!(
                "{SHELL}; coproc cat; echo x >&${{COPROC[1]}}; read -u ${{COPROC[0]}} y; echo $y"
            ),
        ],
    );
}

#[test]
fn an_interpreter() {
    const PROGRAM: &str = "
import signal, subprocess, os, threading, time
got = []
def handler(number, frame): got.append(number)
assert signal.signal(signal.SIGUSR1, handler) == signal.SIG_DFL
assert signal.getsignal(signal.SIGUSR1) is handler
print(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}))
os.kill(os.getpid(), signal.SIGUSR1)
print(signal.sigpending(), got)
print(signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1}), got)
signal.setitimer(signal.ITIMER_REAL, 0.01)
print(signal.sigwait({signal.SIGALRM}) if not signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM}) else None)
print(subprocess.run(['sh', '-c', 'kill -9 $$']).returncode, subprocess.check_output(['echo', 'out']))
t = threading.Thread(target=lambda: print(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
t.start(); t.join()
";
    assert_same("python", "python3", &["-c", PROGRAM]);
}

/// Its coroutines are contexts that change by siglongjmp.
#[test]
fn qemu_img() {
    assert_same(
        "qemu-img",
        "sh",
        &[
            "-c",
            "seq 1000000 > raw && qemu-img convert -f raw -O qcow2 raw image && \
        qemu-img convert -f qcow2 -O raw image back && cmp -n $(stat -c %s raw) raw back && qemu-img compare -f raw -F qcow2 raw image",
        ],
    );
}

#[test]
fn openssl() {
    assert_same(
        "openssl",
        "sh",
        &[
            "-c",
            "openssl enc -aes-256-cbc -pbkdf2 -nosalt -k key -in /bin/sh | openssl dgst -sha256",
        ],
    );
}

/// Compiled while it runs, with a hook that a signal sets off.
#[test]
fn a_program_with_a_jit() {
    const PROGRAM: &str = "
local ffi = require 'ffi'
ffi.cdef 'typedef void (*handler_t)(int); handler_t signal(int, handler_t); int raise(int);'
local sum = 0
for i = 1, 3e7 do sum = (sum + i * i) % 1000003 end
local count = 0
local handler = ffi.cast('handler_t', function() count = count + 1 end)
jit.off()
ffi.C.signal(10, handler)
for i = 1, 10 do ffi.C.raise(10) end
local task = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(sum, count, task(), task(), task())
";
    assert_same("luajit", "luajit", &["-e", PROGRAM]);
}
