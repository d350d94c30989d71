#include "netns.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <thread>

namespace ipvs {
namespace {

constexpr char kOp[] = "netns";

Failure Enter(int fd) { return setns(fd, CLONE_NEWNET) == 0 ? Failure{} : Failure{kOp, errno}; }

Failure Enter(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return {kOp, errno};
  const Failure failure = Enter(fd);
  close(fd);
  return failure;
}

// `Place` is a path or a descriptor.
template <typename Place>
Failure RunOnThread(const Place& place, const std::function<Failure()>& fn) {
  Failure failure;
  try {
    std::thread([&] {
      failure = Enter(place);
      if (failure) return;
      try {
        failure = fn();
      } catch (const std::bad_alloc&) {
        failure = {kOp, ENOMEM};
      }
    }).join();
  } catch (const std::system_error& error) {
    return {kOp, error.code().value() != 0 ? error.code().value() : EAGAIN};
  }
  return failure;
}

}  // namespace

Failure RunInNetns(const std::string& path, const std::function<Failure()>& fn) {
  if (path.empty()) return fn();
  if (path.find('\0') != std::string::npos) return {kOp, EINVAL};
  return RunOnThread(path, fn);
}

Failure RunInNetns(int fd, const std::function<Failure()>& fn) { return RunOnThread(fd, fn); }

}  // namespace ipvs
