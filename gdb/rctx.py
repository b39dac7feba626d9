"""gdb commands for the contexts of librctx.

    rctx list [EXPRESSION...]    what each context is, and where it is suspended; without expressions, every
                                 context and handle that is a variable of the selected frame or of its file
    rctx backtrace EXPRESSION    the backtrace of a suspended context

An expression is a ucontext_t or an rctx_slice_t handle, a pointer to one, or an array of either.
"""

import contextlib
import re

import gdb
import gdb.unwinder

# uc_flags of a context of ours: src/context.rs.
MAGIC = 0x726374
MASK = 1
PLAIN, SLICED, FRAME, POISON = 0, 2, 4, 6
KIND = 6
# Words in front of the stack bytes: near, length, capacity, owner. Those of a context begin with context, reserved.
SLICE_WORDS, CONTEXT_SLICE_WORDS = 4, 6

# What an instruction set keeps where. `fields` are those of uc_mcontext; `pushed` is the area at the near end of a
# handle's slice, in words: arch/<isa>/mod.rs.
ARCHITECTURES = {
    "i386:x86-64": {
        "pc": "rip",
        "sp": "rsp",
        "fields": {"r8": 0, "r9": 1, "r12": 4, "r13": 5, "r14": 6, "r15": 7, "rdi": 8, "rsi": 9, "rbp": 10,
                   "rbx": 11, "rdx": 12, "rcx": 14, "rsp": 15, "rip": 16},
        "array": "gregs",
        "pushed": {"r15": 1, "r14": 2, "r13": 3, "r12": 4, "rbx": 5, "rbp": 6, "rip": 7},
        "pushed_words": 8,
    },
}


def architecture():
    name = gdb.selected_inferior().architecture().name()
    if name not in ARCHITECTURES:
        raise gdb.GdbError(f"rctx: contexts of {name} are not known; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def read_words(address, count):
    unsigned = gdb.lookup_type("unsigned long")
    memory = gdb.selected_inferior().read_memory(address, count * unsigned.sizeof).tobytes()
    return [int.from_bytes(memory[i:i + unsigned.sizeof], "little") for i in range(0, len(memory), unsigned.sizeof)]


class Slice:
    """Stack bytes that are kept elsewhere."""

    def __init__(self, address, header):
        words = read_words(address, header)
        self.near, self.length = words[header - 4], words[header - 3]
        self.bytes = address + header * gdb.lookup_type("unsigned long").sizeof

    def read(self):
        return gdb.selected_inferior().read_memory(self.bytes, self.length).tobytes()


class Context:
    """What an expression leads to; `registers` is empty when it cannot be resumed."""

    def __init__(self, name, value):
        self.name = name
        self.slice = None
        self.registers = {}
        if value.address is None:
            raise gdb.GdbError(f"rctx: {name} was optimised away")
        self.address = int(value.address)
        self.read(value)

    def place(self):
        if not self.registers:
            return ""
        pc = self.registers[architecture()["pc"]]
        block = gdb.block_for_pc(pc)
        while block and not block.function:
            block = block.superblock
        line = gdb.find_pc_line(pc - 1)
        where = f" at {line.symtab.filename}:{line.line}" if line.symtab else ""
        if block:
            return f" in {block.function}{where}"
        symbol = gdb.execute(f"info symbol {pc}", to_string=True).split(" in section")[0].strip()
        return f" in {symbol}{where}" if not symbol.startswith("No symbol") else f" at {pc:#x}"

    def __str__(self):
        return f"{self.name}: {self.kind}{self.place()}"


class Plain(Context):
    """A ucontext_t."""

    TYPES = ("ucontext_t", "struct ucontext_t")

    def read(self, value):
        flags = int(value["uc_flags"])
        if flags >> 8 != MAGIC:
            self.kind = "empty" if flags == 0 else "not saved by rctx"
            return
        kind = flags & KIND
        mask = ", with its signal mask" if flags & MASK else ""
        if kind == POISON:
            self.kind = f"refused, errno {(flags & 0xff) >> 3}"
            return
        if kind == FRAME:
            self.kind = "a copy of a signal handler's context"
        elif kind == SLICED:
            word = gdb.lookup_type("unsigned long").sizeof
            block = (int(value["uc_stack"]["ss_sp"]) + word - 1) // word * word
            self.slice = Slice(block, CONTEXT_SLICE_WORDS)
            self.kind = f"a slice of {self.slice.length} bytes{mask}"
        else:
            self.kind = f"on a stack{mask}"
        registers = value["uc_mcontext"][architecture()["array"]]
        self.registers = {name: int(registers[index]) & (1 << 64) - 1
                          for name, index in architecture()["fields"].items()}


class Handle(Context):
    """An rctx_slice_t."""

    TYPES = ("rctx_slice_t", "struct rctx_slice")

    def read(self, value):
        self.slice = Slice(self.address, SLICE_WORDS)
        self.kind = f"a handle, {self.slice.length} bytes"
        words = read_words(self.slice.bytes, architecture()["pushed_words"])
        self.registers = {name: words[index] for name, index in architecture()["pushed"].items()}
        self.registers[architecture()["sp"]] = self.slice.near + len(words) * 8


def contexts(name, value):
    """The contexts that a value is or leads to."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_ARRAY:
        first, last = kind.range()
        for index in range(first, last + 1):
            yield from contexts(f"{name}[{index}]", value[index])
    elif kind.code == gdb.TYPE_CODE_PTR and is_context(kind.target()):
        if int(value):
            yield from contexts(name, value.dereference())
    else:
        for form in (Plain, Handle):
            if str(value.type.unqualified()) in form.TYPES or str(kind.unqualified()) in form.TYPES:
                yield form(name, value)


def is_context(kind):
    names = Plain.TYPES + Handle.TYPES
    return str(kind.unqualified()) in names or str(kind.strip_typedefs().unqualified()) in names


def evaluate(expression):
    value = gdb.parse_and_eval(expression)
    found = list(contexts(expression, value))
    if not found and not (value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR and not int(value)):
        raise gdb.GdbError(f"rctx: {expression} is no ucontext_t and no rctx_slice_t, but {value.type}")
    return found


def variables():
    """The contexts among the variables that the selected frame sees."""
    frame = gdb.selected_frame()
    seen = set()
    try:
        block = frame.block()
    except RuntimeError:
        raise gdb.GdbError("rctx: the selected frame has no debug information; name an expression") from None
    while block:
        for symbol in block:
            if symbol.is_variable or symbol.is_argument:
                if symbol.name not in seen:
                    seen.add(symbol.name)
                    with contextlib.suppress(gdb.GdbError, gdb.MemoryError, gdb.error):
                        yield from contexts(symbol.name, symbol.value(frame))
        block = block.superblock


class Caller(gdb.unwinder.Unwinder):
    """Makes a suspended context the caller of the selected thread's newest frame."""

    def __init__(self):
        super().__init__("rctx")
        self.context = None

    def __call__(self, pending):
        if self.context is None or pending.level() != 0:
            return None
        arch = architecture()
        registers = self.context.registers
        # Nearer than the context's own frame, so that gdb finds the order of frames right.
        info = pending.create_unwind_info(FrameId(registers[arch["sp"]] - 256, int(pending.read_register(arch["pc"]))))
        for name, number in registers.items():
            like = pending.read_register(name)
            info.add_saved_register(name, gdb.Value(number).cast(gdb.lookup_type("unsigned long")).cast(like.type))
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp)
        self.pc = gdb.Value(pc)


@contextlib.contextmanager
def suspended(context):
    """While it lasts, the selected thread's frames are those of a context, and the stack has its bytes."""
    inferior = gdb.selected_inferior()
    before = None
    if context.slice:
        before = inferior.read_memory(context.slice.near, context.slice.length).tobytes()
        try:
            inferior.write_memory(context.slice.near, context.slice.read())
        except (gdb.MemoryError, gdb.error):
            raise gdb.GdbError("rctx: the frames of a slice can be shown in a live process only") from None
    CALLER.context = context
    gdb.invalidate_cached_frames()
    try:
        yield
    finally:
        CALLER.context = None
        if before is not None:
            inferior.write_memory(context.slice.near, before)
        gdb.invalidate_cached_frames()


class Prefix(gdb.Command):
    """The contexts of librctx."""

    def __init__(self):
        super().__init__("rctx", gdb.COMMAND_STACK, prefix=True)


class List(gdb.Command):
    """rctx list [EXPRESSION...]
Say what each context is, and where it is suspended.

An expression is a ucontext_t or an rctx_slice_t handle, a pointer to one, or an array of either. Without
expressions, all that are variables of the selected frame or of its file. A context that is running, or
that has ended, still says where it was suspended last."""

    def __init__(self):
        super().__init__("rctx list", gdb.COMMAND_STACK, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        expressions = gdb.string_to_argv(argument)
        found = variables() if not expressions else (it for each in expressions for it in evaluate(each))
        count = 0
        for context in found:
            count += 1
            print(context)
        if not count:
            print("no context")


class Backtrace(gdb.Command):
    """rctx backtrace EXPRESSION
Show the backtrace of a suspended context.

The expression is a ucontext_t or an rctx_slice_t handle, or a pointer to one. While the frames of a slice
are shown, its bytes are put on the stack of the process, and what was there is put back."""

    def __init__(self):
        super().__init__("rctx backtrace", gdb.COMMAND_STACK, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("rctx backtrace: name a context")
        found = evaluate(argument)
        if len(found) != 1:
            raise gdb.GdbError(f"rctx: {argument} is not one context but {len(found)}")
        context = found[0]
        if not context.registers:
            raise gdb.GdbError(f"rctx: {argument} is not suspended: {context.kind}")
        with suspended(context):
            lines = gdb.execute("backtrace", to_string=True).splitlines()
        print(context)
        # Frame 0 is where the thread really is.
        for line in lines[1:]:
            print(re.sub(r"^#(\d+) ", lambda number: f"#{int(number[1]) - 1} ", line))


CALLER = Caller()
gdb.unwinder.register_unwinder(None, CALLER, replace=True)
Prefix()
List()
Backtrace()
