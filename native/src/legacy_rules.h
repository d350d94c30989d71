#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "bytes.h"
#include "conversation.h"
#include "failure.h"

namespace ipvs {

// Where an entry of a table, an ipt_entry or ip6t_entry, has what we look at.
struct EntryLayout {
  size_t size;
  size_t next_offset;  // uint16_t: how far the next entry is
  size_t counters;     // an xt_counters
};
extern const EntryLayout kEntryLayout4;
extern const EntryLayout kEntryLayout6;

// Clears what traffic changes. False when the entries make no sense.
bool ClearCounters(std::span<uint8_t> entries, const EntryLayout& layout);

// The rules of iptables-legacy in one network namespace, as bytes: those of two times are equal
// when no rule of any table has changed.
class LegacyRules final : public Conversation {
 public:
  // `netns` as Connection::Open's.
  static Failure Open(const std::string& netns, int timeout, std::shared_ptr<Conversation>* out);

  struct Place;
  explicit LegacyRules(std::unique_ptr<Place> place);
  ~LegacyRules() override;

  Failure Execute(Op op, Bytes request, ByteBuffer* reply) override;
  void Close() override;

 private:
  std::mutex mutex_;
  std::unique_ptr<Place> place_;  // null once closed
};

}  // namespace ipvs
