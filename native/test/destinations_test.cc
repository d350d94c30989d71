#include <gtest/gtest.h>
#include <linux/ip_vs.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include "fake_kernel.h"
#include "replies.h"
#include "socket.h"

namespace ipvs {
namespace {

// Like the kernel: lists of rows, a datagram for every `kRowsADatagram` of them and one for the
// end, one list at a time, each datagram made when the one before is read.
class DestinationsTest : public testing::Test {
 protected:
  static constexpr uint32_t kRowsADatagram = 10;

  void SetUp() override {
    kernel_.converses = true;
    kernel_.reply = [this](const Request& request) { return Reply(request); };
    kernel_.on_receive = [this] { Continue(); };
  }

  // Destination i of the answer to request number n has address i and n in its weight.
  Datagrams Reply(const Request& request) {
    if (busy_) return {{Answer(request.sequence(), EBUSY)}};
    const uint32_t service = asked_++ % static_cast<uint32_t>(sizes_.size());
    if (fails_.contains(service)) return {{Done(request.sequence(), fails_[service])}};
    busy_ = true;
    left_ = sizes_[service];
    next_ = 0;
    service_ = service;
    sequence_ = request.sequence();
    Make();
    return {};
  }

  void Make() {
    Datagram datagram;
    for (uint32_t i = 0; i < kRowsADatagram && left_ > 0; i++, left_--) {
      DestinationRow row = SampleDestination(next_++);
      row.destination.weight = service_;
      const auto bytes =
          Data(FakeKernel::kFamily, sequence_, IPVS_CMD_NEW_DEST, true, DestinationReply(row));
      datagram.bytes.insert(datagram.bytes.end(), bytes.begin(), bytes.end());
    }
    if (datagram.bytes.empty()) {
      datagram.bytes = Done(sequence_);
      busy_ = false;
    }
    made_.push_back(datagram);
  }

  // The kernel makes the next datagram once the last has been read.
  void Continue() {
    if (made_.empty() && busy_) Make();
    if (made_.empty()) return;
    kernel_.queue.push_back(made_.front());
    made_.pop_front();
  }

  // How many rows each service has, all in order.
  std::vector<uint32_t> Read() {
    const std::vector<ChangeRecord> keys(sizes_.size());
    ByteBuffer reply;
    failure_ = connection_->Execute(
        Op::kDestinations,
        {reinterpret_cast<const uint8_t*>(keys.data()), keys.size() * sizeof(ChangeRecord)},
        &reply);
    std::vector<uint32_t> found(sizes_.size());
    uint32_t last = 0;
    for (size_t at = 0; at < reply.size(); at += sizeof(DestinationRow)) {
      DestinationRow row;
      std::memcpy(&row, reply.data() + at, sizeof(row));
      EXPECT_GE(row.service, last);
      last = row.service;
      found.at(row.service)++;
    }
    return found;
  }

  FakeKernel kernel_;
  std::shared_ptr<Connection> connection_ = kernel_.Open();
  Failure failure_;
  std::vector<uint32_t> sizes_;
  std::map<uint32_t, int> fails_;

 private:
  std::deque<Datagram> made_;
  bool busy_ = false;
  uint32_t asked_ = 0;
  uint32_t left_ = 0;
  uint32_t next_ = 0;
  uint32_t service_ = 0;
  uint32_t sequence_ = 0;
};

TEST_F(DestinationsTest, ReadsManyServicesInFewCalls) {
  for (uint32_t i = 0; i < 200; i++) sizes_.push_back(i % 10);
  EXPECT_EQ(Read(), sizes_);
  EXPECT_EQ(failure_.err, 0);
  EXPECT_EQ(kernel_.conversations, 4);
  EXPECT_EQ(kernel_.sends, 200);
}

TEST_F(DestinationsTest, ReadsAFewServicesTheUsualWay) {
  sizes_ = {3, 0, 7};
  EXPECT_EQ(Read(), sizes_);
  EXPECT_EQ(kernel_.conversations, 0);
}

TEST_F(DestinationsTest, ReadsTheUsualWayWhereItCannotConverse) {
  kernel_.converses = false;
  for (uint32_t i = 0; i < 200; i++) sizes_.push_back(i % 30);
  EXPECT_EQ(Read(), sizes_);
  EXPECT_EQ(kernel_.sends, 200);
}

TEST_F(DestinationsTest, AsksAgainForListsThatDoNotFit) {
  // The numbering of services goes by requests, and those of lists asked for again are more: so all
  // are alike here.
  sizes_.assign(300, 25);
  EXPECT_EQ(Read(), sizes_);
  EXPECT_EQ(failure_.err, 0);
  // Four reads were enough, and after the first batch it knew.
  EXPECT_LT(kernel_.sends, 500);
}

TEST_F(DestinationsTest, GivesUpBatchesForVeryLongLists) {
  sizes_.assign(150, 200);
  EXPECT_EQ(Read(), sizes_);
  EXPECT_LE(kernel_.conversations, 4);
}

TEST_F(DestinationsTest, FailsAsAListOnItsOwnDoes) {
  sizes_.assign(20, 1);
  for (uint32_t i = 0; i < 20; i++) fails_[i] = EPERM;
  Read();
  EXPECT_EQ(failure_.err, EPERM);
}

TEST_F(DestinationsTest, BelievesNoListAfterLosses) {
  sizes_.assign(20, 2);
  kernel_.receive_errors = {0, 0, 0, -ENOBUFS};
  EXPECT_EQ(Read(), sizes_);
  EXPECT_GE(kernel_.sends, 40);
}

TEST_F(DestinationsTest, CallsRowsThatMakeNoSenseABadMessage) {
  sizes_.assign(20, 1);
  kernel_.reply = [](const Request& request) -> Datagrams {
    return {{Data(FakeKernel::kFamily, request.sequence(), IPVS_CMD_NEW_SERVICE, true, {})}};
  };
  kernel_.on_receive = nullptr;
  Read();
  EXPECT_EQ(failure_.err, EBADMSG);
}

}  // namespace
}  // namespace ipvs
