#include <gtest/gtest.h>
#include <linux/ip_vs.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "fake_kernel.h"
#include "replies.h"
#include "socket.h"

namespace ipvs {
namespace {

template <typename T>
Bytes BytesOf(const std::vector<T>& records) {
  return {reinterpret_cast<const uint8_t*>(records.data()), records.size() * sizeof(T)};
}

class ConnectionTest : public testing::Test {
 protected:
  template <typename Row>
  std::vector<Row> Rows(Op op, Bytes request = {}) {
    ByteBuffer reply;
    failure_ = connection_->Execute(op, request, &reply);
    std::vector<Row> rows(reply.size() / sizeof(Row));
    EXPECT_EQ(reply.size() % sizeof(Row), 0u);
    if (!rows.empty()) std::memcpy(rows.data(), reply.data(), reply.size());
    return rows;
  }

  Failure Do(Op op, Bytes request = {}) {
    (void)Rows<uint8_t>(op, request);
    return failure_;
  }

  // Replies to dumps with these datagrams and DONE.
  static Datagrams Dump(const Request& request, Datagrams datagrams) {
    datagrams.push_back({Done(request.sequence())});
    return datagrams;
  }

  static Datagram Service(const Request& request, uint32_t number) {
    return {Data(FakeKernel::kFamily, request.sequence(), IPVS_CMD_NEW_SERVICE, request.is_dump(),
                 ServiceReply(SampleService(number)))};
  }

  static Datagram Destination(const Request& request, uint32_t number) {
    return {Data(FakeKernel::kFamily, request.sequence(), IPVS_CMD_NEW_DEST, true,
                 DestinationReply(SampleDestination(number)))};
  }

  FakeKernel kernel_;
  std::shared_ptr<Connection> connection_ = kernel_.Open();
  Failure failure_;
};

TEST_F(ConnectionTest, KeepsTheErrnoOfAMissingFamily) {
  kernel_.family = 0;
  Connection connection(kernel_.Connect(), 10);
  const Failure failure = connection.Resolve();
  EXPECT_STREQ(failure.op, "family");
  EXPECT_EQ(failure.err, ENOENT);
}

TEST_F(ConnectionTest, RefusesRequestsThatAreNotWholeRecords) {
  const std::vector<uint8_t> bytes(200);
  const auto refused = [&](Op op, size_t size) {
    const Failure failure = Do(op, Bytes(bytes).first(size));
    return std::string(failure.op) == "request" && failure.err == EINVAL;
  };
  for (const uint32_t op : {0, 15, 255}) EXPECT_TRUE(refused(static_cast<Op>(op), 0)) << op;
  EXPECT_TRUE(refused(Op::kApply, 75));
  EXPECT_TRUE(refused(Op::kDestinations, 77));
  EXPECT_TRUE(refused(Op::kDestinationSettings, 77));
  EXPECT_TRUE(refused(Op::kService, 0));
  EXPECT_TRUE(refused(Op::kService, 152));
  EXPECT_TRUE(refused(Op::kZero, 152));
  EXPECT_TRUE(refused(Op::kServices, 1));
  EXPECT_TRUE(refused(Op::kSetTimeouts, 0));
  EXPECT_TRUE(refused(Op::kStartDaemon, 0));
  EXPECT_TRUE(refused(Op::kFlush, 76));
  EXPECT_EQ(kernel_.sends, 0);
}

TEST_F(ConnectionTest, RefusesAnInterfaceNameWithoutAnEnd) {
  std::vector<DaemonRecord> daemon = {SampleDaemon()};
  std::memset(daemon[0].interface, 'x', sizeof(daemon[0].interface));
  EXPECT_EQ(Do(Op::kStartDaemon, BytesOf(daemon)).err, EINVAL);
  EXPECT_EQ(kernel_.sends, 0);
}

TEST_F(ConnectionTest, ListsServicesOnceEach) {
  kernel_.reply = [](const Request& request) {
    EXPECT_TRUE(request.is_dump());
    EXPECT_EQ(request.command, IPVS_CMD_GET_SERVICE);
    return Dump(request, {Service(request, 0), Service(request, 1), Service(request, 0),
                          Service(request, 4), Service(request, 1)});
  };
  const auto rows = Rows<ServiceRow>(Op::kServices);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2].service.fwmark, 4u);
  // A request and its whole answer: two system calls.
  EXPECT_EQ(kernel_.sends + kernel_.receives, 2);
}

TEST_F(ConnectionTest, ListsNothingAsNothing) {
  EXPECT_TRUE(Rows<ServiceRow>(Op::kServices).empty());
  EXPECT_EQ(failure_.err, 0);
  EXPECT_TRUE(Rows<DestinationRow>(Op::kDestinations).empty());
  EXPECT_EQ(failure_.err, 0);
}

TEST_F(ConnectionTest, TellsAnAbsentServiceFromAFailure) {
  const std::vector<ChangeRecord> key(1);
  kernel_.reply = [](const Request& request) { return FakeKernel::Acknowledge(request, ESRCH); };
  EXPECT_TRUE(Rows<ServiceRow>(Op::kService, BytesOf(key)).empty());
  EXPECT_EQ(failure_.err, 0);
  kernel_.reply = [](const Request& request) { return FakeKernel::Acknowledge(request, EPERM); };
  EXPECT_EQ(Do(Op::kService, BytesOf(key)).err, EPERM);
  EXPECT_STREQ(failure_.op, "service");
  kernel_.reply = [](const Request& request) {
    return Datagrams{Service(request, 3), {Answer(request.sequence(), 0)}};
  };
  EXPECT_EQ(Rows<ServiceRow>(Op::kService, BytesOf(key)).size(), 1u);
}

TEST_F(ConnectionTest, ListsTheDestinationsOfEachKeyOnceEach) {
  const std::vector<ChangeRecord> keys(3);
  int dumps = 0;
  kernel_.reply = [&](const Request& request) {
    dumps++;
    if (dumps == 2) return Dump(request, {});
    return Dump(request, {Destination(request, 0), Destination(request, 1), Destination(request, 0),
                          Destination(request, 2)});
  };
  const auto rows = Rows<DestinationRow>(Op::kDestinations, BytesOf(keys));
  std::vector<uint32_t> services;
  for (const DestinationRow& row : rows) services.push_back(row.service);
  EXPECT_EQ(services, (std::vector<uint32_t>{0, 0, 0, 2, 2, 2}));
  EXPECT_EQ(rows[1].active_connections, 11u);
}

TEST_F(ConnectionTest, ListsEachOfManyDestinationsOnce) {
  const std::vector<ChangeRecord> keys(2);
  for (const uint32_t count : {15u, 16u, 17u, 40u}) {
    kernel_.reply = [&](const Request& request) {
      Datagrams rows;
      for (uint32_t i = 0; i < 2 * count; i++) rows.push_back(Destination(request, i % count));
      return Dump(request, rows);
    };
    EXPECT_EQ(Rows<DestinationRow>(Op::kDestinations, BytesOf(keys)).size(), 2 * count);
  }
}

TEST_F(ConnectionTest, StartsADumpOverWhenAnotherIsUnderWay) {
  int attempts = 0;
  kernel_.reply = [&](const Request& request) {
    if (++attempts < 3) {
      kernel_.queue.push_back({Done(request.sequence() - 1)});
      return FakeKernel::Acknowledge(request, EBUSY);
    }
    return Dump(request, {Service(request, 0)});
  };
  EXPECT_EQ(Rows<ServiceRow>(Op::kServices).size(), 1u);
  EXPECT_EQ(attempts, 3);
  kernel_.reply = [&](const Request& request) {
    attempts++;
    return FakeKernel::Acknowledge(request, EBUSY);
  };
  attempts = 0;
  EXPECT_EQ(Do(Op::kServices).err, EBUSY);
  EXPECT_LT(attempts, 10);
}

TEST_F(ConnectionTest, StartsADumpOverWhenRowsWereLost) {
  int attempts = 0;
  kernel_.reply = [&](const Request& request) {
    if (attempts++ == 0) {
      kernel_.receive_errors = {-ENOBUFS, 0};
      return Dump(request, {Destination(request, 0)});
    }
    return Dump(request, {Destination(request, 0), Destination(request, 1)});
  };
  const std::vector<ChangeRecord> keys(1);
  EXPECT_EQ(Rows<DestinationRow>(Op::kDestinations, BytesOf(keys)).size(), 2u);
  EXPECT_EQ(failure_.err, 0);
}

TEST_F(ConnectionTest, FailsADumpThatEndsWithAnErrno) {
  kernel_.reply = [](const Request& request) {
    return Datagrams{Service(request, 0), {Done(request.sequence(), ENOMEM)}};
  };
  EXPECT_EQ(Do(Op::kServices).err, ENOMEM);
  EXPECT_STREQ(failure_.op, "services");
}

TEST_F(ConnectionTest, CallsRowsThatMakeNoSenseABadMessage) {
  const auto replying = [&](Datagram datagram) {
    kernel_.reply = [=](const Request& request) {
      Datagram mine = datagram;
      const uint32_t sequence = request.sequence();
      std::memcpy(mine.bytes.data() + 8, &sequence, sizeof(sequence));
      return Dump(request, {mine});
    };
    return Do(Op::kServices).err;
  };
  constexpr uint16_t kFamily = FakeKernel::kFamily;
  const Attributes good = ServiceReply(SampleService(0));
  EXPECT_EQ(replying({Data(kFamily, 0, IPVS_CMD_NEW_SERVICE, true, good)}), 0);
  EXPECT_EQ(replying({Data(kFamily, 0, IPVS_CMD_NEW_DEST, true, good)}), EBADMSG);
  EXPECT_EQ(replying({Data(kFamily + 1, 0, IPVS_CMD_NEW_SERVICE, true, good)}), EBADMSG);
  EXPECT_EQ(replying({Data(kFamily, 0, IPVS_CMD_NEW_SERVICE, true, Attributes())}), EBADMSG);
  const std::vector<uint8_t> whole = Data(kFamily, 0, IPVS_CMD_NEW_SERVICE, true, Attributes());
  std::vector<uint8_t> stub(whole.begin(), whole.begin() + 18);
  stub[0] = 18;
  EXPECT_EQ(replying({stub}), EBADMSG);
  // And goes on as if nothing had been.
  EXPECT_EQ(replying({Data(kFamily, 0, IPVS_CMD_NEW_SERVICE, true, good)}), 0);
}

TEST_F(ConnectionTest, FindsTheFamilyAgainWhenItMoved) {
  kernel_.family = 40;
  kernel_.reply = [](const Request& request) {
    return Datagrams{{Data(40, request.sequence(), IPVS_CMD_SET_INFO, false, InfoReply({1, 2}))},
                     {Answer(request.sequence(), 0)}};
  };
  EXPECT_EQ(Rows<InfoRecord>(Op::kInfo).size(), 1u);
  EXPECT_EQ(kernel_.requests.size(), 3u);
}

TEST_F(ConnectionTest, BelievesEnoentWhenTheFamilyDidNotMove) {
  int asked = 0;
  kernel_.reply = [&](const Request& request) {
    asked++;
    return FakeKernel::Acknowledge(request, ENOENT);
  };
  EXPECT_EQ(Do(Op::kFlush).err, ENOENT);
  EXPECT_STREQ(failure_.op, "flush");
  EXPECT_EQ(asked, 1);
}

TEST_F(ConnectionTest, SaysThatTheFamilyIsGone) {
  kernel_.family = 0;
  EXPECT_EQ(Do(Op::kServices).err, ENOENT);
  EXPECT_STREQ(failure_.op, "family");
}

TEST_F(ConnectionTest, ReadsInfoTimeoutsAndDaemons) {
  kernel_.reply = [](const Request& request) -> Datagrams {
    const uint32_t sequence = request.sequence();
    switch (request.command) {
      case IPVS_CMD_GET_INFO:
        return {{Data(31, sequence, IPVS_CMD_SET_INFO, false, InfoReply({0x010201, 4096}))},
                {Answer(sequence, 0)}};
      case IPVS_CMD_GET_CONFIG:
        return {{Data(31, sequence, IPVS_CMD_SET_CONFIG, false, TimeoutsReply({900, 120, 300}))},
                {Answer(sequence, 0)}};
      default:
        return Dump(request,
                    {{Data(31, sequence, IPVS_CMD_NEW_DAEMON, true, DaemonReply(SampleDaemon()))}});
    }
  };
  EXPECT_EQ(Rows<InfoRecord>(Op::kInfo).at(0).version, 0x010201u);
  EXPECT_EQ(Rows<TimeoutsRecord>(Op::kTimeouts).at(0).udp, 300u);
  EXPECT_EQ(Rows<DaemonRecord>(Op::kDaemons).at(0).port, 8848);
}

TEST_F(ConnectionTest, SendsEachCommandAsItself) {
  const std::vector<ChangeRecord> key(1);
  const std::vector<DaemonRecord> daemon = {SampleDaemon()};
  const std::vector<TimeoutsRecord> timeouts = {{900, 0, 0}};
  EXPECT_EQ(Do(Op::kZero).err, 0);
  EXPECT_EQ(Do(Op::kZero, BytesOf(key)).err, 0);
  EXPECT_EQ(Do(Op::kFlush).err, 0);
  EXPECT_EQ(Do(Op::kSetTimeouts, BytesOf(timeouts)).err, 0);
  EXPECT_EQ(Do(Op::kStartDaemon, BytesOf(daemon)).err, 0);
  EXPECT_EQ(Do(Op::kStopDaemon, BytesOf(daemon)).err, 0);
  std::vector<int> commands;
  for (const Request& request : kernel_.requests) {
    commands.push_back(request.command);
    EXPECT_EQ(request.header.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
  }
  EXPECT_EQ(commands,
            (std::vector<int>{IPVS_CMD_ZERO, IPVS_CMD_ZERO, IPVS_CMD_FLUSH, IPVS_CMD_SET_CONFIG,
                              IPVS_CMD_NEW_DAEMON, IPVS_CMD_DEL_DAEMON}));
  EXPECT_TRUE(kernel_.requests[0].attributes.empty());
  EXPECT_FALSE(kernel_.requests[1].attributes.empty());
}

TEST_F(ConnectionTest, WaitsForDumpsAlone) {
  kernel_.reply = [](const Request&) { return Datagrams{}; };
  EXPECT_EQ(Do(Op::kStopDaemon, BytesOf(std::vector<DaemonRecord>(1))).err, EINTR);
  EXPECT_EQ(Do(Op::kInfo).err, EINTR);
  EXPECT_EQ(kernel_.waits, 0);
  EXPECT_EQ(Do(Op::kDaemons).err, ETIMEDOUT);
  EXPECT_EQ(kernel_.waits, 1);
}

TEST_F(ConnectionTest, RecoversFromSilence) {
  kernel_.reply = [](const Request&) { return Datagrams{}; };
  EXPECT_EQ(Do(Op::kFlush).err, EINTR);
  kernel_.queue.push_back({Answer(kernel_.requests.back().sequence(), EPERM)});
  kernel_.reply = nullptr;
  EXPECT_EQ(Do(Op::kFlush).err, 0);
}

TEST_F(ConnectionTest, IsClosedOnce) {
  connection_->Close();
  connection_->Close();
  EXPECT_EQ(Do(Op::kInfo).err, EBADF);
  EXPECT_STREQ(failure_.op, "closed");
}

TEST_F(ConnectionTest, LetsThreadsTakeTurns) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; k++) {
        ByteBuffer reply;
        EXPECT_EQ(connection_->Execute(Op::kFlush, {}, &reply).err, 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(kernel_.requests.size(), 200u);
}

}  // namespace
}  // namespace ipvs
