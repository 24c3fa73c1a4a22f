/* Preloaded into linux.uml on a CPU whose register state is larger than that kernel can give back.
 *
 * User-mode Linux saves and restores the vector registers of its processes with PTRACE_GETREGSET and PTRACE_SETREGSET. Linux 6.1
 * of it has room for the state up to AVX-512. Where the CPU has AMX, the host's kernel has more (11,008 bytes), reads into the
 * smaller buffer what fits, and refuses with EFAULT to write anything but the whole. This completes what is written: the parts
 * that the guest has never seen are in their initial state. No guest program uses them, since each would have to ask for it.
 */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IN_USE = 512, STATES = 63, LEGACY = 2 }; /* where the header says which states are in use; how many there may be */

static char whole[64 * 1024]; /* zero behind what is copied in */
static size_t whole_size;     /* 0: not needed so far */
static uint64_t kept;         /* the states that lie within what the guest saves */

/* Each CPUID is a trap in a virtual machine, and the registers are written at every switch of processes: learnt once. */
static int learn(pid_t pid, size_t saved)
{
    struct iovec state = { whole, sizeof whole };
    if (saved < IN_USE + sizeof kept || syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &state) < 0)
        return -1;
    memset(whole, 0, sizeof whole);
    kept = (1 << LEGACY) - 1;
    for (unsigned state_number = LEGACY; state_number < STATES; state_number++) {
        unsigned length, offset, unused;
        __cpuid_count(0xD, state_number, length, offset, unused, unused);
        if (length && offset && (size_t)offset + length <= saved)
            kept |= UINT64_C(1) << state_number;
    }
    whole_size = state.iov_len;
    return 0;
}

static long set_all(pid_t pid, const struct iovec *saved)
{
    struct iovec state = { whole, whole_size };
    uint64_t in_use;
    memcpy(whole, saved->iov_base, saved->iov_len);
    memcpy(&in_use, whole + IN_USE, sizeof in_use);
    in_use &= kept;
    memcpy(whole + IN_USE, &in_use, sizeof in_use);
    return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &state);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list more;
    va_start(more, request);
    pid_t pid = va_arg(more, pid_t);
    void *address = va_arg(more, void *);
    void *data = va_arg(more, void *);
    va_end(more);

    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word; /* the system call stores it, the library's function returns it */
        if (syscall(SYS_ptrace, request, pid, address, &word) < 0)
            return -1;
        errno = 0;
        return word;
    }
    if (request != PTRACE_SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
        return syscall(SYS_ptrace, request, pid, address, data);
    const struct iovec *saved = data;
    if (!whole_size) {
        long answer = syscall(SYS_ptrace, request, pid, address, data);
        if (answer == 0 || errno != EFAULT || learn(pid, saved->iov_len) < 0)
            return answer;
    }
    return set_all(pid, saved);
}
