#pragma once

#include <linux/aio_abi.h>

#include <cstddef>
#include <mutex>
#include <span>

namespace ipvs {

// Many reads and writes in one system call: Linux's asynchronous I/O (io_submit), used for being
// pipelined, not for being asynchronous. What does not have to wait is over when the call returns,
// one operation after the other in order.
//
// One for the process: a queue holds kernel memory that the whole system has little of
// (fs.aio-max-nr), and letting go of one takes the kernel some 30 ms.
class AioQueue {
 public:
  // The most operations that one call takes.
  static constexpr size_t kDepth = 256;

  static AioQueue& Shared();

  AioQueue() = default;
  AioQueue(const AioQueue&) = delete;
  AioQueue& operator=(const AioQueue&) = delete;
  ~AioQueue();

  // Runs the operations, which must be such that none waits. results[i] is what operation i
  // returned, -ECANCELED when it was not tried. False when the system cannot do this, and then
  // nothing was tried.
  bool Run(std::span<iocb> operations, int* results);

 private:
  std::mutex mutex_;
  aio_context_t context_ = 0;
};

}  // namespace ipvs
