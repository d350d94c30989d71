#pragma once

#include <linux/netlink.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "bytes.h"
#include "failure.h"
#include "transport.h"

namespace ipvs {

// One netlink message from the kernel, without its header.
struct Message {
  uint16_t type;
  uint16_t flags;
  Bytes payload;
};

// How receive memory is cut up: many small datagrams (acknowledgements) or a few of the largest the
// kernel makes (dumps).
enum class Shape { kAcknowledgements, kData };

// When the kernel answers: all of it before Send returns, or piece by piece as it is read (dumps).
enum class Answers { kAtOnce, kInPieces };

// Requests and answers over one transport. Answers are matched by sequence number and by coming
// from the kernel; whatever else arrives is dropped, and so is what an exchange that failed left
// behind. Not thread-safe.
class Channel {
 public:
  // Called on each message of the exchange under way with the index of its request; false when it
  // makes no sense.
  using Receiver = std::function<bool(uint32_t index, const Message& message)>;

  // `timeout` bounds each wait for an answer, in milliseconds; 0 is forever.
  Channel(std::unique_ptr<Transport> transport, int timeout);

  // Starts an exchange of `count` requests and returns the sequence number of the first; the rest
  // follow it.
  uint32_t Begin(uint32_t count, Answers answers = Answers::kAtOnce);
  Failure Send(Bytes datagram);
  // Reads what is there until at least one message of this exchange was handed over. Waits for the
  // pieces of a dump; where all answers should be there and none is, that is EINTR: the kernel
  // answers nothing to a command that was interrupted.
  Failure Receive(Shape shape, const Receiver& receiver);
  // Sends a request a datagram, with two reads or more after each, in a few system calls; for
  // requests whose answers are there when they have been sent. At most kMaxSlots reads in all.
  // What is not answered by then is left to Drain. False when that cannot be done here.
  bool Converse(std::span<const Bytes> requests, unsigned reads, const Receiver& receiver,
                Failure* failure);
  static constexpr unsigned kMaxSlots = 128;
  // Throws away all that can be read, the rest of a dump included.
  void Drain();

  // The kernel had to drop answers since Begin.
  bool overrun() const { return overruns_ > 0; }
  const Transport& transport() const { return *transport_; }

 private:
  class Deadline;

  int Read(Shape shape);
  Failure Wait(Deadline* deadline);
  Failure Deliver(int count, const Receiver& receiver, bool* progress);
  Failure DeliverDatagram(const mmsghdr& datagram, const Receiver& receiver, bool* progress);
  Failure DeliverMessages(Bytes rest, const Receiver& receiver, bool* progress);
  Failure Fail(const char* op, int err);
  void Arrange(size_t size, unsigned count);

  std::unique_ptr<Transport> transport_;
  int timeout_;
  uint32_t next_sequence_;
  uint32_t first_ = 0;
  uint32_t count_ = 0;
  Answers answers_ = Answers::kAtOnce;
  int overruns_ = 0;
  bool unsettled_ = false;

  std::unique_ptr<uint8_t[]> memory_;
  std::vector<mmsghdr> datagrams_;
  std::vector<iovec> vectors_;
  std::vector<sockaddr_nl> senders_;
  std::unique_ptr<uint8_t[]> slots_;  // for Converse, once it was needed
};

// How many acknowledgements one read takes.
constexpr uint32_t kMaxAcknowledgements = 512;

}  // namespace ipvs
