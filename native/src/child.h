#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bytes.h"
#include "failure.h"

namespace ipvs {

// What is to be run: the first of the paths that can be, with the whole of argv and environment.
struct Program {
  std::vector<std::string> paths;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
};

// Reads three counts (uint32_t), then so many strings that end in NUL, in the order above. False
// when they make no sense.
bool ReadProgram(Bytes request, Program* program);

// A program that runs, and our ends of its standard streams. Whoever lets go of it without having
// reaped it leaves it to ReapOrphans.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  // Starts a program with the memory of this process lent to it until it runs, not copied: a fork
  // takes longer the larger a process is. Only the calling thread waits meanwhile.
  static Failure Start(const Program& program, Child* child);

  pid_t pid() const { return pid_; }
  // What is written here it reads, and the reverse. The caller closes them from now on.
  struct Streams {
    int input = -1;
    int output = -1;
    int error = -1;
  };
  Streams ReleaseStreams();
  // The caller reaps it from now on.
  void Release() { pid_ = 0; }

 private:
  pid_t pid_ = 0;
  Streams streams_;
};

// The status of a child that has ended, as waitpid tells it; kRuns while it has not. Its number may
// be another process's after that.
constexpr int kRuns = -1;
Failure Reap(pid_t pid, int* status);

// Children whose environment has gone are waited for by whoever starts the next ones.
void Orphan(pid_t pid);
void ReapOrphans();

}  // namespace ipvs
