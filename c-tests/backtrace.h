/* <unwind.h> where arm's, an interface of its own, differs. */
#ifndef BACKTRACE_H
#define BACKTRACE_H

#include <unwind.h>

#ifdef __ARM_EABI__
enum { SHOWS_LAST_FRAME = 0 }; /* one that has no caller */
#define STOP_BACKTRACE _URC_FAILURE
#else
enum { SHOWS_LAST_FRAME = 1 };
#define STOP_BACKTRACE _URC_NORMAL_STOP
#endif

/* What _Unwind_Backtrace returns when it has seen all frames. */
static inline int is_end(_Unwind_Reason_Code code)
{
#ifdef __ARM_EABI__
    return code == _URC_END_OF_STACK || code == _URC_FAILURE;
#else
    return code == _URC_END_OF_STACK;
#endif
}

#endif
