#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <netlink/attr.h>

#include <cstring>

#include "kernel.h"
#include "wire.h"

namespace ipvs {
namespace {

bool Ends(const char (&name)[16]) { return std::memchr(name, 0, sizeof(name)) != nullptr; }

// An attribute of fixed size as it lies on the wire, padding included.
template <uint16_t kType, typename T>
class Fixed {
 public:
  explicit Fixed(const T& value) { std::memcpy(value_, &value, sizeof(T)); }

 private:
  nlattr header_ = {NLA_HDRLEN + sizeof(T), kType};
  uint8_t value_[NLA_ALIGN(sizeof(T))] = {};
};

template <uint16_t kType, typename T>
Fixed<kType, T> As(const T& value) {
  return Fixed<kType, T>(value);
}

// Attributes one after the other.
template <typename... Attributes>
class Group {
 public:
  static constexpr size_t kSize = (sizeof(Attributes) + ...);

  explicit Group(const Attributes&... attributes) {
    uint8_t* out = bytes_;
    ((std::memcpy(out, &attributes, sizeof(attributes)), out += sizeof(attributes)), ...);
  }

 private:
  uint8_t bytes_[kSize];
};

// An attribute that holds others.
template <uint16_t kType, typename... Attributes>
class Nest {
 public:
  explicit Nest(const Attributes&... attributes) : inside_(attributes...) {}

 private:
  nlattr header_ = {NLA_HDRLEN + Group<Attributes...>::kSize, NLA_F_NESTED | kType};
  Group<Attributes...> inside_;
};

template <uint16_t kType, typename... Attributes>
Nest<kType, Attributes...> In(const Attributes&... attributes) {
  return Nest<kType, Attributes...>(attributes...);
}

// Writes attributes into space that is reserved once: calling libnl for each takes several times as
// long, and a large apply writes a million of them.
template <typename... Attributes>
bool PutAll(nl_msg* message, const Attributes&... attributes) {
  constexpr size_t kSize = (sizeof(Attributes) + ...);
  auto* out = static_cast<uint8_t*>(nlmsg_reserve(message, kSize, NLMSG_ALIGNTO));
  if (out == nullptr) return false;
  ((std::memcpy(out, &attributes, sizeof(attributes)), out += sizeof(attributes)), ...);
  return true;
}

// Calls `put` with the attribute of an address: four bytes of IPv4, which the kernel pads.
template <uint16_t kType, typename Put>
bool WithAddress(uint16_t family, const uint8_t (&address)[16], Put&& put) {
  if (family != AF_INET) return put(As<kType>(address));
  uint8_t first[4];
  std::memcpy(first, address, sizeof(first));
  return put(As<kType>(first));
}

// Bounded by itself, not by the record's terminating NUL: the record may lie in memory that
// JavaScript can still write.
bool PutName(nl_msg* message, int type, const char (&name)[16]) {
  char copy[sizeof(name)];
  std::memcpy(copy, name, sizeof(copy));
  copy[sizeof(copy) - 1] = 0;
  return nla_put_string(message, type, copy) == 0;
}

template <typename Put>
bool PutNested(nl_msg* message, int type, Put&& put) {
  nlattr* nest = nla_nest_start(message, type);
  if (nest == nullptr || !put()) return false;
  nla_nest_end(message, nest);
  return true;
}

template <typename Address>
auto KeyOf(const ServiceKey& key, const Address& address) {
  return Group(As<IPVS_SVC_ATTR_AF>(key.family), As<IPVS_SVC_ATTR_PROTOCOL>(key.protocol), address,
               As<IPVS_SVC_ATTR_PORT>(htons(key.port)));
}

// An identity is a mark or an address, never both: the mere presence of FWMARK makes the kernel
// look for a mark.
bool PutKeyAttributes(nl_msg* message, const ServiceKey& key) {
  if (key.fwmark != 0) {
    return PutAll(message, As<IPVS_SVC_ATTR_AF>(key.family), As<IPVS_SVC_ATTR_FWMARK>(key.fwmark));
  }
  return WithAddress<IPVS_SVC_ATTR_ADDR>(key.family, key.address, [&](const auto& address) {
    return PutAll(message, KeyOf(key, address));
  });
}

// All but the engine are mandatory, persistent or not. An engine that is not sent is removed.
bool PutSettings(nl_msg* message, uint16_t family, const ServiceSettings& settings) {
  const ip_vs_flags flags = {settings.flags & ~static_cast<uint32_t>(IP_VS_SVC_F_HASHED), ~0u};
  const uint32_t netmask = family == AF_INET ? htonl(settings.netmask) : settings.netmask;
  return PutAll(message, As<IPVS_SVC_ATTR_FLAGS>(flags),
                As<IPVS_SVC_ATTR_TIMEOUT>(settings.timeout), As<IPVS_SVC_ATTR_NETMASK>(netmask)) &&
         PutName(message, IPVS_SVC_ATTR_SCHED_NAME, settings.scheduler) &&
         (settings.engine[0] == 0 || PutName(message, IPVS_SVC_ATTR_PE_NAME, settings.engine));
}

template <typename Address>
auto KeyOf(const DestinationSettings& destination, const Address& address) {
  return Group(address, As<IPVS_DEST_ATTR_PORT>(htons(destination.port)));
}

// The family goes with every command, deletes included, unless it is the service's: there the
// kernel looks when it is not told.
bool PutDestinationKey(nl_msg* message, uint16_t service_family,
                       const DestinationSettings& destination) {
  return WithAddress<IPVS_DEST_ATTR_ADDR>(
             destination.family, destination.address,
             [&](const auto& address) { return PutAll(message, KeyOf(destination, address)); }) &&
         (destination.family == service_family ||
          PutAll(message, As<IPVS_DEST_ATTR_ADDR_FAMILY>(destination.family)));
}

bool HasTunnel(const DestinationSettings& destination) {
  return destination.tunnel_type != 0 || destination.tunnel_port != 0 ||
         destination.tunnel_flags != 0;
}

// What is mandatory.
auto SettingsOf(const DestinationSettings& destination) {
  return Group(As<IPVS_DEST_ATTR_FWD_METHOD>(destination.forward),
               As<IPVS_DEST_ATTR_WEIGHT>(destination.weight),
               As<IPVS_DEST_ATTR_U_THRESH>(destination.upper_threshold),
               As<IPVS_DEST_ATTR_L_THRESH>(destination.lower_threshold));
}

// SET_DEST replaces everything: what is not sent becomes zero.
bool PutDestinationSettings(nl_msg* message, const DestinationSettings& destination) {
  return PutAll(message, SettingsOf(destination)) &&
         (!HasTunnel(destination) || PutAll(message, As<kDestTunType>(destination.tunnel_type),
                                            As<kDestTunPort>(htons(destination.tunnel_port)),
                                            As<kDestTunFlags>(destination.tunnel_flags)));
}

bool PutService(nl_msg* message, const ChangeRecord& change) {
  return PutNested(message, IPVS_CMD_ATTR_SERVICE, [&] {
    return PutKeyAttributes(message, change.service) &&
           (change.command == IPVS_CMD_DEL_SERVICE ||
            PutSettings(message, change.service.family, change.settings));
  });
}

// Most changes of a large apply: all of it at once.
bool PutPlainDestination(nl_msg* message, const ChangeRecord& change) {
  const ServiceKey& service = change.service;
  const DestinationSettings& destination = change.destination;
  return WithAddress<IPVS_SVC_ATTR_ADDR>(service.family, service.address, [&](const auto& front) {
    return WithAddress<IPVS_DEST_ATTR_ADDR>(
        destination.family, destination.address, [&](const auto& back) {
          return PutAll(message, In<IPVS_CMD_ATTR_SERVICE>(KeyOf(service, front)),
                        In<IPVS_CMD_ATTR_DEST>(KeyOf(destination, back), SettingsOf(destination)));
        });
  });
}

bool PutDestination(nl_msg* message, const ChangeRecord& change) {
  if (change.command != IPVS_CMD_DEL_DEST && change.service.fwmark == 0 &&
      change.destination.family == change.service.family && !HasTunnel(change.destination)) {
    return PutPlainDestination(message, change);
  }
  return PutServiceKey(message, change.service) && PutNested(message, IPVS_CMD_ATTR_DEST, [&] {
           return PutDestinationKey(message, change.service.family, change.destination) &&
                  (change.command == IPVS_CMD_DEL_DEST ||
                   PutDestinationSettings(message, change.destination));
         });
}

bool PutGroup(nl_msg* message, const DaemonRecord& daemon) {
  switch (daemon.group_family) {
    case AF_INET:
      return nla_put(message, IPVS_DAEMON_ATTR_MCAST_GROUP, 4, daemon.group) == 0;
    case AF_INET6:
      return PutAll(message, As<IPVS_DAEMON_ATTR_MCAST_GROUP6>(daemon.group));
    default:
      return true;
  }
}

}  // namespace

bool IsSendable(const ChangeRecord& change) {
  switch (change.command) {
    case IPVS_CMD_NEW_SERVICE:
    case IPVS_CMD_SET_SERVICE:
      return Ends(change.settings.scheduler) && Ends(change.settings.engine);
    case IPVS_CMD_DEL_SERVICE:
    case IPVS_CMD_NEW_DEST:
    case IPVS_CMD_SET_DEST:
    case IPVS_CMD_DEL_DEST:
      return true;
    default:
      return false;
  }
}

bool IsSendable(const DaemonRecord& daemon) { return Ends(daemon.interface); }

bool PutServiceKey(nl_msg* message, const ServiceKey& key) {
  return PutNested(message, IPVS_CMD_ATTR_SERVICE, [&] { return PutKeyAttributes(message, key); });
}

bool PutChange(nl_msg* message, const ChangeRecord& change) {
  return change.command < IPVS_CMD_NEW_DEST ? PutService(message, change)
                                            : PutDestination(message, change);
}

bool PutTimeouts(nl_msg* message, const TimeoutsRecord& timeouts) {
  const auto put = [&](int type, uint32_t value) {
    return value == 0 || nla_put_u32(message, type, value) == 0;
  };
  return put(IPVS_CMD_ATTR_TIMEOUT_TCP, timeouts.tcp) &&
         put(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, timeouts.tcp_fin) &&
         put(IPVS_CMD_ATTR_TIMEOUT_UDP, timeouts.udp);
}

bool PutDaemon(nl_msg* message, const DaemonRecord& daemon) {
  return PutNested(message, IPVS_CMD_ATTR_DAEMON, [&] {
    return PutAll(message, As<IPVS_DAEMON_ATTR_STATE>(daemon.state)) &&
           PutName(message, IPVS_DAEMON_ATTR_MCAST_IFN, daemon.interface) &&
           PutAll(message, As<IPVS_DAEMON_ATTR_SYNC_ID>(daemon.sync_id)) &&
           PutGroup(message, daemon) &&
           (!(daemon.has & kDaemonHasMaxLength) ||
            PutAll(message, As<IPVS_DAEMON_ATTR_SYNC_MAXLEN>(daemon.max_length))) &&
           // The one port of IPVS in host order.
           (!(daemon.has & kDaemonHasPort) ||
            PutAll(message, As<IPVS_DAEMON_ATTR_MCAST_PORT>(daemon.port))) &&
           (!(daemon.has & kDaemonHasTtl) ||
            PutAll(message, As<IPVS_DAEMON_ATTR_MCAST_TTL>(daemon.ttl)));
  });
}

bool PutDaemonState(nl_msg* message, const DaemonRecord& daemon) {
  return PutNested(message, IPVS_CMD_ATTR_DAEMON,
                   [&] { return PutAll(message, As<IPVS_DAEMON_ATTR_STATE>(daemon.state)); });
}

bool PutFamilyName(nl_msg* message, const char* name) {
  return nla_put_string(message, CTRL_ATTR_FAMILY_NAME, name) == 0;
}

}  // namespace ipvs
