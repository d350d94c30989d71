#include "channel.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "fake_kernel.h"
#include "replies.h"

namespace ipvs {
namespace {

// One exchange at a time with a kernel that says nothing by itself.
class ChannelTest : public testing::Test {
 protected:
  // Receives until `count` messages came or it fails.
  Failure Receive(size_t count = 1) {
    Failure failure;
    while (!failure && heard_.size() < count) {
      failure = channel_.Receive(Shape::kData, [&](uint32_t index, const Message& message) {
        int err = 0;
        if (!ReadErrno(message, &err)) return false;
        heard_.push_back(std::to_string(index) + ":" + std::to_string(err));
        return true;
      });
    }
    return failure;
  }

  FakeKernel kernel_;
  Channel channel_{kernel_.Connect(), 20};
  std::vector<std::string> heard_;
};

TEST_F(ChannelTest, MatchesAnswersByTheirSequenceNumber) {
  const uint32_t first = channel_.Begin(3);
  kernel_.queue = {{Answer(first + 2, 0)},
                   {Answer(first - 1, 0)},
                   {Answer(first + 3, 0)},
                   {Answer(first, ESRCH)}};
  EXPECT_EQ(Receive(2).err, 0);
  EXPECT_EQ(heard_, (std::vector<std::string>{"2:0", "0:3"}));
}

TEST_F(ChannelTest, ListensToTheKernelOnly) {
  const uint32_t first = channel_.Begin(1);
  kernel_.queue = {{.bytes = Answer(first, EPERM), .port = 1234},
                   {.bytes = Answer(first, EPERM), .port = 1234, .truncated = true},
                   {Answer(first, 0)}};
  EXPECT_EQ(Receive().err, 0);
  EXPECT_EQ(heard_, std::vector<std::string>{"0:0"});
}

TEST_F(ChannelTest, GivesUpWhenOnlyStrangersSpeak) {
  const uint32_t first = channel_.Begin(1);
  kernel_.on_receive = [&] { kernel_.queue = {{.bytes = Answer(first, 0), .port = 1}}; };
  EXPECT_EQ(Receive().err, ETIMEDOUT);
  EXPECT_EQ(kernel_.waits, 0);
  EXPECT_TRUE(heard_.empty());
}

TEST_F(ChannelTest, ReadsSeveralMessagesOfOneDatagram) {
  const uint32_t first = channel_.Begin(2);
  std::vector<uint8_t> both = Answer(first, 0);
  const std::vector<uint8_t> second = Answer(first + 1, EEXIST);
  both.insert(both.end(), second.begin(), second.end());
  kernel_.queue = {{both}};
  EXPECT_EQ(Receive().err, 0);
  EXPECT_EQ(heard_, (std::vector<std::string>{"0:0", "1:17"}));
}

TEST_F(ChannelTest, CallsATruncatedDatagramABadMessage) {
  const uint32_t first = channel_.Begin(1);
  kernel_.queue = {{.bytes = Answer(first, 0), .truncated = true}};
  const Failure failure = Receive();
  EXPECT_STREQ(failure.op, "receive");
  EXPECT_EQ(failure.err, EBADMSG);
}

TEST_F(ChannelTest, CallsLengthsThatLieABadMessage) {
  for (const int length : {0, 15, 200}) {
    const uint32_t first = channel_.Begin(1);
    std::vector<uint8_t> bytes = Answer(first, 0);
    bytes[0] = static_cast<uint8_t>(length);
    kernel_.queue = {{bytes}};
    EXPECT_EQ(Receive().err, EBADMSG) << length;
  }
  channel_.Begin(1);
  kernel_.queue = {{{1, 2, 3}}};
  EXPECT_EQ(Receive().err, EBADMSG);
}

TEST_F(ChannelTest, CallsSenselessErrnosABadMessage) {
  for (const int err : {-1, 4096, INT32_MAX}) {
    const uint32_t first = channel_.Begin(1);
    kernel_.queue = {{Answer(first, err)}};
    const Failure failure = Receive();
    EXPECT_STREQ(failure.op, "reply");
    EXPECT_EQ(failure.err, EBADMSG) << err;
  }
  const uint32_t first = channel_.Begin(1);
  const std::vector<uint8_t> whole = Answer(first, 0);
  std::vector<uint8_t> cut(whole.begin(), whole.end() - 4);
  cut[0] = static_cast<uint8_t>(cut.size());
  kernel_.queue = {{cut}};
  EXPECT_EQ(Receive().err, EBADMSG);
}

TEST_F(ChannelTest, TriesAgainWhenInterrupted) {
  const uint32_t first = channel_.Begin(1, Answers::kInPieces);
  kernel_.send_errors = {-EINTR, -EINTR, 0};
  EXPECT_EQ(channel_.Send({}).err, 0);
  EXPECT_EQ(kernel_.sends, 3);
  kernel_.queue = {{Answer(first, 0)}};
  kernel_.receive_errors = {-EINTR, -EAGAIN, -EINTR, 0};
  kernel_.wait_results = {-EINTR, 1};
  EXPECT_EQ(Receive().err, 0);
  EXPECT_EQ(kernel_.waits, 2);
}

TEST_F(ChannelTest, WaitsForADumpNoLongerThanItsTimeout) {
  channel_.Begin(1, Answers::kInPieces);
  EXPECT_EQ(Receive().err, ETIMEDOUT);
  EXPECT_EQ(kernel_.waits, 1);
}

TEST_F(ChannelTest, DoesNotWaitForAnAnswerThatShouldBeThere) {
  channel_.Begin(1);
  const Failure failure = Receive();
  EXPECT_STREQ(failure.op, "receive");
  EXPECT_EQ(failure.err, EINTR);
  EXPECT_EQ(kernel_.waits, 0);
  // The next exchange is not disturbed.
  const uint32_t first = channel_.Begin(1);
  kernel_.queue = {{Answer(first, 0)}};
  EXPECT_EQ(Receive().err, 0);
}

TEST_F(ChannelTest, DoesNotWaitForAnAnswerWhenOthersSpoke) {
  const uint32_t first = channel_.Begin(1);
  kernel_.queue = {{.bytes = Answer(first, 0), .port = 1}, {Answer(first - 1, 0)}};
  EXPECT_EQ(Receive().err, EINTR);
  EXPECT_EQ(kernel_.waits, 0);
}

TEST_F(ChannelTest, PassesOnOtherErrors) {
  channel_.Begin(1);
  kernel_.send_errors = {-EMSGSIZE};
  EXPECT_STREQ(channel_.Send({}).op, "send");
  kernel_.receive_errors = {-EIO};
  EXPECT_EQ(Receive().err, EIO);
  channel_.Begin(1);
  kernel_.receive_errors = {-EBADF};
  EXPECT_EQ(Receive().err, EBADF);
}

TEST_F(ChannelTest, TakesAnAnswerThatComesAfterAnOverrun) {
  const uint32_t first = channel_.Begin(1);
  kernel_.receive_errors = {-ENOBUFS, 0};
  kernel_.queue = {{Answer(first, 0)}};
  EXPECT_EQ(Receive().err, 0);
  EXPECT_TRUE(channel_.overrun());
  channel_.Begin(1);
  EXPECT_FALSE(channel_.overrun());
}

TEST_F(ChannelTest, DoesNotWaitForWhatAnOverrunLost) {
  channel_.Begin(1);
  kernel_.receive_errors = {-ENOBUFS};
  EXPECT_EQ(Receive().err, ENOBUFS);
  EXPECT_EQ(kernel_.waits, 0);
}

TEST_F(ChannelTest, ReadsAllThatAnOverrunLeft) {
  const uint32_t first = channel_.Begin(1);
  kernel_.receive_errors = {-ENOBUFS, 0};
  kernel_.queue = {{Answer(first, 0)}};
  EXPECT_EQ(Receive().err, 0);
  kernel_.queue = {{Answer(first, 0)}, {Answer(first, 0)}};
  channel_.Begin(1);
  EXPECT_TRUE(kernel_.queue.empty());
}

TEST_F(ChannelTest, EndsWithAKernelThatOverrunsForEver) {
  channel_.Begin(1);
  kernel_.receive_errors = std::deque<int>(1000, -ENOBUFS);
  EXPECT_EQ(Receive().err, ENOBUFS);
}

TEST_F(ChannelTest, ForgetsWhatAFailedExchangeLeftBehind) {
  const uint32_t first = channel_.Begin(1);
  EXPECT_EQ(Receive().err, EINTR);
  for (int i = 0; i < 20; i++) kernel_.queue.push_back({Answer(first, EPERM)});
  const uint32_t second = channel_.Begin(1);
  EXPECT_TRUE(kernel_.queue.empty());
  kernel_.queue = {{Answer(first, EPERM)}, {Answer(second, 0)}};
  EXPECT_EQ(Receive().err, 0);
  EXPECT_EQ(heard_, std::vector<std::string>{"0:0"});
}

}  // namespace
}  // namespace ipvs
