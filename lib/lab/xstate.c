/*
 * Preloaded into user-mode Linux 6.1 on processors with AMX.
 *
 * That kernel keeps the vector registers of its processes in 2696 bytes, which was every register of
 * its day. PTRACE_SETREGSET wants the whole image this machine has (11008 bytes with AMX) and answers
 * EFAULT to anything shorter, so the first process of the kernel dies. Here the short image is made
 * whole before it goes on; the registers that the old kernel does not know stay in their first state.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
  kPeekFirst = 1, /* PTRACE_PEEKTEXT, PEEKDATA, PEEKUSR: libc returns the word itself */
  kPeekLast = 3,
  kGetRegset = 0x4204,
  kSetRegset = 0x4205,
  kXstate = 0x202,      /* NT_X86_XSTATE */
  kComponents = 512,    /* where the header says which components the image holds */
  kKnownComponents = 0x3ff, /* x87 to PKRU, all within the old kernel's 2696 bytes */
};

static unsigned char image[1 << 16];
static size_t whole;

static long set_xstate(long pid, const struct iovec *given) {
  if (whole == 0) {
    struct iovec probe = {image, sizeof image};
    if (syscall(SYS_ptrace, kGetRegset, pid, kXstate, &probe) < 0) return -1;
    whole = probe.iov_len;
    memset(image, 0, sizeof image);
  }
  if (given->iov_len >= whole) return syscall(SYS_ptrace, kSetRegset, pid, kXstate, given);

  memcpy(image, given->iov_base, given->iov_len);
  uint64_t components;
  memcpy(&components, image + kComponents, sizeof components);
  components &= kKnownComponents;
  memcpy(image + kComponents, &components, sizeof components);
  struct iovec full = {image, whole};
  return syscall(SYS_ptrace, kSetRegset, pid, kXstate, &full);
}

long ptrace(int request, ...) {
  va_list rest;
  va_start(rest, request);
  long pid = va_arg(rest, int);
  void *address = va_arg(rest, void *);
  void *data = va_arg(rest, void *);
  va_end(rest);

  if (request == kSetRegset && (intptr_t)address == kXstate) return set_xstate(pid, data);
  if (request < kPeekFirst || request > kPeekLast)
    return syscall(SYS_ptrace, request, pid, address, data);

  long word = 0;
  if (syscall(SYS_ptrace, request, pid, address, &word) < 0) return -1;
  errno = 0;
  return word;
}
