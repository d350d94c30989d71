#include "aio.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ipvs {
namespace {

// The C library has no functions for these.
long Setup(unsigned depth, aio_context_t* context) { return syscall(SYS_io_setup, depth, context); }
long Destroy(aio_context_t context) { return syscall(SYS_io_destroy, context); }
long Submit(aio_context_t context, size_t count, iocb** operations) {
  return syscall(SYS_io_submit, context, count, operations);
}
long Events(aio_context_t context, size_t count, io_event* events) {
  return syscall(SYS_io_getevents, context, count, count, events, nullptr);
}

}  // namespace

AioQueue& AioQueue::Shared() {
  static AioQueue queue;
  return queue;
}

AioQueue::~AioQueue() {
  if (context_ != 0) (void)Destroy(context_);
}

bool AioQueue::Run(std::span<iocb> operations, int* results) {
  const size_t count = std::min(operations.size(), kDepth);
  std::array<iocb*, kDepth> pointers;
  for (size_t i = 0; i < count; i++) {
    operations[i].aio_data = i;
    pointers[i] = &operations[i];
  }
  std::fill_n(results, operations.size(), -ECANCELED);

  const std::lock_guard<std::mutex> turn(mutex_);
  if (context_ == 0 && Setup(kDepth, &context_) != 0) return false;
  size_t submitted = 0;
  while (submitted < count) {
    const long now = Submit(context_, count - submitted, pointers.data() + submitted);
    if (now <= 0) break;
    submitted += static_cast<size_t>(now);
  }
  if (submitted == 0) {
    // After a fork the queue is the parent's alone.
    context_ = 0;
    return false;
  }
  std::array<io_event, kDepth> events;
  for (size_t taken = 0; taken < submitted;) {
    const long now = Events(context_, submitted - taken, events.data());
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) break;
    for (long i = 0; i < now; i++) {
      const io_event& event = events[static_cast<size_t>(i)];
      if (event.data < count) results[event.data] = static_cast<int>(event.res);
    }
    taken += static_cast<size_t>(now);
  }
  return true;
}

}  // namespace ipvs
