// The packed records that cross the border between JavaScript and C++.
//
// JavaScript's side of the same layout is lib/layout.ts; a test compares the two through Layout()
// in records.cc. Everything is in host byte order except addresses, which are network order, IPv4
// in the first four bytes and the rest zero. Ports and netmasks are plain numbers: the netlink
// quirks of byte order end in wire.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ipvs {

// What is read of a destination: all of it, or without its counters, which are half of it.
enum class Detail { kAll, kSettings };

// What a call asks for. The request and the reply of each are arrays of the records named here.
enum class Op : uint32_t {
  kApply = 1,         // ChangeRecord[] -> int32_t[]: in order, 0, an errno or kNotTried
  kServices = 2,      // nothing -> ServiceRow[]
  kService = 3,       // ChangeRecord (key) -> ServiceRow[], 0 or 1
  kDestinations = 4,  // ChangeRecord[] (keys) -> DestinationRow[], each with the index of its key
  kInfo = 5,          // nothing -> InfoRecord
  kTimeouts = 6,      // nothing -> TimeoutsRecord
  kSetTimeouts = 7,   // TimeoutsRecord, 0 keeps -> nothing
  kZero = 8,          // nothing or one ChangeRecord (key) -> nothing
  kFlush = 9,         // nothing -> nothing
  kDaemons = 10,      // nothing -> DaemonRecord[]
  kStartDaemon = 11,  // DaemonRecord -> nothing
  kStopDaemon = 12,   // DaemonRecord (state) -> nothing
  kApplyUntilError = 13,      // as kApply, but nothing after the first failure is sent
  kDestinationSettings = 14,  // as kDestinations, but with counters of zero
  // Of network devices, on a handle of openRoute; route_records.h has the records.
  kLinks = 64,            // nothing -> LinkRecord[]
  kAddresses = 65,        // nothing -> AddressRecord[]
  kChangeAddresses = 66,  // AddressChange[] -> int32_t[]: as kApply
  kAddDummy = 67,         // LinkRecord (name) -> nothing
  kDeleteLink = 68,       // LinkRecord (index) -> nothing
  // Of iptables-legacy, on a handle of openRules.
  kLegacyRules = 72,  // uint32_t, AF_INET or AF_INET6 -> bytes to compare with those of before
  // Of ip sets, on a handle of openSets; set_records.h has the records.
  kSets = 80,  // SetName[] -> SetRecord of each that exists, followed by its EntryRecord[]
};

constexpr int32_t kNotTried = -1;

// Settings of a service. `flags` are IP_VS_SVC_F_* without HASHED. `netmask`: IPv4 mask as a number
// (255.255.255.0 = 0xffffff00), IPv6 prefix length. Names are NUL-terminated; an empty engine is
// none.
struct ServiceSettings {
  uint32_t flags;
  uint32_t timeout;
  uint32_t netmask;
  char scheduler[16];
  char engine[16];
};

// A destination: key and settings. `family` is AF_INET or AF_INET6.
struct DestinationSettings {
  uint8_t address[16];
  uint16_t family;
  uint16_t port;
  uint32_t forward;
  uint32_t weight;
  uint32_t upper_threshold;
  uint32_t lower_threshold;
  uint8_t tunnel_type;
  uint8_t reserved;
  uint16_t tunnel_port;
  uint16_t tunnel_flags;
  uint16_t reserved2;
};

// Identity of a service. fwmark != 0 makes it a firewall-mark service; protocol, address and port
// are then 0.
struct ServiceKey {
  uint16_t family;
  uint16_t protocol;
  uint32_t fwmark;
  uint8_t address[16];
  uint16_t port;
  uint16_t reserved;
};

// One change, or one key when only the key matters. `command` is IPVS_CMD_NEW_SERVICE …
// IPVS_CMD_DEL_DEST; which of the two settings counts follows from it.
struct ChangeRecord {
  uint32_t command;
  ServiceKey service;
  union {
    ServiceSettings settings;
    DestinationSettings destination;
  };
};

struct StatsRecord {
  uint64_t connections;
  uint64_t packets_in;
  uint64_t packets_out;
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t connection_rate;
  uint64_t packet_in_rate;
  uint64_t packet_out_rate;
  uint64_t byte_in_rate;
  uint64_t byte_out_rate;
};

struct ServiceRow {
  StatsRecord stats;
  ServiceKey service;
  ServiceSettings settings;
  uint32_t reserved;
};

struct DestinationRow {
  StatsRecord stats;
  DestinationSettings destination;
  uint32_t service;  // index into the request's keys
  uint32_t active_connections;
  uint32_t inactive_connections;
  uint32_t persistent_connections;
  uint32_t reserved;
};

struct InfoRecord {
  uint32_t version;  // 0x010201 is 1.2.1
  uint32_t connection_table_size;
};

struct TimeoutsRecord {
  uint32_t tcp;
  uint32_t tcp_fin;
  uint32_t udp;
};

// `group_family` 0: no group given. `has` tells which optional fields the sender set (kDaemonHas*).
struct DaemonRecord {
  uint32_t state;  // IP_VS_STATE_MASTER or IP_VS_STATE_BACKUP
  uint32_t sync_id;
  uint32_t has;
  uint16_t group_family;
  uint16_t max_length;
  uint16_t port;
  uint8_t ttl;
  uint8_t reserved;
  uint8_t group[16];
  char interface[16];
};
constexpr uint32_t kDaemonHasMaxLength = 1;
constexpr uint32_t kDaemonHasPort = 2;
constexpr uint32_t kDaemonHasTtl = 4;

static_assert(sizeof(ServiceKey) == 28 && sizeof(ServiceSettings) == 44);
static_assert(sizeof(DestinationSettings) == 44 && sizeof(StatsRecord) == 80);
static_assert(sizeof(ChangeRecord) == 76 && sizeof(ServiceRow) == 160);
static_assert(sizeof(DestinationRow) == 144 && sizeof(InfoRecord) == 8);
static_assert(sizeof(TimeoutsRecord) == 12 && sizeof(DaemonRecord) == 52);

}  // namespace ipvs
