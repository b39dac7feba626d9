/* Filters of system calls, for the rest of the process. qemu-user 7.2 has none. */
#ifndef SECCOMP_H
#define SECCOMP_H

#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* From here on the kernel does `action` at every system call but the two that are named, and at these the other one. */
static inline void filter_system_calls(unsigned action, int number, int other_number, unsigned other_action)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)other_number, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, other_action),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* From here on every system call but those that END() and _Exit() need ends the process by SIGSYS. */
static inline void allow_only_the_end(void)
{
    filter_system_calls(SECCOMP_RET_KILL_PROCESS, SYS_write, SYS_exit_group, SECCOMP_RET_ALLOW);
}

/* From here on this system call ends the process by SIGSYS. */
static inline void forbid_system_call(int number)
{
    filter_system_calls(SECCOMP_RET_ALLOW, number, number, SECCOMP_RET_KILL_PROCESS);
}

/* From here on this system call fails with an errno. */
static inline void refuse_system_call(int number, int error)
{
    filter_system_calls(SECCOMP_RET_ALLOW, number, number, SECCOMP_RET_ERRNO | (unsigned)error);
}
#endif
