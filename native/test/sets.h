#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replies.h"

namespace ipvs {

// What nfnetlink is asked for a set with, and answers (IPSET_CMD_LIST).
constexpr uint16_t kSetMessage = 0x607;

// An entry as the kernel tells it; addresses as text, an empty one and a prefix of 0 are left out.
struct SetEntry {
  std::string address;
  uint8_t prefix = 0;
  uint16_t port = 0;
  uint8_t protocol = 0;
  std::string address2 = {};
  uint8_t prefix2 = 0;
  uint64_t mark = 0;
  bool no_match = false;
};

// The attributes of a message about a set: its first one has `type`, the others an empty one.
Attributes SetReply(const std::string& name, const std::string& type, uint8_t family,
                    uint32_t limit, const std::vector<SetEntry>& entries);
// The whole message, of a dump.
std::vector<uint8_t> SetMessage(uint32_t sequence, const Attributes& set);

}  // namespace ipvs
