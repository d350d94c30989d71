#include "legacy_rules.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace ipvs {
namespace {

// Entries as a kernel lays them out: `sizes` are how far each next one is, everything else is 7.
std::vector<uint8_t> Entries(const EntryLayout& layout, const std::vector<uint16_t>& sizes) {
  std::vector<uint8_t> bytes;
  for (const uint16_t size : sizes) {
    const size_t start = bytes.size();
    bytes.resize(start + size, 7);
    if (size >= layout.next_offset + sizeof(size)) {
      std::memcpy(bytes.data() + start + layout.next_offset, &size, sizeof(size));
    }
  }
  return bytes;
}

TEST(LegacyRules, ClearsTheCountersOfEachEntryAndNothingElse) {
  for (const EntryLayout& layout : {kEntryLayout4, kEntryLayout6}) {
    const auto size = static_cast<uint16_t>(layout.size);
    const std::vector<uint16_t> sizes = {size, static_cast<uint16_t>(size + 40), size};
    auto expected = Entries(layout, sizes);
    size_t start = 0;
    for (const uint16_t each : sizes) {
      std::memset(expected.data() + start + layout.counters, 0, 16);
      start += each;
    }
    auto entries = Entries(layout, sizes);
    ASSERT_TRUE(ClearCounters(entries, layout));
    EXPECT_EQ(entries, expected);
  }
}

TEST(LegacyRules, RefusesEntriesThatMakeNoSense) {
  const auto size = static_cast<uint16_t>(kEntryLayout4.size);
  auto cut = Entries(kEntryLayout4, {size, size});
  cut.pop_back();
  EXPECT_FALSE(ClearCounters(cut, kEntryLayout4));
  auto endless = Entries(kEntryLayout4, {size});
  std::memset(endless.data() + kEntryLayout4.next_offset, 0, 2);
  EXPECT_FALSE(ClearCounters(endless, kEntryLayout4));
  auto far = Entries(kEntryLayout4, {size});
  std::memset(far.data() + kEntryLayout4.next_offset, 0xff, 2);
  EXPECT_FALSE(ClearCounters(far, kEntryLayout4));
  std::vector<uint8_t> tiny(3);
  EXPECT_FALSE(ClearCounters(tiny, kEntryLayout4));
  EXPECT_TRUE(ClearCounters({}, kEntryLayout4));
}

TEST(LegacyRules, RefusesRequestsThatMakeNoSense) {
  std::shared_ptr<Conversation> rules;
  ASSERT_FALSE(LegacyRules::Open("", 0, &rules));
  ByteBuffer reply;
  const uint32_t family = AF_PACKET;
  const Bytes request = {reinterpret_cast<const uint8_t*>(&family), sizeof(family)};
  EXPECT_EQ(rules->Execute(Op::kLegacyRules, request, &reply).err, EINVAL);
  EXPECT_EQ(rules->Execute(Op::kLegacyRules, {}, &reply).err, EINVAL);
  EXPECT_EQ(rules->Execute(Op::kLinks, request, &reply).err, EINVAL);
  rules->Close();
  EXPECT_EQ(rules->Execute(Op::kLegacyRules, request, &reply).err, EBADF);
  EXPECT_EQ(LegacyRules::Open("/none", 0, &rules).err, ENOENT);
}

}  // namespace
}  // namespace ipvs
