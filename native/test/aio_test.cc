#include "aio.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

namespace ipvs {
namespace {

class AioTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends_), 0);
  }
  void TearDown() override {
    close(ends_[0]);
    close(ends_[1]);
  }

  iocb Write(const char* text) const {
    iocb operation = {};
    operation.aio_lio_opcode = IOCB_CMD_PWRITE;
    operation.aio_fildes = static_cast<uint32_t>(ends_[0]);
    operation.aio_buf = reinterpret_cast<uintptr_t>(text);
    operation.aio_nbytes = std::char_traits<char>::length(text);
    return operation;
  }
  iocb Read(char* room, size_t size) const {
    iocb operation = {};
    operation.aio_lio_opcode = IOCB_CMD_PREAD;
    operation.aio_fildes = static_cast<uint32_t>(ends_[1]);
    operation.aio_buf = reinterpret_cast<uintptr_t>(room);
    operation.aio_nbytes = size;
    return operation;
  }

  AioQueue queue_;
  int ends_[2];
  char room_[4][16] = {};
};

TEST_F(AioTest, RunsInOrderAndSaysWhatEachReturned) {
  std::vector<iocb> operations = {Write("one"),      Read(room_[0], 16), Read(room_[1], 16),
                                  Write("four"),     Write("fifth"),     Read(room_[2], 16),
                                  Read(room_[3], 16)};
  std::vector<int> results(operations.size());
  ASSERT_TRUE(queue_.Run(operations, results.data()));
  EXPECT_EQ(results, (std::vector<int>{3, 3, -EAGAIN, 4, 5, 4, 5}));
  EXPECT_STREQ(room_[0], "one");
  EXPECT_STREQ(room_[3], "fifth");
}

TEST_F(AioTest, StopsAtWhatCannotBeDone) {
  std::vector<iocb> operations = {Write("one"), Write("two"), Write("three")};
  operations[1].aio_lio_opcode = 99;
  std::vector<int> results(operations.size());
  ASSERT_TRUE(queue_.Run(operations, results.data()));
  EXPECT_EQ(results, (std::vector<int>{3, -ECANCELED, -ECANCELED}));
  EXPECT_FALSE(queue_.Run(std::span(operations).subspan(1), results.data()));
}

TEST_F(AioTest, IsTheParentsAloneAfterAFork) {
  std::vector<iocb> operations = {Write("one")};
  int result = 0;
  ASSERT_TRUE(queue_.Run(operations, &result));
  const pid_t child = fork();
  if (child == 0) {
    const bool first = queue_.Run(operations, &result);
    const bool second = queue_.Run(operations, &result);
    _exit(first || !second ? 1 : 0);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ipvs
