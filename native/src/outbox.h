#pragma once

#include <netlink/msg.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "bytes.h"

namespace ipvs {

// Netlink requests, one after the other, in memory that is used again and again.
class Outbox {
 public:
  // No request of ours is larger, by far.
  static constexpr size_t kMaxRequest = 1024;

  Outbox();

  void Clear() { bytes_.clear(); }
  // Adds flags to the request appended last.
  void FlagLast(uint16_t flags);
  Bytes bytes() const { return bytes_; }

  // Appends one request whose attributes `put` writes; false (and nothing appended) when they do
  // not fit.
  template <typename Put>
  bool Add(uint16_t family, uint8_t command, uint16_t flags, uint32_t sequence, Put&& put) {
    Start(family, command, flags, sequence);
    if (!put(message_.get())) return false;
    Finish();
    return true;
  }

  // The same outside of generic netlink, where a family's own `header` comes before the attributes.
  template <typename Header, typename Put>
  bool AddPlain(uint16_t type, uint16_t flags, uint32_t sequence, const Header& header, Put&& put) {
    if (!StartPlain(type, flags, sequence, &header, sizeof(header)) || !put(message_.get())) {
      return false;
    }
    Finish();
    return true;
  }

 private:
  struct Deleter {
    void operator()(nl_msg* message) const { nlmsg_free(message); }
  };

  void Start(uint16_t family, uint8_t command, uint16_t flags, uint32_t sequence);
  bool StartPlain(uint16_t type, uint16_t flags, uint32_t sequence, const void* header,
                  size_t size);
  void Finish();

  std::unique_ptr<nl_msg, Deleter> message_;
  std::vector<uint8_t> bytes_;
  size_t last_ = 0;
};

}  // namespace ipvs
