#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

namespace ipvs {
namespace {

constexpr char kOp[] = "spawn";

void Close(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// A pipe that no other program inherits, clear of the numbers that its ends will have in the child.
class Pipe {
 public:
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    Close(&ends_[0]);
    Close(&ends_[1]);
  }

  int Open() {
    if (pipe2(ends_, O_CLOEXEC) != 0) return errno;
    for (int& end : ends_) {
      if (end > STDERR_FILENO) continue;
      const int clear = fcntl(end, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
      if (clear < 0) return errno;
      Close(&end);
      end = clear;
    }
    return 0;
  }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  int TakeReadEnd() { return std::exchange(ends_[0], -1); }
  int TakeWriteEnd() { return std::exchange(ends_[1], -1); }

 private:
  int ends_[2] = {-1, -1};
};

class Actions {
 public:
  Actions() { err_ = posix_spawn_file_actions_init(&actions_); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() { posix_spawn_file_actions_destroy(&actions_); }

  void Duplicate(int fd, int as) {
    if (err_ == 0) err_ = posix_spawn_file_actions_adddup2(&actions_, fd, as);
  }
  int err() const { return err_; }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
  int err_ = 0;
};

// Node ignores SIGPIPE, and threads of a pool may block signals; a program wants neither.
class Attributes {
 public:
  Attributes() {
    err_ = posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);
    if (err_ == 0) err_ = posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    if (err_ == 0) err_ = posix_spawnattr_setsigdefault(&attributes_, &signals);
    constexpr short kFlags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (err_ == 0) err_ = posix_spawnattr_setflags(&attributes_, kFlags);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }

  int err() const { return err_; }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
  int err_ = 0;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// As execvp does: one that may not be run does not hide a later one that may.
int SpawnFirst(const Program& program, const Actions& actions, const Attributes& attributes,
               pid_t* pid) {
  const std::vector<char*> arguments = Pointers(program.arguments);
  const std::vector<char*> environment = Pointers(program.environment);
  int forbidden = 0;
  for (const std::string& path : program.paths) {
    // Looking costs less than to start a process that finds nothing to become.
    int err = access(path.c_str(), X_OK) == 0 ? 0 : errno;
    if (err == 0) {
      err = posix_spawn(pid, path.c_str(), actions.get(), attributes.get(), arguments.data(),
                        environment.data());
    }
    if (err == EACCES) forbidden = err;
    if (err != ENOENT && err != ENOTDIR && err != EACCES) return err;
  }
  return forbidden != 0 ? forbidden : ENOENT;
}

struct Orphans {
  std::mutex mutex;
  std::vector<pid_t> pids;
};

// Never destroyed: a thread may come here while the process ends.
Orphans& AllOrphans() {
  static Orphans& orphans = *new Orphans;
  return orphans;
}

}  // namespace

bool ReadProgram(Bytes request, Program* program) {
  uint32_t counts[3];
  if (request.size() < sizeof(counts)) return false;
  std::memcpy(counts, request.data(), sizeof(counts));
  Bytes rest = request.subspan(sizeof(counts));
  const auto take = [&](uint32_t count, std::vector<std::string>* strings) {
    for (uint32_t i = 0; i < count; i++) {
      const auto end = std::find(rest.begin(), rest.end(), uint8_t{0});
      if (end == rest.end()) return false;
      strings->emplace_back(rest.begin(), end);
      rest = rest.subspan(strings->back().size() + 1);
    }
    return true;
  };
  return take(counts[0], &program->paths) && take(counts[1], &program->arguments) &&
         take(counts[2], &program->environment) && rest.empty() && !program->arguments.empty();
}

Child::~Child() {
  Close(&streams_.input);
  Close(&streams_.output);
  Close(&streams_.error);
  if (pid_ > 0) Orphan(pid_);
}

Failure Child::Start(const Program& program, Child* child) {
  Pipe input, output, error;
  for (Pipe* pipe : {&input, &output, &error}) {
    if (const int err = pipe->Open()) return {"pipe", err};
  }
  Actions actions;
  actions.Duplicate(input.read_end(), STDIN_FILENO);
  actions.Duplicate(output.write_end(), STDOUT_FILENO);
  actions.Duplicate(error.write_end(), STDERR_FILENO);
  const Attributes attributes;
  if (actions.err() != 0 || attributes.err() != 0) return {kOp, ENOMEM};
  if (const int err = SpawnFirst(program, actions, attributes, &child->pid_)) {
    child->pid_ = 0;
    return {kOp, err};
  }
  child->streams_ = {input.TakeWriteEnd(), output.TakeReadEnd(), error.TakeReadEnd()};
  return {};
}

Child::Streams Child::ReleaseStreams() { return std::exchange(streams_, {}); }

Failure Reap(pid_t pid, int* status) {
  pid_t ended;
  do {
    ended = waitpid(pid, status, WNOHANG);
  } while (ended < 0 && errno == EINTR);
  if (ended < 0) return {"wait", errno};
  if (ended == 0) *status = kRuns;
  return {};
}

void Orphan(pid_t pid) {
  Orphans& orphans = AllOrphans();
  const std::lock_guard<std::mutex> turn(orphans.mutex);
  orphans.pids.push_back(pid);
}

void ReapOrphans() {
  Orphans& orphans = AllOrphans();
  const std::lock_guard<std::mutex> turn(orphans.mutex);
  std::erase_if(orphans.pids, [](pid_t pid) {
    int status = 0;
    return Reap(pid, &status) || status != kRuns;
  });
}

}  // namespace ipvs
