"""What gdb runs over debugger.c: prints the end marker when every backtrace is right."""

import gdb

REGISTERS = "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip".split()  # as gregs has them
stops = steps = 0


class Wrong(Exception):
    pass


def is_in(frame, library):
    return library in (gdb.solib_name(frame.pc()) or "")


def backtrace():
    """The frames, after a look at what `bt` says."""
    text = gdb.execute("bt -frame-arguments none", to_string=True)
    for word in "corrupt", "stopped", "Cannot access", "??":
        if word in text:
            raise Wrong(text)
    frames = []
    frame = gdb.newest_frame()
    while frame is not None:
        frames.append(frame)
        frame = frame.older()
    return frames


def check_callers(frames, expected):
    names = [frame.name() for frame in frames]
    if is_in(frames[-1], "librctx.so") and names[-1] not in expected:
        names.pop()  # the trampoline
    while names and names[-1] not in expected:
        names.pop()  # main's callers
    if names != expected:
        raise Wrong(f"{names} instead of {expected}\n" + gdb.execute("bt", to_string=True))


def step_to():
    """By single instructions to step_to(): each backtrace leads to main() or to the context's function, or ends in
    the library."""
    global steps
    while gdb.newest_frame().name() != "step_to":
        gdb.execute("stepi", to_string=True)
        if is_in(gdb.newest_frame(), "libc.so"):
            gdb.execute("finish", to_string=True)
        frames = backtrace()
        steps += 1
        names = [frame.name() for frame in frames]
        if not is_in(frames[-1], "librctx.so") and not {"main", "outermost", "in_slice"} & set(names):
            raise Wrong(gdb.execute("bt", to_string=True))
        if steps > 5000:
            raise Wrong("step_to() is not reached")


def look(expected):
    saved = {name: int(gdb.parse_and_eval(f"(unsigned long)${name}")) for name in REGISTERS}
    context = gdb.parse_and_eval("context.uc_mcontext.gregs")
    values = [int(context[index]) & (1 << 64) - 1 for index in range(len(REGISTERS))]
    try:
        for name, value in zip(REGISTERS, values):
            gdb.execute(f"set ${name} = {value}")
        check_callers(backtrace(), expected)
    finally:
        for name, value in saved.items():
            gdb.execute(f"set ${name} = {value}")


def run():
    global stops
    # Bound at once: the linker has no unwind table for its own code, which binds.
    for setting in "pagination off", "confirm off", "width 0", "debuginfod enabled off", "environment LD_BIND_NOW=1":
        gdb.execute(f"set {setting}")
    for function in "stop", "step_from", "look":
        gdb.execute(f"break {function}", to_string=True)
    gdb.execute("run", to_string=True)
    while gdb.selected_inferior().pid:
        here = gdb.newest_frame()
        if here.name() == "step_from":
            step_to()
        else:
            expected = gdb.parse_and_eval("callers").string().split()
            stops += 1
            if here.name() == "stop":
                check_callers(backtrace()[1:], expected)
            else:
                look(expected)
        gdb.execute("continue", to_string=True)
    print(f"{stops} backtraces inside contexts, {steps} at instructions of switches")
    if stops < 7 or steps < 200:
        raise Wrong("too few")


try:
    run()
    print("rctx-test: end")
except Exception as error:
    print(error)
    gdb.execute("quit 1")
