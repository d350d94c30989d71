#include <arpa/inet.h>
#include <linux/genetlink.h>

#include <cstring>

#include "attributes.h"
#include "kernel.h"
#include "wire.h"

namespace ipvs {
namespace {

bool IsFamily(uint16_t family) { return family == AF_INET || family == AF_INET6; }

// The kernel sends sixteen bytes for either family; only the first four of IPv4's mean anything.
// False when there are too few, or the family is none we know.
bool TrimAddress(uint16_t family, size_t size, uint8_t (&address)[16]) {
  if (family == AF_INET) std::memset(address + 4, 0, sizeof(address) - 4);
  return (family == AF_INET && size > 0) || (family == AF_INET6 && size == sizeof(address));
}

void ReadStat(AttributeReader& attribute, StatsRecord* stats) {
  switch (attribute.type()) {
    case IPVS_STATS_ATTR_CONNS:
      stats->connections = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_INPKTS:
      stats->packets_in = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_OUTPKTS:
      stats->packets_out = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_INBYTES:
      stats->bytes_in = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_OUTBYTES:
      stats->bytes_out = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_CPS:
      stats->connection_rate = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_INPPS:
      stats->packet_in_rate = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_OUTPPS:
      stats->packet_out_rate = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_INBPS:
      stats->byte_in_rate = attribute.Counter();
      break;
    case IPVS_STATS_ATTR_OUTBPS:
      stats->byte_out_rate = attribute.Counter();
      break;
    default:
      break;
  }
}

// Takes STATS64 (since 4.1) whenever it is there, else STATS, whose counters wrap; in whichever
// order they come. They are half of what the kernel says of a row: one of the two is read, once.
class StatsReader {
 public:
  void Note(const AttributeReader& attribute, bool wide) {
    if (!wide && has_wide_) return;
    found_ = attribute.value();
    has_wide_ = wide;
  }

  bool Finish(StatsRecord* stats) const {
    AttributeReader reader(found_);
    while (reader.Next()) ReadStat(reader, stats);
    return reader.ok();
  }

 private:
  Bytes found_;
  bool has_wide_ = false;
};

class ServiceReader {
 public:
  explicit ServiceReader(ServiceRow* row) : row_(row) {}

  void Read(AttributeReader& attribute) {
    switch (attribute.type()) {
      case IPVS_SVC_ATTR_AF:
        row_->service.family = attribute.U16();
        break;
      case IPVS_SVC_ATTR_PROTOCOL:
        row_->service.protocol = attribute.U16();
        break;
      case IPVS_SVC_ATTR_ADDR:
        address_size_ = attribute.Address(row_->service.address);
        break;
      case IPVS_SVC_ATTR_PORT:
        row_->service.port = attribute.NetworkU16();
        break;
      case IPVS_SVC_ATTR_FWMARK:
        row_->service.fwmark = attribute.U32();
        break;
      case IPVS_SVC_ATTR_SCHED_NAME:
        attribute.Text(row_->settings.scheduler);
        break;
      case IPVS_SVC_ATTR_FLAGS:
        row_->settings.flags = attribute.Read<ip_vs_flags>().flags & ~uint32_t{IP_VS_SVC_F_HASHED};
        break;
      case IPVS_SVC_ATTR_TIMEOUT:
        row_->settings.timeout = attribute.U32();
        break;
      case IPVS_SVC_ATTR_NETMASK:
        row_->settings.netmask = attribute.U32();
        break;
      case IPVS_SVC_ATTR_PE_NAME:
        attribute.Text(row_->settings.engine);
        break;
      case IPVS_SVC_ATTR_STATS:
      case IPVS_SVC_ATTR_STATS64:
        stats_.Note(attribute, attribute.type() == IPVS_SVC_ATTR_STATS64);
        break;
      default:
        break;
    }
  }

  // What can only be said when all attributes were seen, as they may come in any order.
  bool Finish() {
    ServiceKey& key = row_->service;
    if (!stats_.Finish(&row_->stats)) return false;
    if (key.family == AF_INET) row_->settings.netmask = ntohl(row_->settings.netmask);
    if (key.fwmark == 0) return TrimAddress(key.family, address_size_, key.address);
    key = {key.family, 0, key.fwmark, {}, 0, 0};
    return IsFamily(key.family);
  }

 private:
  ServiceRow* row_;
  StatsReader stats_;
  size_t address_size_ = 0;
};

class DestinationReader {
 public:
  explicit DestinationReader(DestinationRow* row) : row_(row) {}

  void Read(AttributeReader& attribute) {
    DestinationSettings& destination = row_->destination;
    switch (attribute.type()) {
      case IPVS_DEST_ATTR_ADDR:
        address_size_ = attribute.Address(destination.address);
        break;
      case IPVS_DEST_ATTR_PORT:
        destination.port = attribute.NetworkU16();
        break;
      case IPVS_DEST_ATTR_ADDR_FAMILY:
        destination.family = attribute.U16();
        break;
      case IPVS_DEST_ATTR_FWD_METHOD:
        destination.forward = attribute.U32();
        break;
      case IPVS_DEST_ATTR_WEIGHT:
        destination.weight = attribute.U32();
        break;
      case IPVS_DEST_ATTR_U_THRESH:
        destination.upper_threshold = attribute.U32();
        break;
      case IPVS_DEST_ATTR_L_THRESH:
        destination.lower_threshold = attribute.U32();
        break;
      case IPVS_DEST_ATTR_ACTIVE_CONNS:
        row_->active_connections = attribute.U32();
        break;
      case IPVS_DEST_ATTR_INACT_CONNS:
        row_->inactive_connections = attribute.U32();
        break;
      case IPVS_DEST_ATTR_PERSIST_CONNS:
        row_->persistent_connections = attribute.U32();
        break;
      case IPVS_DEST_ATTR_STATS:
      case IPVS_DEST_ATTR_STATS64:
        stats_.Note(attribute, attribute.type() == IPVS_DEST_ATTR_STATS64);
        break;
      case kDestTunType:
        destination.tunnel_type = attribute.U8();
        break;
      case kDestTunPort:
        destination.tunnel_port = attribute.NetworkU16();
        break;
      case kDestTunFlags:
        destination.tunnel_flags = attribute.U16();
        break;
      default:
        break;
    }
  }

  bool Finish(uint16_t service_family, Detail detail) {
    DestinationSettings& destination = row_->destination;
    if (detail == Detail::kAll && !stats_.Finish(&row_->stats)) return false;
    if (destination.family == 0) destination.family = service_family;
    return TrimAddress(destination.family, address_size_, destination.address);
  }

 private:
  DestinationRow* row_;
  StatsReader stats_;
  size_t address_size_ = 0;
};

void ReadGroup(AttributeReader& attribute, uint16_t family, DaemonRecord* daemon) {
  daemon->group_family = family;
  const size_t size = attribute.Address(daemon->group);
  if (!TrimAddress(family, size, daemon->group)) attribute.Fail();
}

void ReadDaemonAttribute(AttributeReader& attribute, DaemonRecord* daemon) {
  switch (attribute.type()) {
    case IPVS_DAEMON_ATTR_STATE:
      daemon->state = attribute.U32();
      break;
    case IPVS_DAEMON_ATTR_MCAST_IFN:
      attribute.Text(daemon->interface);
      break;
    case IPVS_DAEMON_ATTR_SYNC_ID:
      daemon->sync_id = attribute.U32();
      break;
    case IPVS_DAEMON_ATTR_SYNC_MAXLEN:
      daemon->max_length = attribute.U16();
      daemon->has |= kDaemonHasMaxLength;
      break;
    case IPVS_DAEMON_ATTR_MCAST_GROUP:
      ReadGroup(attribute, AF_INET, daemon);
      break;
    case IPVS_DAEMON_ATTR_MCAST_GROUP6:
      ReadGroup(attribute, AF_INET6, daemon);
      break;
    case IPVS_DAEMON_ATTR_MCAST_PORT:
      daemon->port = attribute.U16();  // host order, unlike every other port
      daemon->has |= kDaemonHasPort;
      break;
    case IPVS_DAEMON_ATTR_MCAST_TTL:
      daemon->ttl = attribute.U8();
      daemon->has |= kDaemonHasTtl;
      break;
    default:
      break;
  }
}

// Calls `visit` on the attributes inside the top-level one of this type; false when it is missing
// or makes no sense.
template <typename Visit>
bool ReadInside(Bytes attributes, uint16_t type, Visit&& visit) {
  AttributeReader top(attributes);
  bool found = false;
  while (top.Next()) {
    if (top.type() != type || found) continue;
    found = true;
    top.Nested(visit);
  }
  return found && top.ok();
}

}  // namespace

bool ReadService(Bytes attributes, ServiceRow* row) {
  *row = {};
  ServiceReader reader(row);
  return ReadInside(attributes, IPVS_CMD_ATTR_SERVICE,
                    [&](AttributeReader& attribute) { reader.Read(attribute); }) &&
         reader.Finish();
}

bool ReadDestination(Bytes attributes, uint16_t family, DestinationRow* row, Detail detail) {
  *row = {};
  DestinationReader reader(row);
  return ReadInside(attributes, IPVS_CMD_ATTR_DEST,
                    [&](AttributeReader& attribute) { reader.Read(attribute); }) &&
         reader.Finish(family, detail);
}

bool ReadInfo(Bytes attributes, InfoRecord* info) {
  *info = {};
  AttributeReader reader(attributes);
  while (reader.Next()) {
    if (reader.type() == IPVS_INFO_ATTR_VERSION) info->version = reader.U32();
    if (reader.type() == IPVS_INFO_ATTR_CONN_TAB_SIZE) info->connection_table_size = reader.U32();
  }
  return reader.ok();
}

bool ReadTimeouts(Bytes attributes, TimeoutsRecord* timeouts) {
  *timeouts = {};
  AttributeReader reader(attributes);
  while (reader.Next()) {
    if (reader.type() == IPVS_CMD_ATTR_TIMEOUT_TCP) timeouts->tcp = reader.U32();
    if (reader.type() == IPVS_CMD_ATTR_TIMEOUT_TCP_FIN) timeouts->tcp_fin = reader.U32();
    if (reader.type() == IPVS_CMD_ATTR_TIMEOUT_UDP) timeouts->udp = reader.U32();
  }
  return reader.ok();
}

bool ReadDaemon(Bytes attributes, DaemonRecord* daemon) {
  *daemon = {};
  return ReadInside(attributes, IPVS_CMD_ATTR_DAEMON,
                    [&](AttributeReader& attribute) { ReadDaemonAttribute(attribute, daemon); });
}

bool ReadFamilyId(Bytes attributes, uint16_t* id) {
  *id = 0;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    if (reader.type() == CTRL_ATTR_FAMILY_ID) *id = reader.U16();
  }
  return reader.ok() && *id != 0;
}

}  // namespace ipvs
