#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace ipvs {

// Remembers which keys were seen, as the kernel's dumps can repeat a row when the table changes
// between two datagrams. `Key` is compared byte for byte, so it must have no padding. Open
// addressing: no allocation a row.
template <typename Key>
class RowSet {
  static_assert(std::has_unique_object_representations_v<Key>);

 public:
  // False when the key was already there.
  bool Insert(const Key& key) {
    if ((keys_.size() + 1) * 2 > slots_.size()) Grow();
    uint32_t& slot = slots_[Slot(key)];
    if (slot != kEmpty) return false;
    slot = static_cast<uint32_t>(keys_.size());
    keys_.push_back(key);
    return true;
  }

  bool Contains(const Key& key) const { return !slots_.empty() && slots_[Slot(key)] != kEmpty; }

  // Forgets all but the first `count` keys. Rare, so it simply starts over.
  void Truncate(size_t count) {
    keys_.resize(std::min(count, keys_.size()));
    Rebuild(slots_.size());
  }

 private:
  static constexpr uint32_t kEmpty = ~0u;
  static constexpr size_t kFirstSize = 64;

  static uint64_t Hash(const Key& key) {
    uint64_t hash = 0x9e3779b97f4a7c15;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&key);
    for (size_t at = 0; at < sizeof(key); at += sizeof(uint32_t)) {
      uint32_t word = 0;
      std::memcpy(&word, bytes + at, std::min(sizeof(word), sizeof(key) - at));
      hash = (hash ^ word) * 0xff51afd7ed558ccd;
      hash ^= hash >> 32;
    }
    return hash;
  }

  // The slot that holds the key, or the empty one where it belongs.
  size_t Slot(const Key& key) const {
    size_t at = Hash(key) & (slots_.size() - 1);
    while (slots_[at] != kEmpty && std::memcmp(&keys_[slots_[at]], &key, sizeof(key)) != 0) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return at;
  }

  void Grow() { Rebuild(slots_.empty() ? kFirstSize : slots_.size() * 2); }

  void Rebuild(size_t size) {
    slots_.assign(size, kEmpty);
    for (size_t i = 0; i < keys_.size(); i++) slots_[Slot(keys_[i])] = static_cast<uint32_t>(i);
  }

  std::vector<Key> keys_;
  std::vector<uint32_t> slots_;
};

}  // namespace ipvs
