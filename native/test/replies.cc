#include "replies.h"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include <cstdio>
#include <cstring>

namespace ipvs {
namespace {

template <typename T>
void Append(std::vector<uint8_t>* out, const T& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out->insert(out->end(), bytes, bytes + sizeof(value));
}

std::vector<uint8_t> WithHeader(uint16_t type, uint16_t flags, uint32_t sequence,
                                const std::vector<uint8_t>& payload) {
  nlmsghdr header = {};
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + payload.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = sequence;
  header.nlmsg_pid = 4711;
  std::vector<uint8_t> message;
  Append(&message, header);
  message.insert(message.end(), payload.begin(), payload.end());
  return message;
}

// The 32-bit set carries the low halves, as the kernel's does, so a test sees which set was read.
Attributes Stats(const StatsRecord& stats, bool wide) {
  Attributes attributes;
  const auto put = [&](uint16_t type, uint64_t value, bool always_wide = false) {
    if (wide || always_wide) {
      attributes.U64(type, value);
    } else {
      attributes.U32(type, static_cast<uint32_t>(value));
    }
  };
  put(IPVS_STATS_ATTR_CONNS, stats.connections);
  put(IPVS_STATS_ATTR_INPKTS, stats.packets_in);
  put(IPVS_STATS_ATTR_OUTPKTS, stats.packets_out);
  put(IPVS_STATS_ATTR_INBYTES, stats.bytes_in, true);
  put(IPVS_STATS_ATTR_OUTBYTES, stats.bytes_out, true);
  put(IPVS_STATS_ATTR_CPS, stats.connection_rate);
  put(IPVS_STATS_ATTR_INPPS, stats.packet_in_rate);
  put(IPVS_STATS_ATTR_OUTPPS, stats.packet_out_rate);
  put(IPVS_STATS_ATTR_INBPS, stats.byte_in_rate);
  put(IPVS_STATS_ATTR_OUTBPS, stats.byte_out_rate);
  attributes.Raw(IPVS_STATS_ATTR_PAD, "", 0);
  return attributes;
}

StatsRecord SampleStats(uint32_t number) {
  const uint64_t big = (uint64_t{number} << 32) + 1000;
  return {big, big + 1, big + 2, big + 3, big + 4, big + 5, big + 6, big + 7, big + 8, big + 9};
}

}  // namespace

Attributes& Attributes::Raw(uint16_t type, const void* data, size_t size) {
  const nlattr header = {static_cast<uint16_t>(NLA_HDRLEN + size), type};
  Append(&bytes_, header);
  const auto* bytes = static_cast<const uint8_t*>(data);
  bytes_.insert(bytes_.end(), bytes, bytes + size);
  bytes_.resize(NLA_ALIGN(bytes_.size()));
  return *this;
}

Attributes ServiceReply(const ServiceRow& row) {
  const ServiceKey& key = row.service;
  const ServiceSettings& settings = row.settings;
  Attributes service;
  service.U16(IPVS_SVC_ATTR_AF, key.family);
  if (key.fwmark != 0) {
    service.U32(IPVS_SVC_ATTR_FWMARK, key.fwmark);
  } else {
    service.U16(IPVS_SVC_ATTR_PROTOCOL, key.protocol)
        .Raw(IPVS_SVC_ATTR_ADDR, key.address, 16)
        .U16(IPVS_SVC_ATTR_PORT, htons(key.port));
  }
  const ip_vs_flags flags = {settings.flags | IP_VS_SVC_F_HASHED, ~0u};
  service.Text(IPVS_SVC_ATTR_SCHED_NAME, settings.scheduler);
  if (settings.engine[0] != 0) service.Text(IPVS_SVC_ATTR_PE_NAME, settings.engine);
  service.Raw(IPVS_SVC_ATTR_FLAGS, &flags, sizeof(flags))
      .U32(IPVS_SVC_ATTR_TIMEOUT, settings.timeout)
      .U32(IPVS_SVC_ATTR_NETMASK,
           key.family == AF_INET ? htonl(settings.netmask) : settings.netmask)
      .Nest(IPVS_SVC_ATTR_STATS, Stats(row.stats, false))
      .Nest(IPVS_SVC_ATTR_STATS64, Stats(row.stats, true));
  return Attributes().Nest(IPVS_CMD_ATTR_SERVICE, service);
}

Attributes DestinationReply(const DestinationRow& row) {
  const DestinationSettings& settings = row.destination;
  Attributes destination;
  destination.Raw(IPVS_DEST_ATTR_ADDR, settings.address, 16)
      .U16(IPVS_DEST_ATTR_PORT, htons(settings.port))
      .U32(IPVS_DEST_ATTR_FWD_METHOD, settings.forward)
      .U32(IPVS_DEST_ATTR_WEIGHT, settings.weight)
      .U32(IPVS_DEST_ATTR_U_THRESH, settings.upper_threshold)
      .U32(IPVS_DEST_ATTR_L_THRESH, settings.lower_threshold)
      .U32(IPVS_DEST_ATTR_ACTIVE_CONNS, row.active_connections)
      .U32(IPVS_DEST_ATTR_INACT_CONNS, row.inactive_connections)
      .U32(IPVS_DEST_ATTR_PERSIST_CONNS, row.persistent_connections)
      .U16(IPVS_DEST_ATTR_ADDR_FAMILY, settings.family)
      .U8(13, settings.tunnel_type)
      .U16(14, htons(settings.tunnel_port))
      .U16(15, settings.tunnel_flags)
      .Nest(IPVS_DEST_ATTR_STATS, Stats(row.stats, false))
      .Nest(IPVS_DEST_ATTR_STATS64, Stats(row.stats, true));
  return Attributes().Nest(IPVS_CMD_ATTR_DEST, destination);
}

Attributes DaemonReply(const DaemonRecord& record) {
  Attributes daemon;
  daemon.U32(IPVS_DAEMON_ATTR_STATE, record.state)
      .Text(IPVS_DAEMON_ATTR_MCAST_IFN, record.interface)
      .U32(IPVS_DAEMON_ATTR_SYNC_ID, record.sync_id)
      .U16(IPVS_DAEMON_ATTR_SYNC_MAXLEN, record.max_length)
      .U16(IPVS_DAEMON_ATTR_MCAST_PORT, record.port)
      .U8(IPVS_DAEMON_ATTR_MCAST_TTL, record.ttl);
  if (record.group_family == AF_INET) daemon.Raw(IPVS_DAEMON_ATTR_MCAST_GROUP, record.group, 4);
  if (record.group_family == AF_INET6) daemon.Raw(IPVS_DAEMON_ATTR_MCAST_GROUP6, record.group, 16);
  return Attributes().Nest(IPVS_CMD_ATTR_DAEMON, daemon);
}

Attributes InfoReply(const InfoRecord& info) {
  return Attributes()
      .U32(IPVS_INFO_ATTR_VERSION, info.version)
      .U32(IPVS_INFO_ATTR_CONN_TAB_SIZE, info.connection_table_size);
}

Attributes TimeoutsReply(const TimeoutsRecord& timeouts) {
  return Attributes()
      .U32(IPVS_CMD_ATTR_TIMEOUT_TCP, timeouts.tcp)
      .U32(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, timeouts.tcp_fin)
      .U32(IPVS_CMD_ATTR_TIMEOUT_UDP, timeouts.udp);
}

Attributes FamilyReply(uint16_t id) {
  return Attributes()
      .Text(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME)
      .U16(CTRL_ATTR_FAMILY_ID, id)
      .U32(CTRL_ATTR_VERSION, 1);
}

std::vector<uint8_t> Data(uint16_t type, uint32_t sequence, uint8_t command, bool multi,
                          const Attributes& attributes) {
  std::vector<uint8_t> payload;
  const genlmsghdr header = {command, 1, 0};
  Append(&payload, header);
  payload.insert(payload.end(), attributes.bytes().begin(), attributes.bytes().end());
  return WithHeader(type, multi ? NLM_F_MULTI : 0, sequence, payload);
}

std::vector<uint8_t> Answer(uint32_t sequence, int32_t err) {
  constexpr uint16_t kCapped = 0x100;
  nlmsgerr answer = {};
  answer.error = -err;
  std::vector<uint8_t> payload;
  Append(&payload, answer);
  return WithHeader(NLMSG_ERROR, kCapped, sequence, payload);
}

std::vector<uint8_t> Done(uint32_t sequence, int32_t err) {
  std::vector<uint8_t> payload;
  Append(&payload, -err);
  return WithHeader(NLMSG_DONE, NLM_F_MULTI, sequence, payload);
}

ServiceRow SampleService(uint32_t number) {
  ServiceRow row = {};
  row.stats = SampleStats(number);
  row.service.family = number % 2 == 0 ? AF_INET : AF_INET6;
  if (number % 5 == 4) {
    row.service.fwmark = number;
  } else {
    row.service.protocol = IPPROTO_TCP;
    row.service.port = static_cast<uint16_t>(number);
    std::memcpy(row.service.address, &number, sizeof(number));
    if (row.service.family == AF_INET6) row.service.address[15] = 1;
  }
  row.settings.flags = IP_VS_SVC_F_PERSISTENT;
  row.settings.timeout = 300 + number;
  row.settings.netmask = row.service.family == AF_INET ? 0xffffff00 : 64;
  std::snprintf(row.settings.scheduler, sizeof(row.settings.scheduler), "wlc");
  if (number % 3 == 0) std::snprintf(row.settings.engine, sizeof(row.settings.engine), "sip");
  return row;
}

DestinationRow SampleDestination(uint32_t number) {
  DestinationRow row = {};
  row.stats = SampleStats(number);
  row.destination.family = number % 2 == 0 ? AF_INET : AF_INET6;
  std::memcpy(row.destination.address, &number, sizeof(number));
  if (row.destination.family == AF_INET6) row.destination.address[15] = 1;
  row.destination.port = static_cast<uint16_t>(8000 + number);
  row.destination.forward = IP_VS_CONN_F_TUNNEL;
  row.destination.weight = number;
  row.destination.upper_threshold = 100;
  row.destination.lower_threshold = 50;
  row.destination.tunnel_type = 1;
  row.destination.tunnel_port = 6080;
  row.destination.tunnel_flags = 1;
  row.active_connections = 10 + number;
  row.inactive_connections = 20 + number;
  row.persistent_connections = 30 + number;
  return row;
}

DaemonRecord SampleDaemon() {
  DaemonRecord daemon = {};
  daemon.state = IP_VS_STATE_MASTER;
  daemon.sync_id = 5;
  daemon.has = kDaemonHasMaxLength | kDaemonHasPort | kDaemonHasTtl;
  daemon.group_family = AF_INET;
  daemon.max_length = 1400;
  daemon.port = 8848;
  daemon.ttl = 3;
  const uint8_t group[] = {239, 1, 1, 1};
  std::memcpy(daemon.group, group, sizeof(group));
  std::snprintf(daemon.interface, sizeof(daemon.interface), "eth0");
  return daemon;
}

}  // namespace ipvs
