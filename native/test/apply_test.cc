#include <gtest/gtest.h>
#include <linux/ip_vs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "fake_kernel.h"
#include "replies.h"
#include "socket.h"

namespace ipvs {
namespace {

class ApplyTest : public testing::Test {
 protected:
  // `count` changes whose ports tell them apart.
  static std::vector<ChangeRecord> Changes(size_t count) {
    std::vector<ChangeRecord> changes(count);
    for (size_t i = 0; i < count; i++) {
      changes[i].command = IPVS_CMD_NEW_SERVICE;
      changes[i].service.family = 2;
      changes[i].service.port = static_cast<uint16_t>(i);
      std::strcpy(changes[i].settings.scheduler, "rr");
    }
    return changes;
  }

  std::vector<int32_t> Apply(const std::vector<ChangeRecord>& changes, Op op = Op::kApply) {
    ByteBuffer reply;
    const Bytes request(reinterpret_cast<const uint8_t*>(changes.data()),
                        changes.size() * sizeof(ChangeRecord));
    failure_ = connection_->Execute(op, request, &reply);
    std::vector<int32_t> outcomes(reply.size() / sizeof(int32_t));
    if (!outcomes.empty()) std::memcpy(outcomes.data(), reply.data(), reply.size());
    return outcomes;
  }

  // Acknowledges, except that the request with this (zero-based) number fails.
  void FailOn(std::vector<size_t> numbers, int err) {
    kernel_.reply = [=, this](const Request& request) {
      const size_t number = kernel_.requests.size() - 1;
      const bool fails = std::find(numbers.begin(), numbers.end(), number) != numbers.end();
      return FakeKernel::Acknowledge(request, fails ? err : 0);
    };
  }

  FakeKernel kernel_;
  std::shared_ptr<Connection> connection_ = kernel_.Open();
  Failure failure_;
};

TEST_F(ApplyTest, GivesEachChangeItsOutcomeInOrder) {
  FailOn({1, 3}, EEXIST);
  EXPECT_EQ(Apply(Changes(5)), (std::vector<int32_t>{0, EEXIST, 0, EEXIST, 0}));
  EXPECT_EQ(failure_.err, 0);
}

TEST_F(ApplyTest, DoesNothingForNothing) {
  EXPECT_TRUE(Apply({}).empty());
  EXPECT_EQ(failure_.err, 0);
  EXPECT_EQ(kernel_.sends, 0);
}

TEST_F(ApplyTest, NeedsTwoSystemCallsForFiveHundredChanges) {
  EXPECT_EQ(Apply(Changes(2048)), std::vector<int32_t>(2048, 0));
  EXPECT_EQ(kernel_.sends, 4);
  EXPECT_EQ(kernel_.receives, 4);
}

TEST_F(ApplyTest, SendsNoMoreThanTheAnswersHaveRoomFor) {
  kernel_.receive_capacity = 2 * 832 * 10;
  EXPECT_EQ(Apply(Changes(100)), std::vector<int32_t>(100, 0));
  EXPECT_EQ(kernel_.sends, 10);
  kernel_.receive_capacity = 1;
  kernel_.sends = 0;
  EXPECT_EQ(Apply(Changes(3)), std::vector<int32_t>(3, 0));
  EXPECT_EQ(kernel_.sends, 3);
}

TEST_F(ApplyTest, SendsNoMoreThanTheSendBufferTakes) {
  kernel_.send_capacity = 4096;
  EXPECT_EQ(Apply(Changes(200)), std::vector<int32_t>(200, 0));
  EXPECT_GT(kernel_.sends, 3);
  EXPECT_LT(kernel_.sends, 10);
}

TEST_F(ApplyTest, ReadsAnswersInWhateverOrderTheyCome) {
  kernel_.reply = [&](const Request& request) {
    const int err = request.command == IPVS_CMD_NEW_SERVICE ? 0 : 1;
    kernel_.queue.push_front({Answer(request.sequence(), err)});
    return Datagrams{};
  };
  std::vector<ChangeRecord> changes = Changes(20);
  changes[4].command = IPVS_CMD_DEL_SERVICE;
  const std::vector<int32_t> outcomes = Apply(changes);
  EXPECT_EQ(outcomes[4], 1);
  EXPECT_EQ(outcomes[5], 0);
}

TEST_F(ApplyTest, SendsNothingWhenOneChangeIsMalformed) {
  std::vector<ChangeRecord> changes = Changes(3);
  changes[2].command = IPVS_CMD_FLUSH;
  EXPECT_TRUE(Apply(changes).empty());
  EXPECT_STREQ(failure_.op, "request");
  EXPECT_EQ(failure_.err, EINVAL);
  EXPECT_EQ(kernel_.sends, 0);
}

TEST_F(ApplyTest, StopsAtTheFirstFailureWhenAskedTo) {
  FailOn({2}, ESRCH);
  EXPECT_EQ(Apply(Changes(5), Op::kApplyUntilError),
            (std::vector<int32_t>{0, 0, ESRCH, kNotTried, kNotTried}));
  EXPECT_EQ(kernel_.sends, 3);
}

TEST_F(ApplyTest, SaysWhichAnswersWereLostAndGoesOn) {
  kernel_.receive_capacity = 2 * 832 * 4;
  kernel_.reply = [&](const Request& request) {
    const size_t number = kernel_.requests.size() - 1;
    if (number == 2 || number == 3) {
      kernel_.receive_errors = {-ENOBUFS, 0};
      return Datagrams{};
    }
    return FakeKernel::Acknowledge(request);
  };
  const int lost = ENOBUFS;
  EXPECT_EQ(Apply(Changes(6)), (std::vector<int32_t>{lost, lost, lost, lost, 0, 0}));
  EXPECT_EQ(failure_.err, 0);
}

TEST_F(ApplyTest, BelievesTheRefusalsThatAnOverrunLeft) {
  kernel_.reply = [&](const Request& request) {
    const size_t number = kernel_.requests.size() - 1;
    if (number == 2) kernel_.receive_errors = {-ENOBUFS, 0};
    return FakeKernel::Acknowledge(request, number == 1 ? EEXIST : 0);
  };
  // The last answer came, which does not tell what became of those before it.
  EXPECT_EQ(Apply(Changes(4)), (std::vector<int32_t>{ENOBUFS, EEXIST, ENOBUFS, 0}));
  EXPECT_EQ(failure_.err, 0);
}

TEST_F(ApplyTest, AsksForOneAnswerADatagram) {
  kernel_.receive_capacity = 2 * 832 * 3;
  FailOn({0, 4}, EEXIST);
  EXPECT_EQ(Apply(Changes(5)), (std::vector<int32_t>{EEXIST, 0, 0, 0, EEXIST}));
  std::vector<bool> asked;
  for (const Request& request : kernel_.requests) {
    asked.push_back((request.header.nlmsg_flags & NLM_F_ACK) != 0);
  }
  EXPECT_EQ(asked, (std::vector<bool>{false, false, true, false, true}));
}

TEST_F(ApplyTest, IgnoresAnAnswerGivenTwice) {
  kernel_.reply = [](const Request& request) {
    return Datagrams{{Answer(request.sequence(), 0)}, {Answer(request.sequence(), EPERM)}};
  };
  EXPECT_EQ(Apply(Changes(5)), std::vector<int32_t>(5, 0));
}

TEST_F(ApplyTest, SendsFewerAtATimeWhenManyDoNotGetThrough) {
  kernel_.send_errors = {-EMSGSIZE, -ENOBUFS, 0};
  EXPECT_EQ(Apply(Changes(16)), std::vector<int32_t>(16, 0));
  EXPECT_EQ(kernel_.sends, 6);
  EXPECT_EQ(kernel_.requests.size(), 16u);
}

TEST_F(ApplyTest, TellsWhatWasDoneWhenSendingFailsHalfway) {
  kernel_.receive_capacity = 2 * 832 * 2;
  kernel_.send_errors = {0, -EIO};
  EXPECT_EQ(Apply(Changes(6)), (std::vector<int32_t>{0, 0, EIO, EIO, kNotTried, kNotTried}));
  EXPECT_EQ(failure_.err, 0);
  kernel_.send_errors = {-EIO};
  Apply(Changes(6));
  EXPECT_STREQ(failure_.op, "send");
}

TEST_F(ApplyTest, FailsWhenAnAnswerMakesNoSense) {
  kernel_.reply = [](const Request& request) {
    return Datagrams{{.bytes = Answer(request.sequence(), 0), .truncated = true}};
  };
  Apply(Changes(2));
  EXPECT_EQ(failure_.err, EBADMSG);
  kernel_.reply = [](const Request& request) { return Datagrams{{Done(request.sequence())}}; };
  Apply(Changes(2));
  EXPECT_EQ(failure_.err, EBADMSG);
}

TEST_F(ApplyTest, FailsWhenAnAnswerIsToAChangeThatWasNotSentYet) {
  kernel_.send_capacity = 1500;
  kernel_.reply = [](const Request& request) {
    return Datagrams{{Answer(request.sequence() + 50, 0)}};
  };
  Apply(Changes(100));
  EXPECT_EQ(failure_.err, EBADMSG);
}

TEST_F(ApplyTest, CallsItLostWhenTheLastIsNotAnswered) {
  kernel_.reply = [&](const Request& request) {
    return FakeKernel::Acknowledge(request, kernel_.requests.size() == 2 ? EEXIST : 0);
  };
  kernel_.on_receive = [&] {
    if (!kernel_.queue.empty()) kernel_.queue.pop_back();
    kernel_.on_receive = nullptr;
  };
  EXPECT_EQ(Apply(Changes(3)), (std::vector<int32_t>{ENOBUFS, EEXIST, ENOBUFS}));
  EXPECT_EQ(failure_.err, 0);
  EXPECT_EQ(kernel_.waits, 0);
}

TEST_F(ApplyTest, SendsAgainWhatAStaleFamilyIdKeptFromRunning) {
  kernel_.family = 40;
  EXPECT_EQ(Apply(Changes(3)), std::vector<int32_t>(3, 0));
  EXPECT_EQ(kernel_.requests.size(), 3u + 1 + 3);
  kernel_.family = 41;
  EXPECT_EQ(Apply(Changes(3), Op::kApplyUntilError), std::vector<int32_t>(3, 0));
}

TEST_F(ApplyTest, SendsAgainOnlyWhatFollowedTheChangeOfTheId) {
  // The module is reloaded after the second change; a legitimate ENOENT came before.
  kernel_.reply = [&](const Request& request) {
    const size_t number = kernel_.requests.size();
    if (number == 2) kernel_.family = 40;
    return FakeKernel::Acknowledge(request, number == 1 ? ENOENT : 0);
  };
  EXPECT_EQ(Apply(Changes(4)), (std::vector<int32_t>{ENOENT, 0, 0, 0}));
  std::vector<int> sent;
  for (const Request& request : kernel_.requests) sent.push_back(request.header.nlmsg_type);
  EXPECT_EQ(sent, (std::vector<int>{31, 31, 31, 31, 16, 40, 40}));
}

TEST_F(ApplyTest, BelievesEnoentWhenTheFamilyDidNotMove) {
  FailOn({0, 1, 2}, ENOENT);
  EXPECT_EQ(Apply(Changes(3)), std::vector<int32_t>(3, ENOENT));
  EXPECT_EQ(kernel_.requests.size(), 4u);
}

TEST_F(ApplyTest, DoesNotChaseAFamilyThatNeverStops) {
  // Every lookup finds another id, and each is stale by the time it is used.
  kernel_.on_request = [&] { kernel_.family++; };
  EXPECT_EQ(Apply(Changes(2)), std::vector<int32_t>(2, ENOENT));
  EXPECT_LT(kernel_.requests.size(), 20u);
}

TEST_F(ApplyTest, SaysThatTheFamilyIsGone) {
  kernel_.family = 0;
  Apply(Changes(2));
  EXPECT_STREQ(failure_.op, "family");
  EXPECT_EQ(failure_.err, ENOENT);
}

}  // namespace
}  // namespace ipvs
