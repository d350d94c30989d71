#include "ipset.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netfilter/ipset/ip_set.h>

#include <cerrno>
#include <cstring>

#include "fake_kernel.h"
#include "replies.h"
#include "sets.h"

namespace ipvs {
namespace {

// A set with its entries, as they lie in a reply.
struct ReadBack {
  SetRecord set;
  std::vector<EntryRecord> entries;
};

std::vector<ReadBack> SetsOf(const ByteBuffer& reply) {
  std::vector<ReadBack> sets;
  Bytes rest = {reply.data(), reply.size()};
  while (!rest.empty()) {
    ReadBack one = {RecordAt<SetRecord>(rest, 0), {}};
    rest = rest.subspan(sizeof(SetRecord));
    for (uint32_t i = 0; i < one.set.entries; i++) {
      one.entries.push_back(RecordAt<EntryRecord>(rest, i));
    }
    rest = rest.subspan(one.set.entries * sizeof(EntryRecord));
    sets.push_back(one);
  }
  return sets;
}

SetName NameOf(const char* text) {
  SetName name = {};
  std::strncpy(name.name, text, sizeof(name.name) - 1);
  return name;
}

std::string NameIn(const Request& request) {
  // PROTOCOL takes eight bytes, and the name follows its own header.
  return {request.attributes.begin() + 12, request.attributes.end()};
}

class IpSetsTest : public testing::Test {
 protected:
  Failure Run(const std::vector<SetName>& names) {
    const Bytes request = {reinterpret_cast<const uint8_t*>(names.data()),
                           names.size() * sizeof(SetName)};
    return sets_.Execute(Op::kSets, request, &reply_);
  }
  // Answers each request with one message.
  void AnswerWith(const Attributes& attributes) {
    kernel_.stranger = [attributes](const Request& request) -> Datagrams {
      return {{SetMessage(request.sequence(), attributes)}, {Done(request.sequence())}};
    };
  }

  FakeKernel kernel_;
  IpSets sets_{kernel_.Connect(), 50};
  ByteBuffer reply_;
};

TEST_F(IpSetsTest, ReadsASetPieceByPiece) {
  kernel_.stranger = [](const Request& request) -> Datagrams {
    EXPECT_EQ(request.header.nlmsg_type, kSetMessage);
    EXPECT_TRUE(request.is_dump());
    EXPECT_EQ(NameIn(request).c_str(), std::string("KUBE-A"));
    const auto first = SetReply("KUBE-A", "hash:ip,port,net", AF_INET, 65536,
                                {{.address = "10.0.0.1",
                                  .port = 80,
                                  .protocol = 6,
                                  .address2 = "10.1.0.0",
                                  .prefix2 = 16}});
    const auto rest = SetReply("KUBE-A", "", AF_INET, 0,
                               {{.address = "10.0.0.2",
                                 .port = 53,
                                 .protocol = 17,
                                 .address2 = "10.2.0.7",
                                 .prefix2 = 32,
                                 .mark = 0x4000'0000'00ffULL,
                                 .no_match = true}});
    return {{SetMessage(request.sequence(), first)},
            {SetMessage(request.sequence(), rest)},
            {Done(request.sequence())}};
  };
  ASSERT_FALSE(Run({NameOf("KUBE-A")}));
  const auto sets = SetsOf(reply_);
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_STREQ(sets[0].set.name, "KUBE-A");
  EXPECT_STREQ(sets[0].set.type, "hash:ip,port,net");
  EXPECT_EQ(sets[0].set.family, AF_INET);
  EXPECT_EQ(sets[0].set.limit, 65536u);
  ASSERT_EQ(sets[0].entries.size(), 2u);
  const EntryRecord& net = sets[0].entries[0];
  EXPECT_EQ(net.has, kEntryAddress | kEntryPort | kEntryProtocol | kEntryAddress2);
  EXPECT_EQ(net.address[3], 1);
  EXPECT_EQ(net.port, 80);
  EXPECT_EQ(net.protocol, 6);
  EXPECT_EQ(net.address2[1], 1);
  EXPECT_EQ(net.prefix2, 16);
  const EntryRecord& marked = sets[0].entries[1];
  EXPECT_EQ(marked.prefix2, 0) << "the prefix of a single address";
  EXPECT_EQ(marked.mark, 0x4000u);
  EXPECT_EQ(marked.mask, 0xffu);
  EXPECT_TRUE(marked.has & kEntryMark && marked.has & kEntryNoMatch);
}

TEST_F(IpSetsTest, ReadsIpv6AndTypesThatHoldNoAddresses) {
  AnswerWith(SetReply("S", "hash:ip", AF_INET6, 4, {{.address = "fd00::1"}}));
  ASSERT_FALSE(Run({NameOf("S")}));
  AnswerWith(SetReply("S", "bitmap:port", AF_UNSPEC, 0, {{.address = "", .port = 30080}}));
  ASSERT_FALSE(Run({NameOf("S")}));
  const auto sets = SetsOf(reply_);
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].entries[0].address[15], 1);
  EXPECT_EQ(sets[1].set.family, AF_UNSPEC);
  EXPECT_EQ(sets[1].set.limit, 0u);
  EXPECT_EQ(sets[1].entries[0].has, kEntryPort);
  EXPECT_EQ(sets[1].entries[0].port, 30080);
}

// Kernels differ in which message says so.
TEST_F(IpSetsTest, LeavesOutSetsThatAreNotThere) {
  for (const bool in_done : {true, false}) {
    kernel_.stranger = [&](const Request& request) -> Datagrams {
      const uint32_t sequence = request.sequence();
      if (NameIn(request).c_str() == std::string("GONE")) {
        return {{in_done ? Done(sequence, ENOENT) : Answer(sequence, ENOENT)}};
      }
      return {{SetMessage(sequence, SetReply("S", "hash:ip", AF_INET, 4, {}))}, {Done(sequence)}};
    };
    ByteBuffer reply;
    const SetName names[] = {NameOf("GONE"), NameOf("S"), NameOf("GONE")};
    ASSERT_FALSE(
        sets_.Execute(Op::kSets, {reinterpret_cast<const uint8_t*>(names), sizeof(names)}, &reply));
    const auto sets = SetsOf(reply);
    ASSERT_EQ(sets.size(), 1u);
    EXPECT_STREQ(sets[0].set.name, "S");
  }
}

TEST_F(IpSetsTest, ForgetsWhatADumpToldThatWasCutShort) {
  int dumps = 0;
  kernel_.stranger = [&](const Request& request) -> Datagrams {
    const uint32_t sequence = request.sequence();
    const auto set = SetReply("S", "hash:ip", AF_INET, 4, {{.address = "10.0.0.1"}});
    return {{SetMessage(sequence, set)}, {Done(sequence, dumps++ < 2 ? EBUSY : 0)}};
  };
  ASSERT_FALSE(Run({NameOf("S"), NameOf("T")}));
  const auto sets = SetsOf(reply_);
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].entries.size(), 1u);
  EXPECT_EQ(sets[1].entries.size(), 1u);
}

TEST_F(IpSetsTest, TellsWhatTheKernelRefuses) {
  kernel_.stranger = [](const Request& request) -> Datagrams {
    return {{Answer(request.sequence(), EPERM)}};
  };
  EXPECT_EQ(Run({NameOf("S")}).err, EPERM);
  EXPECT_EQ(reply_.size(), 0u);
}

TEST_F(IpSetsTest, RefusesMessagesThatMakeNoSense) {
  const uint8_t three[] = {1, 2, 3};
  const Attributes first = SetReply("S", "hash:ip", AF_INET, 4, {});
  const auto with = [&](const Attributes& entry) {
    const Attributes list = Attributes().Nest(IPSET_ATTR_DATA, entry);
    return Attributes()
        .Text(IPSET_ATTR_TYPENAME, "hash:ip")
        .U8(IPSET_ATTR_FAMILY, AF_INET)
        .Nest(IPSET_ATTR_ADT, list);
  };
  const Attributes broken[] = {
      Attributes(),
      SetReply("S", "", AF_INET, 0, {{.address = "10.0.0.1"}}),
      SetReply("S", "hash:ip", AF_INET, 4, {{.address = "fd00::1"}}),
      SetReply("S", "hash:net", AF_INET, 4, {{.address = "10.0.0.0", .prefix = 33}}),
      with(Attributes().Raw(IPSET_ATTR_IP, three, 3)),
      with(Attributes().Nest(IPSET_ATTR_IP, Attributes())),
      with(Attributes().U8(IPSET_ATTR_PORT, 1)),
      with(Attributes().U32(IPSET_ATTR_SKBMARK, 1)),
  };
  for (const Attributes& attributes : broken) {
    AnswerWith(attributes);
    ByteBuffer reply;
    const SetName name = NameOf("S");
    const Bytes request = {reinterpret_cast<const uint8_t*>(&name), sizeof(name)};
    EXPECT_EQ(sets_.Execute(Op::kSets, request, &reply).err, EBADMSG);
    EXPECT_EQ(reply.size(), 0u);
  }
}

TEST_F(IpSetsTest, RefusesRequestsThatMakeNoSense) {
  SetName endless;
  std::memset(endless.name, 'x', sizeof(endless.name));
  EXPECT_EQ(Run({endless}).err, EINVAL);
  EXPECT_EQ(Run({SetName{}}).err, EINVAL);
  const uint8_t one = 'x';
  EXPECT_EQ(sets_.Execute(Op::kSets, {&one, 1}, &reply_).err, EINVAL);
  EXPECT_EQ(sets_.Execute(Op::kLinks, {}, &reply_).err, EINVAL);
  EXPECT_TRUE(kernel_.requests.empty());
  sets_.Close();
  EXPECT_EQ(Run({NameOf("S")}).err, EBADF);
}

}  // namespace
}  // namespace ipvs
