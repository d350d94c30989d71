#include "dump.h"

#include <linux/netlink.h>

#include <cerrno>

#include "socket.h"

namespace ipvs {
namespace {

constexpr int kAttempts = 4;

Failure ReadOnce(Channel* channel, Outbox* outbox, const Dump& dump) {
  const uint32_t sequence = channel->Begin(1, Answers::kInPieces);
  outbox->Clear();
  if (!dump.add(NLM_F_REQUEST | NLM_F_DUMP, sequence)) return {"request", EMSGSIZE};
  if (Failure failure = channel->Send(outbox->bytes())) return failure;
  int err = 0;
  bool finished = false;
  bool interrupted = false;
  const auto receive = [&](uint32_t, const Message& message) {
    if (finished) return true;
    interrupted = interrupted || (message.flags & NLM_F_DUMP_INTR) != 0;
    if (message.type == NLMSG_ERROR || message.type == NLMSG_DONE) {
      return finished = ReadErrno(message, &err);
    }
    return message.type == dump.answer && dump.take(message);
  };
  while (!finished) {
    if (Failure failure = channel->Receive(Shape::kData, receive)) return failure;
  }
  if (err != 0) return {dump.op, err};
  if (channel->overrun()) return {"receive", ENOBUFS};
  if (interrupted) return {dump.op, EINTR};
  return {};
}

}  // namespace

Failure ReadDump(Channel* channel, Outbox* outbox, const Dump& dump) {
  Failure failure;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    dump.reset();
    failure = ReadOnce(channel, outbox, dump);
    if (failure.err != EBUSY && failure.err != ENOBUFS && failure.err != EINTR) return failure;
    channel->Drain();
  }
  return failure;
}

}  // namespace ipvs
