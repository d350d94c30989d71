#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "bytes.h"
#include "channel.h"
#include "connections.h"
#include "conversation.h"
#include "failure.h"
#include "outbox.h"
#include "records.h"
#include "transport.h"

namespace ipvs {

class DestinationRows;
class ServiceSet;
struct DestinationBatch;

// A conversation with the kernel's IPVS in one network namespace.
class Connection final : public Conversation {
 public:
  // `netns` is a path, empty for the caller's own namespace. `timeout` in milliseconds bounds the
  // wait for an answer; 0 is forever.
  static Failure Open(const std::string& netns, int timeout, std::shared_ptr<Conversation>* out);

  // For tests, which bring their own kernel. Call Resolve before anything else. `is_own`: the
  // socket is in the caller's namespace.
  Connection(std::unique_ptr<Transport> transport, int timeout, bool is_own = true);
  // Looks up IPVS's family id, which also loads the module on kernels since 5.16.
  Failure Resolve();

  Failure Execute(Op op, Bytes request, ByteBuffer* reply) override;
  Failure OpenConnections(const ConnectionQuery& query, ConnectionColumns* columns,
                          std::unique_ptr<Reading>* reading) override;
  void Close() override;

 private:
  struct Question {
    const char* op;
    uint16_t family;
    uint8_t command;
    uint8_t answer;  // the command of the kernel's data messages; 0 when there are none
    bool dump;
  };
  using Put = std::function<bool(nl_msg*)>;
  using Take = std::function<bool(Bytes attributes)>;

  Failure Dispatch(Op op, Bytes request, ByteBuffer* reply);
  Failure Services(ByteBuffer* reply);
  Failure Service(const ChangeRecord& key, ByteBuffer* reply);
  Failure Destinations(Bytes keys, Detail detail, ByteBuffer* reply);
  Failure DestinationsOf(const ServiceKey& key, uint32_t index, Detail detail,
                         DestinationRows* rows);
  Failure Converse(Bytes keys, unsigned reads, DestinationBatch* batch);
  Failure Info(ByteBuffer* reply);
  Failure Timeouts(ByteBuffer* reply);
  Failure Zero(Bytes request);
  Failure Daemons(ByteBuffer* reply);

  // Asks IPVS, a second time if its family id turns out to have changed. `take` reads one row;
  // `reset` forgets the rows taken so far.
  Failure Query(const Question& question, const Put& put, const Take& take,
                const std::function<void()>& reset);
  Failure Command(const char* op, uint8_t command, const Put& put);
  Failure Ask(const Question& question, const Put& put, const Take& take);
  // Looks the family up again after the kernel said ENOENT, which is also what it says to an
  // unknown family.
  Failure Refresh(bool* moved);

  Failure OpenTable(const char* path, const ConnectionQuery& query, ConnectionColumns* columns,
                    std::unique_ptr<Reading>* reading);
  Failure OpenConntrack(bool if_fit, const ConnectionQuery& query, ConnectionColumns* columns,
                        std::unique_ptr<Reading>* reading);
  Failure AddressesOf(ServiceSet* services, bool* has_marks, bool* has_templates);
  Failure RunInside(const std::function<Failure()>& fn);

  Failure Apply(Bytes changes, bool until_error, ByteBuffer* reply);
  uint32_t Window() const;
  Failure SendChanges(const uint8_t* changes, size_t left, uint32_t window, uint32_t* sent);
  Failure Collect(uint32_t sent, int32_t* outcomes);

  std::mutex mutex_;
  std::unique_ptr<Channel> channel_;  // null once closed
  Outbox outbox_;
  uint16_t family_ = 0;
  const int timeout_;
  const bool is_own_;
};

// Reads the errno out of an NLMSG_ERROR or NLMSG_DONE message; false when it makes no sense.
bool ReadErrno(const Message& message, int* err);
// Finds the attributes of a data message; false when it is no such answer.
bool ReadHeader(const Message& message, uint16_t family, uint8_t command, Bytes* attributes);

}  // namespace ipvs
