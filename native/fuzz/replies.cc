// The whole path of a reply: an operation against a kernel that answers whatever the input says.
#include "replies.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>

#include "../test/replies.h"
#include "../test/room.h"
#include "check.h"
#include "socket.h"

namespace ipvs {
namespace {

constexpr uint16_t kFamily = 31;

class FuzzedKernel : public Transport {
 public:
  explicit FuzzedKernel(Bytes input) : input_(input) {}

  int Send(Bytes datagram) override {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof(header));
    sequence_ = header.nlmsg_seq;
    if (header.nlmsg_type == GENL_ID_CTRL) {
      family_ = Data(GENL_ID_CTRL, sequence_, CTRL_CMD_NEWFAMILY, false, FamilyReply(kFamily));
      const std::vector<uint8_t> answer = Answer(sequence_, 0);
      family_.insert(family_.end(), answer.begin(), answer.end());
    }
    return 0;
  }

  int Receive(mmsghdr* datagrams, unsigned count) override {
    if (!family_.empty()) {
      Fill(datagrams, family_, 0);
      family_.clear();
      return 1;
    }
    unsigned read = 0;
    for (; read < count && input_.size() >= 3; read++) {
      const uint8_t flags = input_[0];
      const size_t length = input_[1] | static_cast<size_t>(input_[2]) << 8;
      if (flags & kErrorFirst) {
        if (read > 0) break;
        input_ = input_.subspan(3);
        return -static_cast<int>(length % 133 + 1);
      }
      input_ = input_.subspan(3);
      const Bytes bytes = input_.first(std::min(length, input_.size()));
      input_ = input_.subspan(bytes.size());
      Fill(&datagrams[read], {bytes.begin(), bytes.end()}, flags);
    }
    return read > 0 ? static_cast<int>(read) : -EAGAIN;
  }

  bool Converse(std::span<const Bytes> datagrams, unsigned reads, uint8_t* slots, size_t slot_size,
                int* sizes) override {
    for (size_t i = 0; i < datagrams.size(); i++) {
      (void)Send(datagrams[i]);
      for (size_t slot = i * reads; slot < (i + 1) * reads; slot++) {
        iovec room = {slots + slot * slot_size, slot_size};
        sockaddr_nl sender;
        mmsghdr message = {};
        message.msg_hdr.msg_name = &sender;
        message.msg_hdr.msg_iov = &room;
        const int count = Receive(&message, 1);
        sizes[slot] = count > 0 ? static_cast<int>(message.msg_len) : count;
      }
    }
    return true;
  }

  int Wait(int) override { return input_.size() < 3 ? 0 : 1; }
  int OpenNamespace() const override { return -ENOTSUP; }
  size_t send_capacity() const override { return 1 << 16; }
  size_t receive_capacity() const override { return 1 << 16; }

 private:
  void Fill(mmsghdr* out, std::vector<uint8_t> bytes, uint8_t flags) const {
    if (flags & kOurs) Adopt(&bytes);
    const iovec& room = *out->msg_hdr.msg_iov;
    const size_t size = FillRoom(room, bytes);
    out->msg_len = static_cast<unsigned>(size);
    out->msg_hdr.msg_flags = (flags & kTruncated) ? MSG_TRUNC : 0;
    sockaddr_nl sender = {};
    sender.nl_pid = (flags & kStranger) ? 1 : 0;
    std::memcpy(out->msg_hdr.msg_name, &sender, sizeof(sender));
  }

  // Without the right sequence number nothing would ever be looked at.
  void Adopt(std::vector<uint8_t>* bytes) const {
    size_t at = 0;
    while (at + sizeof(nlmsghdr) <= bytes->size()) {
      nlmsghdr header;
      std::memcpy(&header, bytes->data() + at, sizeof(header));
      header.nlmsg_seq += sequence_;
      std::memcpy(bytes->data() + at, &header, sizeof(header));
      at += std::max<size_t>(NLMSG_ALIGN(size_t{header.nlmsg_len}), sizeof(header));
    }
  }

  Bytes input_;
  std::vector<uint8_t> family_;
  uint32_t sequence_ = 0;
};

template <typename Row>
void CheckRows(const ByteBuffer& reply) {
  Require(reply.size() % sizeof(Row) == 0);
  for (size_t at = 0; at < reply.size(); at += sizeof(Row)) {
    Row row;
    std::memcpy(&row, reply.data() + at, sizeof(row));
    Check(row);
  }
}

std::vector<uint8_t> RequestFor(Op op, bool many) {
  switch (op) {
    case Op::kApply:
    case Op::kApplyUntilError:
    case Op::kDestinations: {
      std::vector<ChangeRecord> changes(many ? 9 : 3);
      for (ChangeRecord& change : changes) change.command = 1, change.service.family = AF_INET;
      const auto* bytes = reinterpret_cast<const uint8_t*>(changes.data());
      return {bytes, bytes + changes.size() * sizeof(ChangeRecord)};
    }
    case Op::kService:
      return std::vector<uint8_t>(sizeof(ChangeRecord));
    case Op::kSetTimeouts:
      return std::vector<uint8_t>(sizeof(TimeoutsRecord));
    case Op::kStartDaemon:
    case Op::kStopDaemon:
      return std::vector<uint8_t>(sizeof(DaemonRecord));
    default:
      return {};
  }
}

}  // namespace
}  // namespace ipvs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using ipvs::Op;
  if (size == 0) return 0;
  const Op op = static_cast<Op>(data[0] % 14);
  ipvs::Connection connection(std::make_unique<ipvs::FuzzedKernel>(ipvs::Bytes(data + 1, size - 1)),
                              1);
  ipvs::Require(!connection.Resolve());
  ipvs::ByteBuffer reply;
  if (connection.Execute(op, ipvs::RequestFor(op, size % 2 == 0), &reply)) return 0;
  if (op == Op::kServices || op == Op::kService) ipvs::CheckRows<ipvs::ServiceRow>(reply);
  if (op == Op::kDestinations) ipvs::CheckRows<ipvs::DestinationRow>(reply);
  if (op == Op::kDaemons) ipvs::CheckRows<ipvs::DaemonRecord>(reply);
  return 0;
}
