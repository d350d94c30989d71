// The records of ip sets, which cross the border as those of records.h do; JavaScript's side is
// lib/node/set-records.ts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ipvs {

// IPSET_MAXNAMELEN; names end in NUL.
constexpr size_t kSetNameSize = 32;

struct SetName {
  char name[kSetNameSize];
};

// A set, followed by so many entries. `family` is AF_INET or AF_INET6, or AF_UNSPEC for types that
// hold no addresses; a `limit` of 0 is none.
struct SetRecord {
  char name[kSetNameSize];
  char type[kSetNameSize];
  uint32_t limit;
  uint32_t entries;
  uint16_t family;
  uint16_t reserved;
};

// What an entry has; of types we do not know, it may have more.
enum : uint8_t {
  kEntryAddress = 1,
  kEntryPort = 2,
  kEntryProtocol = 4,
  kEntryAddress2 = 8,
  kEntryMark = 16,
  kEntryNoMatch = 32,
};

// An entry: `has` says which fields it has. A prefix of 0 is that of a single address. The mark is
// the one of skbinfo.
struct EntryRecord {
  uint8_t has;
  uint8_t protocol;
  uint8_t prefix;
  uint8_t prefix2;
  uint16_t port;
  uint16_t reserved;
  uint32_t mark;
  uint32_t mask;
  uint8_t address[16];
  uint8_t address2[16];
};

static_assert(sizeof(SetName) == 32 && sizeof(SetRecord) == 76 && sizeof(EntryRecord) == 48);

}  // namespace ipvs
