#include "child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

namespace ipvs {
namespace {

Program Shell(const std::string& script) {
  return {{"/bin/sh"}, {"sh", "-c", script}, {"PATH=/usr/bin:/bin", "WORD=one two"}};
}

std::string ReadAll(int fd) {
  std::string text;
  char bytes[4096];
  for (ssize_t size; (size = read(fd, bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<size_t>(size));
  }
  close(fd);
  return text;
}

// Runs it to its end with that input.
struct Ran {
  std::string output;
  std::string error;
  int status = 0;
};

Ran Finish(const Program& program, const std::string& input = "") {
  Child child;
  EXPECT_FALSE(Child::Start(program, &child));
  const Child::Streams streams = child.ReleaseStreams();
  EXPECT_EQ(write(streams.input, input.data(), input.size()), static_cast<ssize_t>(input.size()));
  close(streams.input);
  Ran ran = {ReadAll(streams.output), ReadAll(streams.error)};
  const pid_t pid = child.pid();
  child.Release();
  do {
    EXPECT_FALSE(Reap(pid, &ran.status));
  } while (ran.status == kRuns);
  return ran;
}

std::set<std::string> OpenDescriptors() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    names.insert(entry.path().filename());
  }
  return names;
}

TEST(Child, CarriesStreamsArgumentsAndEnvironment) {
  const Ran ran = Finish(Shell("cat; echo \"$WORD\"; echo oh >&2; exit 7"), "in\n");
  EXPECT_EQ(ran.output, "in\none two\n");
  EXPECT_EQ(ran.error, "oh\n");
  EXPECT_TRUE(WIFEXITED(ran.status));
  EXPECT_EQ(WEXITSTATUS(ran.status), 7);
}

TEST(Child, SaysWhichSignalEndedIt) {
  const Ran ran = Finish(Shell("kill -9 $$"));
  EXPECT_TRUE(WIFSIGNALED(ran.status));
  EXPECT_EQ(WTERMSIG(ran.status), SIGKILL);
}

TEST(Child, GivesItDefaultSignals) {
  ASSERT_NE(signal(SIGPIPE, SIG_IGN), SIG_ERR);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const Ran ran = Finish(Shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
  // The C library has two of its own, above these.
  const auto signals_in = [&](const char* name) {
    const size_t at = ran.output.find(name);
    return std::strtoull(ran.output.c_str() + at + std::strlen(name), nullptr, 16) & 0x7fffffff;
  };
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(signals_in("SigBlk:"), 0u);
  EXPECT_EQ(signals_in("SigIgn:"), 0u);
}

TEST(Child, TakesTheFirstPathThatCanBeRun) {
  char folder[] = "/tmp/spawn-test-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string forbidden = std::string(folder) + "/tool";
  std::ofstream(forbidden) << "#!/bin/sh\n";
  Program program = Shell("echo here");
  program.paths = {"/none/sh", forbidden + "/sh", forbidden, "/bin/sh"};
  EXPECT_EQ(Finish(program).output, "here\n");

  Child child;
  program.paths = {"/none/sh", forbidden};
  EXPECT_EQ(Child::Start(program, &child).err, EACCES);
  program.paths = {"/none/sh", "/none/either"};
  EXPECT_EQ(Child::Start(program, &child).err, ENOENT);
  program.paths = {};
  EXPECT_EQ(Child::Start(program, &child).err, ENOENT);
  EXPECT_EQ(child.pid(), 0);
  std::filesystem::remove_all(folder);
}

TEST(Child, LeaksNoDescriptorHereNorThere) {
  const auto before = OpenDescriptors();
  const std::string there = Finish(Shell("ls /proc/$$/fd")).output;
  Child other;
  ASSERT_FALSE(Child::Start(Shell("cat"), &other));
  EXPECT_EQ(Finish(Shell("ls /proc/$$/fd")).output, there) << "not those of the other child";
  Child none;
  EXPECT_TRUE(Child::Start({{"/none"}, {"none"}, {}}, &none));
  {
    Child dropped;
    ASSERT_FALSE(Child::Start(Shell("cat"), &dropped));
  }
  const Child::Streams streams = other.ReleaseStreams();
  for (const int fd : {streams.input, streams.output, streams.error}) close(fd);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(Child, WorksWhereTheStandardStreamsAreClosed) {
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    for (const int fd : {0, 1, 2}) close(fd);
    const Ran ran = Finish(Shell("cat; echo oh >&2"), "in");
    _exit(ran.output == "in" && ran.error == "oh\n" ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(Child, ReapsOrphansOnceTheyHaveEnded) {
  pid_t pid = 0;
  {
    Child child;
    ASSERT_FALSE(Child::Start(Shell("cat"), &child));
    pid = child.pid();
    ReapOrphans();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  // Its input is closed, so it ends.
  for (int tries = 0; kill(pid, 0) == 0 && tries < 2000; tries++) {
    usleep(1000);
    ReapOrphans();
  }
  EXPECT_EQ(kill(pid, 0), -1);
  int status = 0;
  EXPECT_EQ(Reap(pid, &status).err, ECHILD);
}

std::vector<uint8_t> RequestOf(std::vector<uint32_t> counts, const std::string& strings) {
  std::vector<uint8_t> request(counts.size() * sizeof(uint32_t));
  std::memcpy(request.data(), counts.data(), request.size());
  request.insert(request.end(), strings.begin(), strings.end());
  return request;
}

TEST(Child, ReadsRequests) {
  using namespace std::string_literals;
  Program program;
  ASSERT_TRUE(ReadProgram(RequestOf({2, 2, 1}, "/a\0/b\0a\0\0K=V\0"s), &program));
  EXPECT_EQ(program.paths, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(program.arguments, (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(program.environment, (std::vector<std::string>{"K=V"}));
  for (const auto& broken :
       {RequestOf({1, 1}, ""), RequestOf({1, 1, 0}, "/a\0a"s), RequestOf({1, 1, 0}, "/a\0a\0b\0"s),
        RequestOf({1, 0, 0}, "/a\0"s), RequestOf({1, UINT32_MAX, 0}, "/a\0a\0"s)}) {
    Program other;
    EXPECT_FALSE(ReadProgram(broken, &other));
  }
}

}  // namespace
}  // namespace ipvs
