#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "bytes.h"
#include "channel.h"
#include "conversation.h"
#include "failure.h"
#include "outbox.h"
#include "route_records.h"
#include "transport.h"

namespace ipvs {

// The network devices of one network namespace and their addresses, over rtnetlink.
class Route final : public Conversation {
 public:
  // `netns` and `timeout` as Connection::Open's.
  static Failure Open(const std::string& netns, int timeout, std::shared_ptr<Conversation>* out);

  // For tests, which bring their own kernel.
  Route(std::unique_ptr<Transport> transport, int timeout);

  Failure Execute(Op op, Bytes request, ByteBuffer* reply) override;
  void Close() override;

 private:
  using Add = std::function<bool(uint16_t flags, uint32_t sequence)>;

  Failure Links(ByteBuffer* reply);
  Failure Addresses(ByteBuffer* reply);
  Failure ChangeAddresses(Bytes changes, ByteBuffer* reply);
  Failure SendAddressChanges(const uint8_t* changes, uint32_t count, int32_t* outcomes);
  Failure AddDummy(const LinkRecord& link);
  Failure DeleteLink(const LinkRecord& link);

  Failure Command(const char* op, const Add& add);

  std::mutex mutex_;
  std::unique_ptr<Channel> channel_;  // null once closed
  Outbox outbox_;
};

}  // namespace ipvs
