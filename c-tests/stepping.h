/* A program that steps itself through the library: SIGTRAP or SIGILL arrives before each instruction of it. x86 has a
 * flag for that. Elsewhere every instruction of the library is overwritten with one that traps; the handler puts
 * one back and lets it run, and takes it away again at the next.
 */
#ifndef STEPPING_H
#define STEPPING_H

#include "check.h"
#include "machine.h"

#include <dlfcn.h>
#include <link.h>
#include <rctx.h>
#include <signal.h>
#include <sys/mman.h>

static const char *stepped_library(void)
{
    Dl_info info;

    CHECK(dladdr((void *)(uintptr_t)rctx_version, &info));
    return info.dli_fname;
}

#if defined __x86_64__ || defined __i386__
#ifdef __x86_64__
#define FLAGS(operation) __builtin_ia32_##operation##eflags_u64
#else
#define FLAGS(operation) __builtin_ia32_##operation##eflags_u32
#endif

static void step_prepare(void) {}

static void step(int on)
{
    const unsigned long trap_flag = 0x100, flags = FLAGS(read)();

    FLAGS(write)(on ? flags | trap_flag : flags & ~trap_flag);
}

/* The instruction before which the signal arrived. */
static uintptr_t step_trapped(ucontext_t *context)
{
    return (uintptr_t)PROGRAM_COUNTER(*context);
}

#else
/* The trap, how far it moves the program counter, and the length of the instruction that it replaces; what begins and
 * what ends a sequence that a trap within would repeat for ever. */
#if defined __aarch64__
typedef uint32_t trap_t;
enum { TRAP = 0xd4200000 /* brk #0 */, TRAP_ADVANCES = 0 };
#define INSTRUCTION_LENGTH(at) 4
#define LOADS_LINKED(word) (((word) & 0x3fc00000) == 0x08400000)
#define STORES_CONDITIONALLY(word) (((word) & 0x3fc00000) == 0x08000000)
#elif defined __riscv
typedef uint16_t trap_t;
enum { TRAP = 0x9002 /* c.ebreak */, TRAP_ADVANCES = 0 };
#define INSTRUCTION_LENGTH(at) ((*(const uint8_t *)(at) & 3) == 3 ? 4 : 2)
#define LOADS_LINKED(word) (((word) & 0x7f) == 0x2f && (word) >> 27 == 2)
#define STORES_CONDITIONALLY(word) (((word) & 0x7f) == 0x2f && (word) >> 27 == 3)
#elif defined __s390x__
typedef uint16_t trap_t;
enum { TRAP = 1, TRAP_ADVANCES = 2 };
#define INSTRUCTION_LENGTH(at) ((int[]){2, 4, 4, 6}[*(const uint8_t *)(at) >> 6])
#define LOADS_LINKED(word) 0
#define STORES_CONDITIONALLY(word) 0
#elif defined __powerpc64__
typedef uint32_t trap_t;
enum { TRAP = 0x7fe00008 /* trap */, TRAP_ADVANCES = 0 };
#define INSTRUCTION_LENGTH(at) 4
#define LOADS_LINKED(word) (((word) & 0xfc00077e) == 0x7c000028)
#define STORES_CONDITIONALLY(word) (((word) & 0xfc00077f) == 0x7c00012d)
#elif defined __loongarch__
typedef uint32_t trap_t;
enum { TRAP = 0x002a0000 /* break 0 */, TRAP_ADVANCES = 0 };
#define INSTRUCTION_LENGTH(at) 4
#define LOADS_LINKED(word) ((word) >> 26 == 8 && !((word) >> 24 & 1))
#define STORES_CONDITIONALLY(word) ((word) >> 26 == 8 && (word) >> 24 & 1)
#else
#error "say here what traps"
#endif

static struct {
    char *start, *original;
    size_t size;
    trap_t *running; /* the instruction that is put back */
} stepping;

static void put_code(void *at, const void *from, size_t size)
{
    memcpy(at, from, size);
    __builtin___clear_cache(at, (char *)at + size);
}

static void put_trap(void *at)
{
    static const trap_t trap = (trap_t)TRAP;

    put_code(at, &trap, sizeof trap);
}

static int find_load_address(struct dl_phdr_info *info, size_t size, void *address)
{
    (void)size;
    if (strcmp(info->dlpi_name, stepped_library()))
        return 0;
    *(uintptr_t *)address = info->dlpi_addr;
    return 1;
}

/* Finds .text and makes it writable. The linker's own code, behind which there is no unwind table, is not in it. */
static void step_prepare(void)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen(stepped_library(), "r");
    ElfW(Ehdr) head;
    ElfW(Shdr) sections[64], *names;
    uintptr_t address = 0, first;

    CHECK(file && fread(&head, sizeof head, 1, file) == 1 && head.e_shnum <= 64);
    CHECK(fseek(file, (long)head.e_shoff, SEEK_SET) == 0);
    CHECK(fread(sections, sizeof *sections, head.e_shnum, file) == head.e_shnum);
    CHECK(dl_iterate_phdr(find_load_address, &address) == 1);
    names = &sections[head.e_shstrndx];
    for (int i = 0; i < head.e_shnum && !stepping.start; i++) {
        char name[sizeof ".text"];

        CHECK(fseek(file, (long)(names->sh_offset + sections[i].sh_name), SEEK_SET) == 0);
        CHECK(fread(name, sizeof name, 1, file) == 1);
        if (memcmp(name, ".text", sizeof name))
            continue;
        stepping.start = (char *)(address + sections[i].sh_addr);
        stepping.size = sections[i].sh_size;
    }
    fclose(file);
    CHECK(stepping.start && (stepping.original = malloc(stepping.size + sizeof(uint32_t))));
    memcpy(stepping.original, stepping.start, stepping.size);
    first = (uintptr_t)stepping.start & -page;
    CHECK(mprotect((void *)first, (uintptr_t)stepping.start + stepping.size - first,
                   PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
}

static void step(int on)
{
    int linked = 0; /* how many more instructions to leave alone: the store may stand before the load, in a loop */

    put_code(stepping.start, stepping.original, stepping.size);
    stepping.running = NULL;
    for (size_t at = 0; on && at < stepping.size; at += (size_t)INSTRUCTION_LENGTH(stepping.original + at)) {
        uint32_t word;

        memcpy(&word, stepping.original + at, sizeof word);
        if (!linked)
            put_trap(stepping.start + at);
        if (LOADS_LINKED(word))
            linked = 8;
        else if (linked)
            linked = STORES_CONDITIONALLY(word) ? 0 : linked - 1;
    }
#ifdef __s390x__
    /* What exrl executes elsewhere is no step of its own. */
    for (size_t at = 0; on && at < stepping.size; at += (size_t)INSTRUCTION_LENGTH(stepping.original + at)) {
        const unsigned char *code = (unsigned char *)stepping.original + at;
        int32_t halfwords;

        memcpy(&halfwords, code + 2, sizeof halfwords);
        if (code[0] == 0xc6 && (code[1] & 15) == 0)
            put_code(stepping.start + at + 2 * halfwords, stepping.original + at + 2 * halfwords, sizeof(trap_t));
    }
#endif
}

/* As above, and lets it run. */
static uintptr_t step_trapped(ucontext_t *context)
{
    uintptr_t at = (uintptr_t)PROGRAM_COUNTER(*context) - TRAP_ADVANCES;

    CHECK(at - (uintptr_t)stepping.start < stepping.size && *(trap_t *)at == (trap_t)TRAP);
    if (stepping.running)
        put_trap(stepping.running);
    stepping.running = (trap_t *)at;
    put_code(stepping.running, stepping.original + (at - (uintptr_t)stepping.start), sizeof(trap_t));
    PROGRAM_COUNTER(*context) = at;
    return at;
}
#endif

/* call_above(context, function): calls it so that its caller is, to the unwinder, the code that was interrupted. That
 * is how it looks from a handler, but where the emulator's frame is not the kernel's (qemu 7.2) and the unwinder does
 * not know it. There, an unwind table of our own leads to `context`. */
#ifdef __powerpc64__
void call_above(const ucontext_t *context, void (*function)(void));
/* The register with this DWARF number is at this offset from r31, in two bytes of LEB128. */
#define SAVED_AT(number, offset) \
    ".cfi_escape 0x10, " #number ", 3, 0x8f, ((" #offset ") & 0x7f) | 0x80, (" #offset ") >> 7\n"
_Static_assert(offsetof(ucontext_t, uc_mcontext.gp_regs) == 232, "as below");
_Static_assert(offsetof(ucontext_t, uc_mcontext.fp_regs) == 616, "as below");
__asm__(".text\n"
        "call_above:\n"
        ".cfi_startproc\n"
        ".cfi_signal_frame\n"
        ".cfi_return_column 67\n"
        "mflr 0\n"
        "std 0, 16(1)\n"
        "std 31, -8(1)\n"
        "stdu 1, -64(1)\n"
        "std 2, 24(1)\n"
        "mr 31, 3\n"
        "mr 12, 4\n"
        "mtctr 4\n"
        ".cfi_escape 0x0f, 4, 0x8f, ((232+8*1) & 0x7f) | 0x80, (232+8*1) >> 7, 0x06\n"
        SAVED_AT(67, 232+8*32)
        SAVED_AT(65, 232+8*36)
        SAVED_AT(70, 232+8*38)
        ".irp n, 0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        SAVED_AT(\\n, 232+8*\\n)
        ".endr\n"
        ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        SAVED_AT(32+\\n, 616+8*\\n)
        ".endr\n"
        "bctrl\n"
        "ld 2, 24(1)\n"
        "addi 1, 1, 64\n"
        "ld 31, -8(1)\n"
        "ld 0, 16(1)\n"
        "mtlr 0\n"
        "blr\n"
        ".cfi_endproc\n");
#else
static void call_above(const ucontext_t *context, void (*function)(void))
{
    (void)context;
    function();
}
#endif

#if defined __s390x__ || !defined __GLIBC__
/* libgcc's unwinder on s390x, and LLVM's, take a signal's address for a return address, and look up the byte before
 * it. */
enum { TAKEN_FOR_RETURN = 1 };
#else
enum { TAKEN_FOR_RETURN = 0 };
#endif

/* Whether `at`, in a function of the compiler's, may be where LLVM's own unwind tables are wrong: on s390x and
 * loongarch64 behind the instruction that restores the stack pointer; on powerpc64 they are right at calls only. */
static int is_undescribed(uintptr_t at)
{
#if defined __s390x__
    const unsigned char *code = (unsigned char *)stepping.original + (at - (uintptr_t)stepping.start);

    return code[0] == 0x07 && code[1] == 0xfe && code[-6] == 0xeb && (code[-5] & 15) == 15; /* lmg; br %r14 */
#elif defined __loongarch__
    const uint32_t *code = (uint32_t *)(stepping.original + (at - (uintptr_t)stepping.start));

    return code[0] == 0x4c000020 && (code[-1] & 0xffe003ff) == 0x02c00063; /* addi.d $sp, $sp, n; ret */
#elif defined __powerpc64__
    return at != 0;
#else
    return at == 0;
#endif
}
#endif
