#include "netns.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace ipvs {
namespace {

Failure Enter(const std::string& path) {
  return RunInNetns(path, [] { return Failure{}; });
}

TEST(RunInNetns, RunsRightHereWithoutAPath) {
  std::thread::id ran;
  const Failure failure = RunInNetns("", [&] {
    ran = std::this_thread::get_id();
    return Failure{"step", ESRCH};
  });
  EXPECT_EQ(ran, std::this_thread::get_id());
  EXPECT_STREQ(failure.op, "step");
  EXPECT_EQ(failure.err, ESRCH);
}

TEST(RunInNetns, SaysWhyAPathIsNoNamespace) {
  EXPECT_STREQ(Enter("/nowhere/at/all").op, "netns");
  EXPECT_EQ(Enter("/nowhere/at/all").err, ENOENT);
  EXPECT_EQ(Enter("/dev/null").err, EINVAL);
  EXPECT_EQ(Enter("/").err, EINVAL);
  EXPECT_EQ(Enter(std::string("/proc/self/ns/net\0x", 19)).err, EINVAL);
}

TEST(RunInNetns, DoesNotWaitForAFifo) {
  char directory[] = "/tmp/netns-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(Enter(path).err, EINVAL);
  unlink(path.c_str());
  rmdir(directory);
}

TEST(RunInNetns, UsesAnotherThreadOrSaysWhatIsMissing) {
  std::thread::id ran;
  const Failure failure = RunInNetns("/proc/self/ns/net", [&] {
    ran = std::this_thread::get_id();
    return Failure{};
  });
  if (geteuid() == 0) {
    EXPECT_EQ(failure.err, 0);
    EXPECT_NE(ran, std::this_thread::get_id());
    EXPECT_NE(ran, std::thread::id());
  } else {
    EXPECT_EQ(failure.err, EPERM);
  }
}

}  // namespace
}  // namespace ipvs
