#pragma once

#include <cstdint>
#include <vector>

namespace ipvs {

// The input of the `replies` fuzzer: an operation, then datagrams one after the other, each
// [flags][length, low byte first, 2 bytes][bytes].
constexpr uint8_t kOurs = 1;        // put the sequence number of the request in, and its type
constexpr uint8_t kStranger = 2;    // not from the kernel
constexpr uint8_t kTruncated = 4;   // longer than what was read
constexpr uint8_t kErrorFirst = 8;  // the read before it fails; the length says with which errno

inline void AppendReply(std::vector<uint8_t>* input, uint8_t flags,
                        const std::vector<uint8_t>& bytes) {
  input->push_back(flags);
  input->push_back(static_cast<uint8_t>(bytes.size()));
  input->push_back(static_cast<uint8_t>(bytes.size() >> 8));
  input->insert(input->end(), bytes.begin(), bytes.end());
}

}  // namespace ipvs
