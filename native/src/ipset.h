#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "bytes.h"
#include "channel.h"
#include "conversation.h"
#include "failure.h"
#include "outbox.h"
#include "set_records.h"
#include "transport.h"

namespace ipvs {

// Adds one message about a set to it: the attributes after its nfgenmsg. The first tells what kind
// of set it is, and each brings entries, which are appended to `reply`. False when they make no
// sense.
bool ReadSet(Bytes attributes, SetRecord* set, ByteBuffer* reply);

// The ip sets of one network namespace, over nfnetlink.
class IpSets final : public Conversation {
 public:
  // `netns` and `timeout` as Connection::Open's.
  static Failure Open(const std::string& netns, int timeout, std::shared_ptr<Conversation>* out);

  // For tests, which bring their own kernel.
  IpSets(std::unique_ptr<Transport> transport, int timeout);

  Failure Execute(Op op, Bytes request, ByteBuffer* reply) override;
  void Close() override;

 private:
  Failure Read(const SetName& name, ByteBuffer* reply);

  std::mutex mutex_;
  std::unique_ptr<Channel> channel_;  // null once closed
  Outbox outbox_;
};

}  // namespace ipvs
