// The records of links and addresses, which cross the border as those of records.h do; JavaScript's
// side is lib/node/route-records.ts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ipvs {

// A network device. `flags` are IFF_*; names are NUL-terminated, and a kind (`dummy`, `veth`) is
// empty for hardware and loopback.
struct LinkRecord {
  uint32_t index;
  uint32_t flags;
  uint32_t mtu;
  char name[16];
  char kind[16];
};

// An address of a device. `family` is AF_INET or AF_INET6, `scope` RT_SCOPE_*.
struct AddressRecord {
  uint32_t link;
  uint8_t family;
  uint8_t prefix;
  uint8_t scope;
  uint8_t reserved;
  uint8_t address[16];
};

// `command` is RTM_NEWADDR or RTM_DELADDR.
struct AddressChange {
  uint32_t command;
  AddressRecord address;
};

static_assert(sizeof(LinkRecord) == 44 && sizeof(AddressRecord) == 24);
static_assert(sizeof(AddressChange) == 28);

}  // namespace ipvs
