#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bytes.h"
#include "records.h"

namespace ipvs {

// Attributes as the kernel writes them, by other means than the code under test.
class Attributes {
 public:
  Attributes& Raw(uint16_t type, const void* data, size_t size);
  Attributes& U8(uint16_t type, uint8_t value) { return Raw(type, &value, sizeof(value)); }
  Attributes& U16(uint16_t type, uint16_t value) { return Raw(type, &value, sizeof(value)); }
  Attributes& U32(uint16_t type, uint32_t value) { return Raw(type, &value, sizeof(value)); }
  Attributes& U64(uint16_t type, uint64_t value) { return Raw(type, &value, sizeof(value)); }
  Attributes& Text(uint16_t type, const std::string& text) {
    return Raw(type, text.c_str(), text.size() + 1);
  }
  Attributes& Nest(uint16_t type, const Attributes& inner) {
    return Raw(type, inner.bytes_.data(), inner.bytes_.size());
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

// What the kernel says about a row, down to its peculiarities: HASHED set, sixteen bytes for every
// address, both sets of statistics.
Attributes ServiceReply(const ServiceRow& row);
Attributes DestinationReply(const DestinationRow& row);
Attributes DaemonReply(const DaemonRecord& daemon);
Attributes InfoReply(const InfoRecord& info);
Attributes TimeoutsReply(const TimeoutsRecord& timeouts);
Attributes FamilyReply(uint16_t id);

// Whole messages, header included.
std::vector<uint8_t> Data(uint16_t type, uint32_t sequence, uint8_t command, bool multi,
                          const Attributes& attributes);
std::vector<uint8_t> Answer(uint32_t sequence, int32_t err);
std::vector<uint8_t> Done(uint32_t sequence, int32_t err = 0);

// Rows to try things with; `number` makes them different.
ServiceRow SampleService(uint32_t number);
DestinationRow SampleDestination(uint32_t number);
DaemonRecord SampleDaemon();

}  // namespace ipvs
