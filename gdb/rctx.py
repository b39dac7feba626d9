"""gdb commands for the contexts of librctx.

    rctx list [EXPRESSION...]    what each context is, and where it is suspended; without expressions, every
                                 context and handle that is a variable of the selected frame or of its file
    rctx backtrace EXPRESSION    the backtrace of a suspended context

An expression is a ucontext_t or an rctx_slice_t handle, a pointer to one, or an array of either.
"""

import contextlib
import fnmatch
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
# Words in front of those of uc_stack: uc_flags, uc_link.
STACK_WORD = 2


class Architecture:
    """Where an instruction set keeps its registers, by gdb's names of them: arch/<isa>/mod.rs.

    - `pc`, `sp`: the program counter and the stack pointer
    - `context`: the number of a word in a ucontext_t -> the registers from there on. The C libraries differ in names of
      fields, not in their places. A signal handler's has all, one of ours only those that are in `pushed` as well.
    - `pushed`: the same of what a handle's slice begins with
    - `pushed_words`: how many words that is; the caller's stack pointer is behind them, unless it is among them
    - `link`: which of them is the program counter, where it has not its own name
    - `anchor`: the word of the slice with the address that `pushed` and `pushed_words` count from, if not its near end
    """

    def __init__(self, pc, sp, context, pushed, pushed_words, link=None, anchor=None):
        self.pc, self.sp = pc, sp
        self.context, self.pushed = (self.words(it) for it in (context, pushed))
        self.pushed_words, self.link, self.anchor = pushed_words, link or pc, anchor

    @staticmethod
    def words(table):
        """Spells `r8-r11` out: which word has which register."""
        found = {}
        for word, text in table.items():
            for each in text.split():
                prefix, first, last = re.fullmatch(r"([a-z]+)(\d*)(?:-[a-z]+(\d+))?", each).groups()
                numbers = range(int(first), int(last) + 1) if last else [first]
                for number in numbers:
                    found[f"{prefix}{number}"] = word
                    word += 1
        return found

    def finish(self, registers):
        """The lowest bit of arm's program counter is a bit of cpsr."""
        if "cpsr" in self.context:
            thumb = registers[self.pc] & 1
            registers["cpsr"] = registers.get("cpsr", 0) | thumb << 5
            registers[self.pc] -= thumb
        return registers


# By gdb's names, which `set architecture` lists, or a pattern of them.
ARCHITECTURES = {
    "i386:x86-64": Architecture(
        "rip", "rsp", {5: "r8-r15 rdi rsi rbp rbx rdx rax rcx rsp rip"},
        {1: "r15", 2: "r14", 3: "r13", 4: "r12", 5: "rbx rbp rip"}, 8),
    "i386": Architecture(
        "eip", "esp", {9: "edi esi ebp esp ebx edx ecx eax", 19: "eip"},
        {3: "edi esi ebx ebp eip"}, 8),
    "arm*": Architecture(
        "pc", "sp", {8: "r0-r12 sp lr pc cpsr"},
        {16: "r4-r11 lr"}, 25, link="lr", anchor=1),
    "aarch64": Architecture(
        "pc", "sp", {23: "x0-x30 sp pc"},
        {0: "x29 x30 x19-x28"}, 22, link="x30"),
    "riscv:rv64": Architecture(
        "pc", "sp", {22: "pc ra sp gp tp t0-t2 s0 s1 a0-a7 s2-s11 t3-t6"},
        {1: "ra s0-s11"}, 26, link="ra"),
    "s390:64-bit": Architecture(
        "pc", "r15", {6: "pc r0-r15"},
        {0: "r6-r15"}, 20, link="r14"),
    "powerpc:common64": Architecture(
        "pc", "r1", {29: "r0-r31 pc", 65: "lr"},
        {0: "r14-r31", 64: "lr"}, 62, link="lr"),
    "Loongarch64": Architecture(
        "pc", "r3", {22: "pc r0-r31"},
        {1: "r1 r22-r31"}, 20, link="r1"),
}


def architecture():
    name = gdb.selected_inferior().architecture().name()
    for pattern, found in ARCHITECTURES.items():
        if fnmatch.fnmatchcase(name, pattern):
            return found
    raise gdb.GdbError(f"rctx: contexts of {name} are not known; known: {', '.join(ARCHITECTURES)}")


def word_type():
    return gdb.lookup_type("unsigned long")


def read_words(address, count):
    memory = gdb.selected_inferior().read_memory(address, count * word_type().sizeof)
    words = gdb.Value(memory.tobytes(), word_type().array(count - 1))
    return [int(words[index]) for index in range(count)]


def read_registers(address, places):
    words = read_words(address, max(places.values()) + 1)
    return {name: words[word] for name, word in places.items()}


class Slice:
    """Stack bytes that are kept elsewhere."""

    def __init__(self, address, header):
        self.near, self.length = read_words(address, header)[-SLICE_WORDS:][:2]
        self.bytes = address + header * word_type().sizeof

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
        self.read(int(value.address))

    def place(self):
        if not self.registers:
            return ""
        pc = self.registers[architecture().pc]
        block = gdb.block_for_pc(pc)
        while block and not block.function:
            block = block.superblock
        has_started = not block or block.start != pc
        line = gdb.find_pc_line(max(pc - has_started, 0))
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

    def read(self, address):
        flags, block = (read_words(address, STACK_WORD + 1)[word] for word in (0, STACK_WORD))
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
            word = word_type().sizeof
            self.slice = Slice((block + word - 1) // word * word, CONTEXT_SLICE_WORDS)
            self.kind = f"a slice of {self.slice.length} bytes{mask}"
        else:
            self.kind = f"on a stack{mask}"
        arch = architecture()
        saved = arch.context if kind == FRAME else {arch.pc, arch.sp, *arch.pushed}
        places = {name: word for name, word in arch.context.items() if name in saved}
        self.registers = arch.finish(read_registers(address, places))


class Handle(Context):
    """An rctx_slice_t."""

    TYPES = ("rctx_slice_t", "struct rctx_slice")

    def read(self, address):
        arch = architecture()
        self.slice = Slice(address, SLICE_WORDS)
        self.kind = f"a handle, {self.slice.length} bytes"
        near = self.slice.near
        start = near if arch.anchor is None else read_words(self.slice.bytes, arch.anchor + 1)[-1]
        registers = read_registers(self.slice.bytes + start - near, arch.pushed)
        registers[arch.pc] = registers[arch.link]
        registers.setdefault(arch.sp, start + arch.pushed_words * word_type().sizeof)
        self.registers = arch.finish(registers)


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
    try:
        value = gdb.parse_and_eval(expression)
    except gdb.error as error:
        raise gdb.GdbError(str(error)) from None
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
    """Makes a suspended context the caller of the selected thread's frame at `level`."""

    def __init__(self):
        super().__init__("rctx")
        self.context = self.level = None

    def __call__(self, pending):
        if self.context is None or pending.level() != self.level:
            return None
        arch = architecture()
        registers = self.context.registers
        # Nearer than the context's own frame, so that gdb finds the order of frames right.
        info = pending.create_unwind_info(FrameId(registers[arch.sp] - 256, int(pending.read_register(arch.pc))))
        for name, number in registers.items():
            like = pending.read_register(name)
            info.add_saved_register(name, gdb.Value(number).cast(word_type()).cast(like.type))
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp).cast(word_type())
        self.pc = gdb.Value(pc).cast(word_type())


@contextlib.contextmanager
def suspended(context, level):
    """While it lasts, the thread's frames beyond `level` are those of a context, and the stack has its bytes."""
    inferior = gdb.selected_inferior()
    before = None
    if context.slice:
        before = inferior.read_memory(context.slice.near, context.slice.length).tobytes()
        try:
            inferior.write_memory(context.slice.near, context.slice.read())
        except (gdb.MemoryError, gdb.error):
            raise gdb.GdbError("rctx: the frames of a slice can be shown in a live process only") from None
    CALLER.context, CALLER.level = context, level
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
        frame = gdb.newest_frame()
        while frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
        first = frame.level() + 1
        # A backtrace ends at main, where the thread itself may be.
        beyond = "with backtrace past-main -- " if frame.name() == "main" else ""
        with suspended(context, frame.level()):
            lines = gdb.execute(f"{beyond}backtrace", to_string=True).splitlines()
        print(context)
        for line in lines[first:]:
            print(re.sub(r"^#(\d+) ", lambda number: f"#{int(number[1]) - first} ", line))


CALLER = Caller()
gdb.unwinder.register_unwinder(None, CALLER, replace=True)
Prefix()
List()
Backtrace()
