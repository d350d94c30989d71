#include "route.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "fake_kernel.h"
#include "replies.h"

namespace ipvs {
namespace {

template <typename Header>
std::vector<uint8_t> Row(uint16_t type, uint32_t sequence, uint16_t flags, const Header& header,
                         const Attributes& attributes) {
  nlmsghdr start = {};
  start.nlmsg_len =
      static_cast<uint32_t>(NLMSG_HDRLEN + sizeof(header) + attributes.bytes().size());
  start.nlmsg_type = type;
  start.nlmsg_flags = static_cast<uint16_t>(NLM_F_MULTI | flags);
  start.nlmsg_seq = sequence;
  std::vector<uint8_t> bytes(start.nlmsg_len);
  std::memcpy(bytes.data(), &start, sizeof(start));
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &header, sizeof(header));
  std::copy(attributes.bytes().begin(), attributes.bytes().end(),
            bytes.begin() + static_cast<long>(NLMSG_HDRLEN + sizeof(header)));
  return bytes;
}

std::vector<uint8_t> AddressRow(uint32_t sequence, uint8_t family, const Attributes& attributes,
                                uint16_t flags = 0) {
  const ifaddrmsg header = {family, 32, 0, RT_SCOPE_UNIVERSE, 7};
  return Row(RTM_NEWADDR, sequence, flags, header, attributes);
}

Attributes V4(uint16_t type, const char* address) {
  in_addr bytes = {};
  inet_pton(AF_INET, address, &bytes);
  return Attributes().Raw(type, &bytes, sizeof(bytes));
}

Attributes Both(const char* local, const char* other) {
  in_addr ours = {}, theirs = {};
  inet_pton(AF_INET, local, &ours);
  inet_pton(AF_INET, other, &theirs);
  return Attributes().Raw(IFA_ADDRESS, &theirs, sizeof(theirs)).Raw(IFA_LOCAL, &ours, sizeof(ours));
}

template <typename T>
std::vector<T> RecordsOf(const ByteBuffer& reply) {
  std::vector<T> records(reply.size() / sizeof(T));
  if (!records.empty()) std::memcpy(records.data(), reply.data(), reply.size());
  return records;
}

template <typename T>
Bytes BytesOf(const std::vector<T>& records) {
  return {reinterpret_cast<const uint8_t*>(records.data()), records.size() * sizeof(T)};
}

class RouteTest : public testing::Test {
 protected:
  Failure Run(Op op, Bytes request = {}) { return route_.Execute(op, request, &reply_); }

  FakeKernel kernel_;
  Route route_{kernel_.Connect(), 50};
  ByteBuffer reply_;
};

AddressChange ChangeOf(uint32_t command, uint8_t last, uint8_t prefix = 32) {
  return {command, {7, AF_INET, prefix, 0, 0, {10, 0, 0, last}}};
}

TEST_F(RouteTest, ListsOurEndOfAPointToPointAddressAndSkipsForeignFamilies) {
  kernel_.stranger = [](const Request& request) -> Datagrams {
    return {{AddressRow(request.sequence(), AF_INET, Both("10.0.0.1", "10.0.0.2"))},
            {AddressRow(request.sequence(), AF_PHONET, Attributes())},
            {AddressRow(request.sequence(), AF_INET, V4(IFA_ADDRESS, "10.0.0.3"))},
            {Done(request.sequence())}};
  };
  ASSERT_FALSE(Run(Op::kAddresses));
  const auto rows = RecordsOf<AddressRecord>(reply_);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].address[3], 1);
  EXPECT_EQ(rows[0].link, 7u);
  EXPECT_EQ(rows[1].address[3], 3);
}

TEST_F(RouteTest, ReadsNameAndKindOfLinks) {
  kernel_.stranger = [](const Request& request) -> Datagrams {
    ifinfomsg header = {};
    header.ifi_index = 4;
    header.ifi_flags = 0x82;
    const Attributes info = Attributes().Text(IFLA_INFO_KIND, "dummy");
    const Attributes attributes =
        Attributes().Text(IFLA_IFNAME, "kube-ipvs0").U32(IFLA_MTU, 1500).Nest(IFLA_LINKINFO, info);
    return {{Row(RTM_NEWLINK, request.sequence(), 0, header, attributes)},
            {Done(request.sequence())}};
  };
  ASSERT_FALSE(Run(Op::kLinks));
  const auto rows = RecordsOf<LinkRecord>(reply_);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_STREQ(rows[0].name, "kube-ipvs0");
  EXPECT_STREQ(rows[0].kind, "dummy");
  EXPECT_EQ(rows[0].index, 4u);
  EXPECT_EQ(rows[0].mtu, 1500u);
}

TEST_F(RouteTest, StartsADumpOverThatAChangeInterrupted) {
  int dumps = 0;
  kernel_.stranger = [&](const Request& request) -> Datagrams {
    const uint16_t flags = dumps++ == 0 ? NLM_F_DUMP_INTR : 0;
    return {{AddressRow(request.sequence(), AF_INET, V4(IFA_LOCAL, "10.0.0.1"), flags)},
            {Done(request.sequence())}};
  };
  ASSERT_FALSE(Run(Op::kAddresses));
  EXPECT_EQ(dumps, 2);
  EXPECT_EQ(RecordsOf<AddressRecord>(reply_).size(), 1u);
}

TEST_F(RouteTest, GivesUpOnADumpThatIsAlwaysInterrupted) {
  kernel_.stranger = [](const Request& request) -> Datagrams {
    return {{AddressRow(request.sequence(), AF_INET, V4(IFA_LOCAL, "10.0.0.1"), NLM_F_DUMP_INTR)},
            {Done(request.sequence())}};
  };
  EXPECT_EQ(Run(Op::kAddresses).err, EINTR);
}

TEST_F(RouteTest, RefusesRowsThatMakeNoSense) {
  const std::vector<uint8_t> three(3);
  const Attributes broken[] = {Attributes(), Attributes().Raw(IFA_LOCAL, three.data(), 3)};
  for (const Attributes& attributes : broken) {
    kernel_.stranger = [&](const Request& request) -> Datagrams {
      return {{AddressRow(request.sequence(), AF_INET, attributes)}, {Done(request.sequence())}};
    };
    EXPECT_EQ(Run(Op::kAddresses).err, EBADMSG);
  }
}

TEST_F(RouteTest, GivesEachAddressChangeItsOutcome) {
  kernel_.stranger = [](const Request& request) {
    const bool adds = request.header.nlmsg_type == RTM_NEWADDR;
    return FakeKernel::Acknowledge(request, adds ? EEXIST : 0);
  };
  std::vector<AddressChange> changes;
  for (uint8_t i = 0; i < 200; i++) {
    changes.push_back(ChangeOf(i % 2 == 0 ? RTM_NEWADDR : RTM_DELADDR, i));
  }
  ASSERT_FALSE(Run(Op::kChangeAddresses, BytesOf(changes)));
  const auto outcomes = RecordsOf<int32_t>(reply_);
  ASSERT_EQ(outcomes.size(), 200u);
  for (size_t i = 0; i < 200; i++) EXPECT_EQ(outcomes[i], i % 2 == 0 ? EEXIST : 0);
  EXPECT_EQ(kernel_.requests.size(), 200u);
  EXPECT_LT(kernel_.sends, 10);
}

TEST_F(RouteTest, SendsNothingWhenOneAddressIsWrong) {
  const AddressChange wrong[] = {
      ChangeOf(RTM_NEWADDR, 1, 33),
      ChangeOf(RTM_NEWLINK, 1),
      {RTM_NEWADDR, {7, AF_PHONET, 8, 0, 0, {}}},
      {RTM_NEWADDR, {0, AF_INET, 32, 0, 0, {10}}},
  };
  for (const AddressChange& change : wrong) {
    const std::vector<AddressChange> changes = {ChangeOf(RTM_NEWADDR, 1), change};
    EXPECT_EQ(Run(Op::kChangeAddresses, BytesOf(changes)).err, EINVAL);
  }
  EXPECT_TRUE(kernel_.requests.empty());
}

TEST_F(RouteTest, AddsADummyAndSaysWhyItCannot) {
  kernel_.stranger = [](const Request& request) {
    return FakeKernel::Acknowledge(request, request.header.nlmsg_type == RTM_NEWLINK ? EEXIST : 0);
  };
  std::vector<LinkRecord> link(1);
  std::strcpy(link[0].name, "kube-ipvs0");
  EXPECT_EQ(Run(Op::kAddDummy, BytesOf(link)).err, EEXIST);
  link[0].index = 3;
  EXPECT_EQ(Run(Op::kDeleteLink, BytesOf(link)).err, 0);
  EXPECT_EQ(kernel_.requests.size(), 2u);
}

TEST_F(RouteTest, RefusesLinksWithoutNameOrIndex) {
  std::vector<LinkRecord> link(1);
  EXPECT_EQ(Run(Op::kAddDummy, BytesOf(link)).err, EINVAL);
  std::memset(link[0].name, 'x', sizeof(link[0].name));
  EXPECT_EQ(Run(Op::kAddDummy, BytesOf(link)).err, EINVAL);
  EXPECT_EQ(Run(Op::kDeleteLink, BytesOf(link)).err, EINVAL);
  EXPECT_EQ(Run(Op::kServices).err, EINVAL);
  EXPECT_TRUE(kernel_.requests.empty());
}

TEST_F(RouteTest, IsClosedForGood) {
  route_.Close();
  EXPECT_EQ(Run(Op::kAddresses).err, EBADF);
}

}  // namespace
}  // namespace ipvs
