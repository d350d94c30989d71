#pragma once

#include <linux/ip_vs.h>
#include <netinet/in.h>

#include <cstring>

#include "connections.h"
#include "records.h"
#include "target.h"

namespace ipvs {

inline bool IsFamily(uint16_t family) { return family == AF_INET || family == AF_INET6; }

inline bool HasZeroTail(uint16_t family, const uint8_t (&address)[16]) {
  const uint8_t zeros[12] = {};
  return family == AF_INET6 || std::memcmp(address + 4, zeros, sizeof(zeros)) == 0;
}

// What JavaScript relies on in every row.
inline void Check(const ServiceRow& row) {
  Require(IsFamily(row.service.family));
  Require(HasZeroTail(row.service.family, row.service.address));
  Require(row.service.fwmark == 0 || (row.service.port == 0 && row.service.protocol == 0));
  Require((row.settings.flags & IP_VS_SVC_F_HASHED) == 0);
  Require(row.settings.scheduler[15] == 0 && row.settings.engine[15] == 0);
  Require(row.reserved == 0 && row.service.reserved == 0);
}

inline void Check(const DestinationRow& row) {
  Require(IsFamily(row.destination.family));
  Require(HasZeroTail(row.destination.family, row.destination.address));
  Require(row.reserved == 0 && row.destination.reserved == 0 && row.destination.reserved2 == 0);
}

inline void Check(const DaemonRecord& daemon) {
  Require(daemon.group_family == 0 || IsFamily(daemon.group_family));
  Require(daemon.interface[15] == 0);
  Require(daemon.reserved == 0);
}

inline void Check(const ConnectionRow& row) {
  for (const uint8_t family : {row.family, row.destination_family}) {
    Require(family == kIpv4 || family == kIpv6);
  }
  const auto number = [](uint8_t family) -> uint16_t {
    return family == kIpv6 ? AF_INET6 : AF_INET;
  };
  Require(HasZeroTail(number(row.family), row.client_address));
  Require(HasZeroTail(number(row.family), row.virtual_address));
  Require(HasZeroTail(number(row.destination_family), row.destination_address));
  Require(!row.state.empty() && row.state.size() <= kStateMax);
  Require(row.engine.size() <= kEngineMax);
}

}  // namespace ipvs
