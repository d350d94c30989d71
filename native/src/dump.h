#pragma once

#include <cstdint>
#include <functional>

#include "channel.h"
#include "failure.h"
#include "outbox.h"

namespace ipvs {

// A dump outside of generic netlink, whole or not at all.
struct Dump {
  const char* op;
  uint16_t answer;  // the type of the kernel's data messages
  // Writes the request.
  std::function<bool(uint16_t flags, uint32_t sequence)> add;
  // Takes one data message; false when it makes no sense.
  std::function<bool(const Message& message)> take;
  // Forgets what was taken so far.
  std::function<void()> reset;
};

// Asks over and over where something changed meanwhile, a few times: such a dump may miss what was
// there all along, and says so. `outbox` is what `add` writes to.
Failure ReadDump(Channel* channel, Outbox* outbox, const Dump& dump);

}  // namespace ipvs
