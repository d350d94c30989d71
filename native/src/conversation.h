#pragma once

#include <cerrno>
#include <memory>

#include "bytes.h"
#include "connections.h"
#include "failure.h"
#include "reading.h"
#include "records.h"

namespace ipvs {

// What a handle holds: questions to one part of the kernel, in one network namespace. Any thread
// may call; calls take turns.
class Conversation {
 public:
  virtual ~Conversation() = default;

  // Fills `reply`, which must be empty, with what `op` answers; records.h says which records go in
  // and come out.
  virtual Failure Execute(Op op, Bytes request, ByteBuffer* reply) = 0;
  // Begins to fill `columns`, which must be empty, with the rows that match. Other calls need not
  // wait until it is over.
  virtual Failure OpenConnections(const ConnectionQuery&, ConnectionColumns*,
                                  std::unique_ptr<Reading>*) {
    return {"connections", EOPNOTSUPP};
  }
  // Waits for the call under way, then lets go of the socket. Calls after that fail with EBADF.
  virtual void Close() = 0;
};

}  // namespace ipvs
