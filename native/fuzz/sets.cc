// ip sets: the attributes of two messages about one, the first of which tells its kind. Two bytes
// say where the second begins.
#include <sys/socket.h>

#include <algorithm>

#include "check.h"
#include "ipset.h"
#include "target.h"

namespace ipvs {

static void CheckEntry(const EntryRecord& entry, uint16_t family) {
  const bool is_ipv6 = family == AF_INET6;
  Require(entry.reserved == 0);
  Require(entry.prefix < (is_ipv6 ? 128 : 32) && entry.prefix2 < (is_ipv6 ? 128 : 32));
  Require(HasZeroTail(is_ipv6 ? AF_INET6 : AF_INET, entry.address));
  Require(HasZeroTail(is_ipv6 ? AF_INET6 : AF_INET, entry.address2));
}

}  // namespace ipvs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ipvs::Bytes input(data + 2, size - 2);
  const size_t cut = std::min<size_t>(data[0] | static_cast<size_t>(data[1]) << 8, input.size());
  ipvs::SetRecord set = {};
  ipvs::ByteBuffer entries;
  if (!ipvs::ReadSet(input.first(cut), &set, &entries)) return 0;
  if (!ipvs::ReadSet(input.subspan(cut), &set, &entries)) return 0;
  ipvs::Require(set.type[sizeof(set.type) - 1] == 0);
  ipvs::Require(entries.size() == set.entries * sizeof(ipvs::EntryRecord));
  for (size_t i = 0; i < set.entries; i++) {
    const auto entry = ipvs::RecordAt<ipvs::EntryRecord>({entries.data(), entries.size()}, i);
    ipvs::CheckEntry(entry, set.family);
  }
  return 0;
}
