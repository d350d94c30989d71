// Tables of iptables-legacy: the entries of one, of the family that the first byte says.
#include <linux/netfilter/x_tables.h>

#include <vector>

#include "legacy_rules.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ipvs::EntryLayout& layout = data[0] & 1 ? ipvs::kEntryLayout6 : ipvs::kEntryLayout4;
  std::vector<uint8_t> entries(data + 1, data + size);
  if (!ipvs::ClearCounters(entries, layout)) return 0;
  const std::vector<uint8_t> once = entries;
  ipvs::Require(ipvs::ClearCounters(entries, layout) && entries == once);
  return 0;
}
