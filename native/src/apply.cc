// How many changes go to the kernel in few system calls, and each gets its own outcome.

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "socket.h"
#include "wire.h"

namespace ipvs {
namespace {

// An acknowledgement weighs 832 bytes in the receive buffer (measured on 6.18), however short it
// is. Half of the buffer stays free for kernels that weigh differently.
constexpr size_t kAcknowledgementWeight = 832;
constexpr int kMaxMoves = 3;

ChangeRecord ChangeAt(const uint8_t* changes, size_t index) {
  ChangeRecord change;
  std::memcpy(&change, changes + index * sizeof(change), sizeof(change));
  return change;
}

bool AreSendable(const uint8_t* changes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!IsSendable(ChangeAt(changes, i))) return false;
  }
  return true;
}

// How many outcomes at the end are ENOENT in a row.
uint32_t TrailingMissing(const int32_t* outcomes, uint32_t count) {
  uint32_t missing = 0;
  while (missing < count && outcomes[count - 1 - missing] == ENOENT) missing++;
  return missing;
}

// Whether fewer changes at a time may get through where many did not.
bool IsAboutSize(int err) { return err == EMSGSIZE || err == ENOBUFS || err == ENOMEM; }

}  // namespace

uint32_t Connection::Window() const {
  const size_t answers = channel_->transport().receive_capacity() / 2 / kAcknowledgementWeight;
  return static_cast<uint32_t>(std::clamp<size_t>(answers, 1, kMaxAcknowledgements));
}

Failure Connection::Apply(Bytes changes, bool until_error, ByteBuffer* reply) {
  const size_t count = changes.size() / sizeof(ChangeRecord);
  if (!AreSendable(changes.data(), count)) return {"request", EINVAL};
  auto* outcomes = reinterpret_cast<int32_t*>(reply->Extend(count * sizeof(int32_t)));
  std::fill_n(outcomes, count, kNotTried);

  uint32_t window = until_error ? 1 : Window();
  int moves = 0;
  for (size_t done = 0; done < count;) {
    int32_t* batch = outcomes + done;
    uint32_t sent = 0;
    if (Failure failure = SendChanges(changes.data() + done * sizeof(ChangeRecord), count - done,
                                      window, &sent)) {
      // Nothing of a datagram that could not be sent was executed.
      if (IsAboutSize(failure.err) && sent > 1) {
        window = sent / 2;
        continue;
      }
      if (done == 0) return failure;
      std::fill_n(batch, sent, failure.err);
      return {};
    }
    if (Failure failure = Collect(sent, batch)) return failure;

    // ENOENT may mean that the family id is stale. It stays stale, so then every later answer of
    // the batch is ENOENT too, and none of those changes was executed: they can be sent again in
    // their order.
    const uint32_t missing = TrailingMissing(batch, sent);
    if (missing > 0 && moves < kMaxMoves) {
      bool moved = false;
      if (Failure failure = Refresh(&moved)) return failure;
      if (moved) {
        moves++;
        sent -= missing;
        std::fill_n(batch + sent, missing, kNotTried);
      }
    }
    done += sent;
    if (until_error && sent > 0 && batch[sent - 1] != 0) break;
  }
  return {};
}

// Encodes and sends up to `window` changes in one datagram; `sent` is how many, also when sending
// failed.
Failure Connection::SendChanges(const uint8_t* changes, size_t left, uint32_t window,
                                uint32_t* sent) {
  const auto most = static_cast<uint32_t>(std::min<size_t>(left, window));
  const size_t capacity = channel_->transport().send_capacity();
  const uint32_t first = channel_->Begin(most);
  outbox_.Clear();
  uint32_t added = 0;
  while (added < most && (added == 0 || outbox_.bytes().size() + Outbox::kMaxRequest <= capacity)) {
    const ChangeRecord change = ChangeAt(changes, added);
    if (!outbox_.Add(family_, static_cast<uint8_t>(change.command), NLM_F_REQUEST, first + added,
                     [&](nl_msg* message) { return PutChange(message, change); })) {
      return {"request", EMSGSIZE};
    }
    added++;
  }
  // Refusals are answered unasked. So one acknowledgement, of the last, speaks for all: what was
  // not refused by then was done.
  outbox_.FlagLast(NLM_F_ACK);
  *sent = added;
  return channel_->Send(outbox_.bytes());
}

// Reads the refusals of the changes just sent, and the answer to the last of them.
Failure Connection::Collect(uint32_t sent, int32_t* outcomes) {
  bool finished = false;
  const auto receive = [&](uint32_t index, const Message& message) {
    int err = 0;
    if (message.type != NLMSG_ERROR || index >= sent || !ReadErrno(message, &err)) return false;
    if (outcomes[index] == kNotTried) outcomes[index] = err;
    if (index == sent - 1) finished = true;
    return true;
  };
  Failure failure;
  while (!finished && !failure) failure = channel_->Receive(Shape::kAcknowledgements, receive);
  const bool lost = channel_->overrun() || failure.err == EINTR;
  if (failure && !lost) return failure;
  // Where answers were dropped, changes may have been made or not, which only reading back can
  // tell. The kernel says so before it hands out any answer that it kept.
  const int32_t silent = lost ? ENOBUFS : 0;
  std::replace(outcomes, outcomes + sent, kNotTried, silent);
  return {};
}

}  // namespace ipvs
