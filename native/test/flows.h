#pragma once

#include <cstdint>
#include <vector>

#include "replies.h"

namespace ipvs {

// One direction of a flow, addresses as text.
struct Direction {
  const char* source;
  const char* destination;
  uint16_t source_port;
  uint16_t destination_port;
};

// What ctnetlink is asked for its flows with (IPCTNL_MSG_CT_GET).
constexpr uint16_t kFlowRequest = 0x101;

// A flow as ctnetlink tells it. `state` is the protocol's own number.
Attributes TupleReply(uint8_t protocol, const Direction& direction);
Attributes FlowReply(uint8_t protocol, const Direction& original, const Direction& reply,
                     uint8_t state, uint32_t timeout);
// The whole message, of a dump.
std::vector<uint8_t> FlowMessage(uint32_t sequence, uint8_t family, const Attributes& flow);

}  // namespace ipvs
