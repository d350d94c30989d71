#include "channel.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace ipvs {
namespace {

// The kernel builds dump datagrams of up to 32 KiB when the reader offers that much.
constexpr size_t kDataSize = 32 << 10;
constexpr unsigned kDataCount = 8;
// An error answer that echoes its request (a kernel without NETLINK_CAP_ACK) still fits.
constexpr size_t kAcknowledgementSize = kDataSize * kDataCount / kMaxAcknowledgements;
constexpr size_t kMemorySize = kDataSize * kDataCount;
static_assert(kAcknowledgementSize == 512);

// Neither is reached by a kernel that works; they end the loop with one that does not.
constexpr int kMaxOverruns = 64;
constexpr int kMaxDrainReads = 100000;

}  // namespace

// Looks at the clock only when there is something to wait for: most answers are there before they
// are asked for.
class Channel::Deadline {
 public:
  explicit Deadline(int timeout) : timeout_(timeout) {}

  // Milliseconds left, at least 0; negative when there is no deadline.
  int Remaining() {
    if (timeout_ <= 0) return -1;
    const auto now = std::chrono::steady_clock::now();
    if (!started_) {
      started_ = true;
      end_ = now + std::chrono::milliseconds(timeout_);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - now).count();
    return static_cast<int>(std::max<int64_t>(left, 0));
  }

 private:
  int timeout_;
  bool started_ = false;
  std::chrono::steady_clock::time_point end_;
};

Channel::Channel(std::unique_ptr<Transport> transport, int timeout)
    : transport_(std::move(transport)),
      timeout_(timeout),
      next_sequence_(
          static_cast<uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count() >> 10)),
      memory_(new uint8_t[kMemorySize]),
      datagrams_(kMaxAcknowledgements),
      vectors_(kMaxAcknowledgements),
      senders_(kMaxAcknowledgements) {}

uint32_t Channel::Begin(uint32_t count, Answers answers) {
  // An overrun is told once until all has been read.
  if (unsettled_ || overrun()) Drain();
  first_ = next_sequence_;
  count_ = count;
  answers_ = answers;
  next_sequence_ += count;
  overruns_ = 0;
  return first_;
}

Failure Channel::Send(Bytes datagram) {
  for (;;) {
    const int result = transport_->Send(datagram);
    if (result == 0) return {};
    if (result != -EINTR) return Fail("send", -result);
  }
}

Failure Channel::Receive(Shape shape, const Receiver& receiver) {
  Deadline deadline(timeout_);
  for (;;) {
    const int count = Read(shape);
    if (count == -ENOBUFS && ++overruns_ < kMaxOverruns) continue;
    if (count == -EAGAIN) {
      // Commands run inside sendmsg: what is not here after an overrun was dropped and will not
      // come.
      if (overrun()) return Fail("receive", ENOBUFS);
      if (answers_ == Answers::kAtOnce) return Fail("receive", EINTR);
      if (Failure failure = Wait(&deadline)) return failure;
      continue;
    }
    if (count <= 0) return Fail("receive", count < 0 ? -count : EBADMSG);
    bool progress = false;
    if (Failure failure = Deliver(count, receiver, &progress)) return failure;
    if (progress) return {};
    // Only strangers and stragglers spoke; they must not keep us here for ever.
    if (deadline.Remaining() == 0) return Fail("receive", ETIMEDOUT);
  }
}

bool Channel::Converse(std::span<const Bytes> requests, unsigned reads, const Receiver& receiver,
                       Failure* failure) {
  const size_t slots = requests.size() * reads;
  if (slots > kMaxSlots) return false;
  if (slots_ == nullptr) slots_.reset(new uint8_t[kMaxSlots * kDataSize]);
  int sizes[kMaxSlots];
  if (!transport_->Converse(requests, reads, slots_.get(), kDataSize, sizes)) return false;
  for (size_t slot = 0; slot < slots && !*failure; slot++) {
    bool progress = false;
    const int size = sizes[slot];
    if (size == -ENOBUFS) overruns_++;
    if (size <= 0) continue;
    *failure = DeliverMessages({slots_.get() + slot * kDataSize, static_cast<size_t>(size)},
                               receiver, &progress);
  }
  return true;
}

void Channel::Drain() {
  unsettled_ = false;
  for (int reads = 0; reads < kMaxDrainReads; reads++) {
    const int count = Read(Shape::kData);
    if (count <= 0 && count != -ENOBUFS) return;
  }
}

int Channel::Read(Shape shape) {
  const unsigned count =
      shape == Shape::kData ? kDataCount : std::min(count_, kMaxAcknowledgements);
  for (;;) {
    Arrange(shape == Shape::kData ? kDataSize : kAcknowledgementSize, count);
    const int received = transport_->Receive(datagrams_.data(), count);
    if (received != -EINTR) return received;
  }
}

// Every field, each time: the kernel writes to most of them.
void Channel::Arrange(size_t size, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    vectors_[i] = {memory_.get() + i * size, size};
    senders_[i] = {};
    datagrams_[i] = {};
    msghdr& header = datagrams_[i].msg_hdr;
    header.msg_name = &senders_[i];
    header.msg_namelen = sizeof(sockaddr_nl);
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
  }
}

Failure Channel::Wait(Deadline* deadline) {
  for (;;) {
    const int ready = transport_->Wait(deadline->Remaining());
    if (ready > 0) return {};
    if (ready == 0) return Fail("receive", ETIMEDOUT);
    if (ready != -EINTR) return Fail("receive", -ready);
  }
}

Failure Channel::Deliver(int count, const Receiver& receiver, bool* progress) {
  for (int i = 0; i < count; i++) {
    if (Failure failure = DeliverDatagram(datagrams_[i], receiver, progress)) return failure;
  }
  return {};
}

Failure Channel::DeliverDatagram(const mmsghdr& datagram, const Receiver& receiver,
                                 bool* progress) {
  const auto* sender = static_cast<const sockaddr_nl*>(datagram.msg_hdr.msg_name);
  // Any process may send to our port; only the kernel is port 0.
  if (datagram.msg_hdr.msg_namelen != sizeof(*sender) || sender->nl_pid != 0) return {};
  if (datagram.msg_hdr.msg_flags & MSG_TRUNC) return Fail("receive", EBADMSG);

  const iovec& vector = *datagram.msg_hdr.msg_iov;
  return DeliverMessages({static_cast<const uint8_t*>(vector.iov_base),
                          std::min<size_t>(datagram.msg_len, vector.iov_len)},
                         receiver, progress);
}

Failure Channel::DeliverMessages(Bytes rest, const Receiver& receiver, bool* progress) {
  while (!rest.empty()) {
    nlmsghdr header;
    if (rest.size() < sizeof(header)) return Fail("receive", EBADMSG);
    std::memcpy(&header, rest.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest.size()) {
      return Fail("receive", EBADMSG);
    }
    const uint32_t index = header.nlmsg_seq - first_;
    if (index < count_ && header.nlmsg_type != NLMSG_NOOP) {
      const Message message = {header.nlmsg_type, header.nlmsg_flags,
                               rest.subspan(sizeof(header), header.nlmsg_len - sizeof(header))};
      if (!receiver(index, message)) return Fail("reply", EBADMSG);
      *progress = true;
    }
    rest = rest.subspan(std::min<size_t>(NLMSG_ALIGN(size_t{header.nlmsg_len}), rest.size()));
  }
  return {};
}

Failure Channel::Fail(const char* op, int err) {
  unsettled_ = true;
  return {op, err};
}

}  // namespace ipvs
