#include "wire.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "attributes.h"
#include "outbox.h"
#include "replies.h"

namespace ipvs {
namespace {

// The attributes that `put` writes.
std::vector<uint8_t> Encode(const std::function<bool(nl_msg*)>& put) {
  Outbox outbox;
  EXPECT_TRUE(outbox.Add(20, 1, 5, 99, put));
  const Bytes bytes = outbox.bytes().subspan(NLMSG_HDRLEN + GENL_HDRLEN);
  return {bytes.begin(), bytes.end()};
}

std::vector<uint8_t> EncodeChange(const ChangeRecord& change) {
  return Encode([&](nl_msg* message) { return PutChange(message, change); });
}

// The attributes inside the top-level one of this type, each as raw bytes.
std::map<int, std::string> Inside(const std::vector<uint8_t>& attributes, uint16_t type) {
  std::map<int, std::string> found;
  AttributeReader top(attributes);
  while (top.Next()) {
    if (top.type() != type) continue;
    top.Nested([&](AttributeReader& inner) {
      const Bytes value = inner.value();
      found[inner.type()] = std::string(value.begin(), value.end());
    });
  }
  EXPECT_TRUE(top.ok());
  return found;
}

template <typename T>
std::string Raw(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

ChangeRecord ServiceChange(uint32_t command, const ServiceRow& row) {
  ChangeRecord change = {};
  change.command = command;
  change.service = row.service;
  change.settings = row.settings;
  return change;
}

ChangeRecord DestinationChange(uint32_t command, const ServiceRow& service,
                               const DestinationRow& row) {
  ChangeRecord change = {};
  change.command = command;
  change.service = service.service;
  change.destination = row.destination;
  return change;
}

TEST(PutChange, WritesAServiceAsTheKernelWantsIt) {
  ServiceRow row = SampleService(0);
  row.service.port = 80;
  row.settings.flags = 0x5 | IP_VS_SVC_F_HASHED;
  const auto service =
      Inside(EncodeChange(ServiceChange(IPVS_CMD_NEW_SERVICE, row)), IPVS_CMD_ATTR_SERVICE);
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_AF), Raw<uint16_t>(AF_INET));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_PROTOCOL), Raw<uint16_t>(IPPROTO_TCP));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_ADDR), Raw(row.service.address).substr(0, 4));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_PORT), std::string("\0\x50", 2));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_SCHED_NAME), std::string("wlc\0", 4));
  // HASHED is the kernel's own; the mask says that every other bit is meant.
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_FLAGS), Raw<uint32_t>(0x5) + Raw<uint32_t>(~0u));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_TIMEOUT), Raw<uint32_t>(300));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_NETMASK), std::string("\xff\xff\xff\0", 4));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_PE_NAME), std::string("sip\0", 4));
  EXPECT_EQ(service.count(IPVS_SVC_ATTR_FWMARK), 0u);
}

TEST(PutChange, WritesTheNetmaskOfIpv6AsAPrefixLength) {
  const ServiceRow row = SampleService(1);
  const auto service =
      Inside(EncodeChange(ServiceChange(IPVS_CMD_SET_SERVICE, row)), IPVS_CMD_ATTR_SERVICE);
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_NETMASK), Raw<uint32_t>(64));
  EXPECT_EQ(service.count(IPVS_SVC_ATTR_PE_NAME), 0u);
}

TEST(PutChange, WritesAMarkWithoutAnAddressAndNothingElseForADelete) {
  const ServiceRow row = SampleService(4);
  const auto service =
      Inside(EncodeChange(ServiceChange(IPVS_CMD_DEL_SERVICE, row)), IPVS_CMD_ATTR_SERVICE);
  EXPECT_EQ(service.size(), 2u);
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_AF), Raw<uint16_t>(AF_INET));
  EXPECT_EQ(service.at(IPVS_SVC_ATTR_FWMARK), Raw<uint32_t>(4));
}

TEST(PutChange, WritesEverythingOfADestination) {
  const auto attributes =
      EncodeChange(DestinationChange(IPVS_CMD_SET_DEST, SampleService(2), SampleDestination(3)));
  const auto destination = Inside(attributes, IPVS_CMD_ATTR_DEST);
  EXPECT_EQ(destination.size(), 10u);
  EXPECT_EQ(destination.at(IPVS_DEST_ATTR_PORT), Raw<uint16_t>(htons(8003)));
  EXPECT_EQ(destination.at(IPVS_DEST_ATTR_ADDR_FAMILY), Raw<uint16_t>(AF_INET6));
  EXPECT_EQ(destination.at(IPVS_DEST_ATTR_FWD_METHOD), Raw<uint32_t>(2));
  EXPECT_EQ(destination.at(13), Raw<uint8_t>(1));
  EXPECT_EQ(destination.at(14), Raw<uint16_t>(htons(6080)));
  EXPECT_EQ(destination.at(15), Raw<uint16_t>(1));
  EXPECT_EQ(Inside(attributes, IPVS_CMD_ATTR_SERVICE).size(), 4u);
}

TEST(PutChange, LeavesOutOfADestinationWhatTheKernelTakesFromItsService) {
  const ServiceRow service = SampleService(0);
  DestinationRow row = SampleDestination(3);
  row.destination.family = service.service.family;
  row.destination.tunnel_type = 0;
  row.destination.tunnel_port = 0;
  row.destination.tunnel_flags = 0;
  const auto destination =
      Inside(EncodeChange(DestinationChange(IPVS_CMD_SET_DEST, service, row)), IPVS_CMD_ATTR_DEST);
  EXPECT_EQ(destination.size(), 6u);
  EXPECT_EQ(destination.at(IPVS_DEST_ATTR_ADDR), Raw(row.destination.address).substr(0, 4));
  EXPECT_EQ(destination.count(IPVS_DEST_ATTR_ADDR_FAMILY), 0u);
}

TEST(PutChange, WritesATunnelOfTheFirstTypeThatHasFlags) {
  DestinationRow row = SampleDestination(3);
  row.destination.tunnel_type = 0;
  row.destination.tunnel_port = 0;
  row.destination.tunnel_flags = 2;
  const auto destination =
      Inside(EncodeChange(DestinationChange(IPVS_CMD_NEW_DEST, SampleService(0), row)),
             IPVS_CMD_ATTR_DEST);
  EXPECT_EQ(destination.at(13), Raw<uint8_t>(0));
  EXPECT_EQ(destination.at(15), Raw<uint16_t>(2));
}

TEST(PutChange, NamesTheFamilyOfADestinationToDelete) {
  const auto destination = Inside(
      EncodeChange(DestinationChange(IPVS_CMD_DEL_DEST, SampleService(2), SampleDestination(3))),
      IPVS_CMD_ATTR_DEST);
  EXPECT_EQ(destination.size(), 3u);
  EXPECT_EQ(destination.at(IPVS_DEST_ATTR_ADDR_FAMILY), Raw<uint16_t>(AF_INET6));
}

TEST(PutTimeouts, LeavesOutWhatIsToStay) {
  const auto attributes = Encode([](nl_msg* message) {
    return PutTimeouts(message, TimeoutsRecord{.tcp = 900, .tcp_fin = 0, .udp = 0});
  });
  EXPECT_EQ(attributes, Attributes().U32(IPVS_CMD_ATTR_TIMEOUT_TCP, 900).bytes());
}

TEST(PutDaemon, WritesThePortInHostOrderAndOnlyWhatWasGiven) {
  DaemonRecord daemon = SampleDaemon();
  auto put = [&](nl_msg* message) { return PutDaemon(message, daemon); };
  auto written = Inside(Encode(put), IPVS_CMD_ATTR_DAEMON);
  EXPECT_EQ(written.at(IPVS_DAEMON_ATTR_MCAST_PORT), Raw<uint16_t>(8848));
  EXPECT_EQ(written.at(IPVS_DAEMON_ATTR_MCAST_GROUP), std::string("\xef\x01\x01\x01", 4));
  EXPECT_EQ(written.at(IPVS_DAEMON_ATTR_MCAST_IFN), std::string("eth0\0", 5));
  daemon.has = 0;
  daemon.group_family = 0;
  EXPECT_EQ(Inside(Encode(put), IPVS_CMD_ATTR_DAEMON).size(), 3u);
  daemon.group_family = AF_INET6;
  EXPECT_EQ(Inside(Encode(put), IPVS_CMD_ATTR_DAEMON).at(IPVS_DAEMON_ATTR_MCAST_GROUP6).size(),
            16u);
}

TEST(IsSendable, RefusesUnknownCommandsAndNamesWithoutAnEnd) {
  ChangeRecord change = ServiceChange(IPVS_CMD_NEW_SERVICE, SampleService(0));
  EXPECT_TRUE(IsSendable(change));
  std::memset(change.settings.engine, 'x', 16);
  EXPECT_FALSE(IsSendable(change));
  change.command = IPVS_CMD_DEL_SERVICE;
  EXPECT_TRUE(IsSendable(change));
  for (const uint32_t command :
       {IPVS_CMD_UNSPEC, IPVS_CMD_GET_SERVICE, IPVS_CMD_GET_DEST, IPVS_CMD_FLUSH}) {
    change.command = command;
    EXPECT_FALSE(IsSendable(change)) << command;
  }
  change.command = 256 + IPVS_CMD_NEW_DEST;
  EXPECT_FALSE(IsSendable(change));
  DaemonRecord daemon = SampleDaemon();
  EXPECT_TRUE(IsSendable(daemon));
  std::memset(daemon.interface, 'x', sizeof(daemon.interface));
  EXPECT_FALSE(IsSendable(daemon));
}

TEST(ReadService, ReadsBackWhatTheKernelSays) {
  for (uint32_t number = 0; number < 10; number++) {
    const ServiceRow row = SampleService(number);
    ServiceRow read;
    ASSERT_TRUE(ReadService(ServiceReply(row).bytes(), &read));
    EXPECT_EQ(Raw(read), Raw(row)) << number;
  }
}

TEST(ReadService, ReadsWhatWeWriteOurselves) {
  const ServiceRow row = SampleService(3);
  ServiceRow read;
  ASSERT_TRUE(ReadService(EncodeChange(ServiceChange(IPVS_CMD_NEW_SERVICE, row)), &read));
  EXPECT_EQ(Raw(read.service), Raw(row.service));
  EXPECT_EQ(Raw(read.settings), Raw(row.settings));
}

TEST(ReadService, PrefersTheWideCountersInEitherOrder) {
  const Attributes key = Attributes().U16(IPVS_SVC_ATTR_AF, AF_INET).U32(IPVS_SVC_ATTR_FWMARK, 1);
  const Attributes narrow = Attributes().U32(IPVS_STATS_ATTR_CONNS, 7);
  const Attributes wide = Attributes().U64(IPVS_STATS_ATTR_CONNS, (uint64_t{1} << 32) + 7);
  const auto connections = [&](Attributes service) {
    ServiceRow row;
    EXPECT_TRUE(ReadService(Attributes().Nest(IPVS_CMD_ATTR_SERVICE, service).bytes(), &row));
    return row.stats.connections;
  };
  EXPECT_EQ(connections(Attributes(key)), 0u);
  EXPECT_EQ(connections(Attributes(key).Nest(IPVS_SVC_ATTR_STATS, narrow)), 7u);
  EXPECT_EQ(
      connections(
          Attributes(key).Nest(IPVS_SVC_ATTR_STATS64, wide).Nest(IPVS_SVC_ATTR_STATS, narrow)),
      (uint64_t{1} << 32) + 7);
}

TEST(ReadService, ToleratesWhatItDoesNotKnow) {
  const Attributes service = Attributes()
                                 .U16(IPVS_SVC_ATTR_AF, AF_INET)
                                 .U32(IPVS_SVC_ATTR_FWMARK, 1)
                                 .U32(99, 5)
                                 .Raw(0x3fff, "xyz", 3)
                                 .Text(IPVS_SVC_ATTR_SCHED_NAME, "a-scheduler-with-a-long-name");
  ServiceRow row;
  ASSERT_TRUE(
      ReadService(Attributes().U32(77, 1).Nest(IPVS_CMD_ATTR_SERVICE, service).bytes(), &row));
  EXPECT_STREQ(row.settings.scheduler, "a-scheduler-wit");
}

TEST(ReadService, RefusesAKeyThatIsNone) {
  const auto refuses = [](const Attributes& service) {
    ServiceRow row;
    return !ReadService(Attributes().Nest(IPVS_CMD_ATTR_SERVICE, service).bytes(), &row);
  };
  const uint8_t address[16] = {1};
  EXPECT_TRUE(refuses(Attributes()));
  EXPECT_TRUE(refuses(Attributes().U16(IPVS_SVC_ATTR_AF, AF_INET)));
  EXPECT_TRUE(refuses(Attributes().U32(IPVS_SVC_ATTR_FWMARK, 1)));
  EXPECT_TRUE(refuses(Attributes().U16(IPVS_SVC_ATTR_AF, 3).U32(IPVS_SVC_ATTR_FWMARK, 1)));
  EXPECT_TRUE(
      refuses(Attributes().U16(IPVS_SVC_ATTR_AF, AF_INET6).Raw(IPVS_SVC_ATTR_ADDR, address, 4)));
  EXPECT_FALSE(
      refuses(Attributes().U16(IPVS_SVC_ATTR_AF, AF_INET).Raw(IPVS_SVC_ATTR_ADDR, address, 4)));
  ServiceRow row;
  EXPECT_FALSE(ReadService({}, &row));
}

TEST(ReadDestination, ReadsBackWhatTheKernelSays) {
  for (uint32_t number = 0; number < 4; number++) {
    const DestinationRow row = SampleDestination(number);
    DestinationRow read;
    ASSERT_TRUE(ReadDestination(DestinationReply(row).bytes(), AF_INET, &read));
    EXPECT_EQ(Raw(read), Raw(row)) << number;
  }
}

TEST(ReadDestination, LeavesCountersOutWhereSettingsAreAllThatIsAsked) {
  DestinationRow row = SampleDestination(1);
  ASSERT_NE(Raw(row.stats), Raw(StatsRecord{}));
  DestinationRow read;
  ASSERT_TRUE(ReadDestination(DestinationReply(row).bytes(), AF_INET, &read, Detail::kSettings));
  row.stats = {};
  EXPECT_EQ(Raw(read), Raw(row));
}

TEST(ReadDestination, RefusesCountersThatMakeNoSense) {
  const uint8_t address[16] = {1, 2, 3, 4};
  const uint8_t torn[] = {9, 0, 1, 0, 7};
  const Attributes destination = Attributes()
                                     .Raw(IPVS_DEST_ATTR_ADDR, address, sizeof(address))
                                     .Raw(IPVS_DEST_ATTR_STATS64, torn, sizeof(torn));
  const Attributes attributes = Attributes().Nest(IPVS_CMD_ATTR_DEST, destination);
  DestinationRow row;
  EXPECT_FALSE(ReadDestination(attributes.bytes(), AF_INET, &row));
  EXPECT_TRUE(ReadDestination(attributes.bytes(), AF_INET, &row, Detail::kSettings));
}

TEST(ReadDestination, TakesTheFamilyOfTheServiceWhenThereIsNone) {
  const uint8_t address[16] = {1, 2, 3, 4, 5};
  const Attributes attributes = Attributes().Nest(
      IPVS_CMD_ATTR_DEST, Attributes().Raw(IPVS_DEST_ATTR_ADDR, address, sizeof(address)));
  DestinationRow row;
  ASSERT_TRUE(ReadDestination(attributes.bytes(), AF_INET6, &row));
  EXPECT_EQ(row.destination.family, AF_INET6);
  EXPECT_EQ(row.destination.address[4], 5);
  ASSERT_TRUE(ReadDestination(attributes.bytes(), AF_INET, &row));
  EXPECT_EQ(row.destination.address[4], 0);
  EXPECT_FALSE(ReadDestination(attributes.bytes(), 0, &row));
}

TEST(ReadDaemon, ReadsBackWhatTheKernelSays) {
  DaemonRecord daemon = SampleDaemon();
  DaemonRecord read;
  ASSERT_TRUE(ReadDaemon(DaemonReply(daemon).bytes(), &read));
  EXPECT_EQ(Raw(read), Raw(daemon));
  daemon.group_family = AF_INET6;
  daemon.group[15] = 9;
  ASSERT_TRUE(ReadDaemon(DaemonReply(daemon).bytes(), &read));
  EXPECT_EQ(Raw(read), Raw(daemon));
  const Attributes old = Attributes().U32(IPVS_DAEMON_ATTR_STATE, 2);
  ASSERT_TRUE(ReadDaemon(Attributes().Nest(IPVS_CMD_ATTR_DAEMON, old).bytes(), &read));
  EXPECT_EQ(read.has, 0u);
  EXPECT_EQ(read.group_family, 0);
}

TEST(ReadOthers, ReadBackWhatTheKernelSays) {
  InfoRecord info;
  ASSERT_TRUE(ReadInfo(InfoReply({0x010201, 4096}).bytes(), &info));
  EXPECT_EQ(info.version, 0x010201u);
  EXPECT_EQ(info.connection_table_size, 4096u);
  TimeoutsRecord timeouts;
  ASSERT_TRUE(ReadTimeouts(TimeoutsReply({900, 120, 300}).bytes(), &timeouts));
  EXPECT_EQ(timeouts.tcp_fin, 120u);
  uint16_t id;
  ASSERT_TRUE(ReadFamilyId(FamilyReply(31).bytes(), &id));
  EXPECT_EQ(id, 31);
  EXPECT_FALSE(ReadFamilyId(FamilyReply(0).bytes(), &id));
  EXPECT_FALSE(ReadInfo(Attributes().U16(IPVS_INFO_ATTR_VERSION, 1).bytes(), &info));
}

}  // namespace
}  // namespace ipvs
