/* What a child writes to stderr, and how it ends. */
#ifndef CHILD_H
#define CHILD_H

#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* Runs a function in a child, which leaves no core file and exits with status 0 when the function returns. Returns the
 * child's status, and in `text`, a string of less than `size` bytes, what it wrote to stderr. */
static inline int run_in_child(void (*function)(void *), void *arg, char *text, size_t size)
{
    static const struct rlimit no_core;
    int pipes[2], status;
    size_t length = 0;
    ssize_t got;
    pid_t child;

    fflush(stdout);
    CHECK(pipe(pipes) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        function(arg);
        exit(0);
    }
    close(pipes[1]);
    while (length < size - 1 && (got = read(pipes[0], text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    close(pipes[0]);
    text[length] = '\0';
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}
#endif
