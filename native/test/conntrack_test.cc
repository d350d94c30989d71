#include "conntrack.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "fake_kernel.h"
#include "flows.h"
#include "replies.h"

namespace ipvs {
namespace {

ServiceKey ServiceOf(const char* address, uint16_t port, uint8_t protocol = IPPROTO_TCP) {
  ServiceKey key = {};
  key.family = std::strchr(address, ':') != nullptr ? AF_INET6 : AF_INET;
  key.protocol = protocol;
  key.port = port;
  inet_pton(key.family, address, key.address);
  return key;
}

std::string TextOf(uint8_t family, const uint8_t (&address)[16], uint16_t port) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family == kIpv6 ? AF_INET6 : AF_INET, address, text, sizeof(text));
  return std::string(text) + " " + std::to_string(port);
}

std::string TextOf(const ConnectionRow& row) {
  return std::to_string(row.protocol) + " " +
         TextOf(row.family, row.client_address, row.client_port) + " > " +
         TextOf(row.family, row.virtual_address, row.virtual_port) + " > " +
         TextOf(row.destination_family, row.destination_address, row.destination_port) + " " +
         std::string(row.state) + " " + std::to_string(row.expires);
}

std::string Read(const Attributes& attributes) {
  ConnectionRow row;
  return ReadFlow(attributes.bytes(), &row) ? TextOf(row) : "senseless";
}

const Direction kClient = {"10.0.0.5", "192.0.2.1", 40000, 80};
const Direction kServer = {"198.51.100.7", "10.0.0.5", 8080, 40000};
const Direction kBack = {"192.0.2.1", "10.0.0.5", 80, 40000};
const Direction kClient6 = {"2001:db8::5", "2001:db8:1::1", 40000, 80};
const Direction kServer6 = {"2001:db8:2::7", "2001:db8::5", 8080, 40000};

TEST(ReadFlow, TakesTheSenderOfRepliesForTheDestination) {
  EXPECT_EQ(Read(FlowReply(IPPROTO_TCP, kClient, kServer, TCP_CONNTRACK_ESTABLISHED, 431999)),
            "6 10.0.0.5 40000 > 192.0.2.1 80 > 198.51.100.7 8080 ESTABLISHED 431999");
  EXPECT_EQ(Read(FlowReply(IPPROTO_TCP, kClient6, kServer6, TCP_CONNTRACK_TIME_WAIT, 5)),
            "6 2001:db8::5 40000 > 2001:db8:1::1 80 > 2001:db8:2::7 8080 TIME_WAIT 5");
}

TEST(ReadFlow, KnowsNoDestinationWhereNothingWasTranslated) {
  EXPECT_EQ(Read(FlowReply(IPPROTO_TCP, kClient, kBack, TCP_CONNTRACK_ESTABLISHED, 9)),
            "6 10.0.0.5 40000 > 192.0.2.1 80 > 0.0.0.0 0 ESTABLISHED 9");
}

TEST(ReadFlow, SaysStatesInTheWordsOfIpvs) {
  const char* tcp[] = {"NONE",     "SYN_RECV",  "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT",
                       "LAST_ACK", "TIME_WAIT", "CLOSE",    "SYN_RECV",    "ERR!",     "ERR!"};
  for (uint8_t state = 0; state < std::size(tcp); state++) {
    const std::string row = Read(FlowReply(IPPROTO_TCP, kClient, kServer, state, 1));
    EXPECT_NE(row.find(std::string(" ") + tcp[state] + " "), std::string::npos) << row;
  }
  const char* sctp[] = {"NONE",        "CLOSED",      "C-WAIT",     "C-ECHOED",
                        "ESTABLISHED", "S-SENT",      "S-RECEIVED", "S-ACK-SENT",
                        "NONE",        "ESTABLISHED", "ERR!"};
  for (uint8_t state = 0; state < std::size(sctp); state++) {
    const std::string row = Read(FlowReply(IPPROTO_SCTP, kClient, kServer, state, 1));
    EXPECT_NE(row.find(std::string(" ") + sctp[state] + " "), std::string::npos) << row;
  }
  EXPECT_NE(Read(FlowReply(IPPROTO_UDP, kClient, kServer, 0, 1)).find(" UDP "), std::string::npos);
}

TEST(ReadFlow, RefusesAFlowWithoutBothDirections) {
  const auto tuple = [](const Direction& direction) { return TupleReply(IPPROTO_TCP, direction); };
  EXPECT_EQ(Read(Attributes()), "senseless");
  EXPECT_EQ(Read(Attributes().Nest(CTA_TUPLE_ORIG, tuple(kClient))), "senseless");
  EXPECT_EQ(Read(Attributes().Nest(CTA_TUPLE_REPLY, tuple(kServer))), "senseless");
}

TEST(ReadFlow, RefusesAddressesThatDoNotFit) {
  const uint8_t address[16] = {10};
  const auto read = [&](const Attributes& ip) {
    return Read(Attributes()
                    .Nest(CTA_TUPLE_ORIG, Attributes().Nest(CTA_TUPLE_IP, ip))
                    .Nest(CTA_TUPLE_REPLY, TupleReply(IPPROTO_TCP, kServer)));
  };
  EXPECT_NE(read(Attributes().Raw(CTA_IP_V4_SRC, address, 4).Raw(CTA_IP_V4_DST, address, 4)),
            "senseless");
  EXPECT_EQ(read(Attributes().Raw(CTA_IP_V4_SRC, address, 16).Raw(CTA_IP_V4_DST, address, 16)),
            "senseless");
  EXPECT_EQ(read(Attributes().Raw(CTA_IP_V4_SRC, address, 4).Raw(CTA_IP_V6_DST, address, 16)),
            "senseless");
  EXPECT_EQ(read(Attributes().Raw(CTA_IP_V6_SRC, address, 4).Raw(CTA_IP_V6_DST, address, 4)),
            "senseless");
  EXPECT_EQ(read(Attributes().Raw(CTA_IP_V4_SRC, address, 4)), "senseless");
}

TEST(ReadFlow, RefusesAnyFlowThatIsCutShort) {
  const std::vector<uint8_t> whole =
      FlowReply(IPPROTO_TCP, kClient, kServer, TCP_CONNTRACK_ESTABLISHED, 1).bytes();
  for (size_t size = 0; size < whole.size(); size++) {
    ConnectionRow row;
    // The timeout comes last: without it, and cut between attributes, it is a flow all the same.
    const bool makes_sense = ReadFlow(Bytes(whole).first(size), &row);
    if (!makes_sense) continue;
    EXPECT_EQ(row.virtual_port, 80);
    EXPECT_EQ(row.destination_port, 8080);
    EXPECT_EQ(size % 4, 0u);
  }
}

TEST(ServiceSet, KnowsFlowsByProtocolFamilyAddressAndPort) {
  ServiceSet services;
  ConnectionRow row;
  const auto contains = [&](uint8_t protocol, const Direction& client, const Direction& server) {
    (void)ReadFlow(FlowReply(protocol, client, server, 0, 0).bytes(), &row);
    return services.Contains(row);
  };
  EXPECT_FALSE(contains(IPPROTO_TCP, kClient, kServer));
  services.Add(ServiceOf("192.0.2.1", 80));
  EXPECT_TRUE(contains(IPPROTO_TCP, kClient, kServer));
  EXPECT_FALSE(contains(IPPROTO_UDP, kClient, kServer));
  EXPECT_FALSE(contains(IPPROTO_TCP, {"10.0.0.5", "192.0.2.1", 40000, 81}, kServer));
  EXPECT_FALSE(contains(IPPROTO_TCP, {"10.0.0.5", "192.0.2.2", 40000, 80}, kServer));
  EXPECT_FALSE(contains(IPPROTO_TCP, kClient6, kServer6));
  services.Add(ServiceOf("192.0.2.2", 0));
  EXPECT_TRUE(contains(IPPROTO_TCP, {"10.0.0.5", "192.0.2.2", 40000, 12345}, kServer));
  services.Add(ServiceOf("2001:db8:1::1", 80));
  EXPECT_TRUE(contains(IPPROTO_TCP, kClient6, kServer6));
}

TEST(ServiceSet, LeavesFirewallMarksOut) {
  ServiceSet services;
  ServiceKey mark = ServiceOf("0.0.0.0", 0, 0);
  mark.fwmark = 7;
  services.Add(mark);
  ConnectionRow row = {};
  row.family = kIpv4;
  EXPECT_FALSE(services.Contains(row));
}

// A netfilter that has some flows, and knows only how to dump them.
class FlowsReadingTest : public testing::Test {
 protected:
  FlowsReadingTest() {
    kernel_.family = kFlowRequest;
    kernel_.reply = [this](const Request& request) {
      EXPECT_TRUE(request.is_dump());
      Datagrams replies;
      for (const Attributes& flow : flows_) {
        replies.push_back({FlowMessage(request.sequence(), AF_INET, flow)});
      }
      replies.push_back({Done(request.sequence(), err_)});
      return replies;
    };
    services_.Add(ServiceOf("192.0.2.1", 80));
    query_.source = static_cast<uint8_t>(ConnectionSource::kConntrack);
  }

  std::unique_ptr<Reading> Open(bool is_whole = false) {
    return std::make_unique<FlowsReading>(kernel_.Connect(), 20, services_, is_whole, query_,
                                          &columns_);
  }

  Failure Read(bool is_whole = false) { return Open(is_whole)->Finish(canceled_); }

  FakeKernel kernel_;
  ServiceSet services_;
  std::vector<Attributes> flows_;
  int err_ = 0;
  ConnectionQuery query_ = {};
  std::atomic<bool> canceled_ = false;
  ConnectionColumns columns_;
};

Attributes Flow(uint16_t client_port, uint8_t state = TCP_CONNTRACK_ESTABLISHED) {
  return FlowReply(IPPROTO_TCP, {"10.0.0.5", "192.0.2.1", client_port, 80},
                   {"198.51.100.7", "10.0.0.5", 8080, client_port}, state, 1);
}

TEST_F(FlowsReadingTest, KeepsFlowsToServicesThatMatch) {
  flows_ = {Flow(1), FlowReply(IPPROTO_TCP, kServer, kClient, TCP_CONNTRACK_ESTABLISHED, 1),
            Flow(2, TCP_CONNTRACK_CLOSE), Flow(3)};
  query_.has = kConnectionHasState;
  std::strcpy(query_.state, "ESTABLISHED");
  EXPECT_EQ(Read().err, 0);
  ASSERT_EQ(columns_.rows(), 2u);
  uint16_t ports[2];
  std::memcpy(ports, columns_[Column::kClientPort].data(), sizeof(ports));
  EXPECT_EQ(ports[0], 1);
  EXPECT_EQ(ports[1], 3);
  EXPECT_EQ(columns_[Column::kOrigin].size(), 0u);
}

TEST_F(FlowsReadingTest, IsUnfitWhereADestinationIsMissing) {
  flows_ = {Flow(1), FlowReply(IPPROTO_TCP, kClient, kBack, TCP_CONNTRACK_ESTABLISHED, 1)};
  const Failure failure = Read(true);
  EXPECT_STREQ(failure.op, kConntrackUnfit.op);
  EXPECT_EQ(failure.err, kConntrackUnfit.err);
}

TEST_F(FlowsReadingTest, TakesFlowsWithoutADestinationWhenAskedForAll) {
  flows_ = {FlowReply(IPPROTO_TCP, kClient, kBack, TCP_CONNTRACK_ESTABLISHED, 1)};
  EXPECT_EQ(Read().err, 0);
  EXPECT_EQ(columns_.rows(), 1u);
}

TEST_F(FlowsReadingTest, PassesOnWhatTheKernelRefuses) {
  kernel_.reply = [](const Request& request) {
    return Datagrams{{Answer(request.sequence(), EINVAL)}};
  };
  const Failure failure = Read();
  EXPECT_STREQ(failure.op, "conntrack");
  EXPECT_EQ(failure.err, EINVAL);
}

TEST_F(FlowsReadingTest, PassesOnAnErrorAtTheEnd) {
  flows_ = {Flow(1)};
  err_ = EPERM;
  EXPECT_EQ(Read().err, EPERM);
}

TEST_F(FlowsReadingTest, CallsOtherMessagesBad) {
  kernel_.reply = [](const Request& request) {
    return Datagrams{{Data(kFlowRequest, request.sequence(), 0, true, Flow(1))}};
  };
  EXPECT_EQ(Read().err, EBADMSG);
}

TEST_F(FlowsReadingTest, SaysWhenFlowsWereLost) {
  flows_ = {Flow(1)};
  kernel_.receive_errors = {-ENOBUFS, 0};
  EXPECT_EQ(Read().err, ENOBUFS);
}

TEST_F(FlowsReadingTest, ReadsOnWhereTheLastSliceEnded) {
  // More than one call of the kernel takes.
  for (uint16_t i = 0; i < 100; i++) flows_.push_back(Flow(i));
  const auto reading = Open();
  bool is_over = false;
  ASSERT_EQ(reading->Continue({}, false, &is_over).err, 0);
  EXPECT_FALSE(is_over);
  EXPECT_GT(columns_.rows(), 0u);
  EXPECT_LT(columns_.rows(), 100u);
  ASSERT_EQ(reading->Finish(false).err, 0);
  EXPECT_EQ(columns_.rows(), 100u);
  EXPECT_EQ(kernel_.requests.size(), 1u);
}

TEST_F(FlowsReadingTest, BreaksOffWhenCanceled) {
  flows_ = {Flow(1)};
  kernel_.on_receive = [this] {
    canceled_ = true;
    kernel_.on_receive = nullptr;
    kernel_.queue.pop_back();
  };
  const Failure failure = Read();
  EXPECT_STREQ(failure.op, "connections");
  EXPECT_EQ(failure.err, ECANCELED);
}

}  // namespace
}  // namespace ipvs
