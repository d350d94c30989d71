#include "fake_kernel.h"

#include <fcntl.h>
#include <linux/genetlink.h>

#include <cerrno>
#include <cstring>

#include "replies.h"
#include "room.h"

namespace ipvs {
namespace {

int Next(std::deque<int>* results, int otherwise) {
  if (results->empty()) return otherwise;
  const int result = results->front();
  results->pop_front();
  return result;
}

}  // namespace

class FakeKernel::Pipe : public Transport {
 public:
  explicit Pipe(FakeKernel* kernel) : kernel_(kernel) {}

  int Send(Bytes datagram) override {
    kernel_->sends++;
    if (const int err = Next(&kernel_->send_errors, 0)) return err;
    while (datagram.size() >= NLMSG_HDRLEN + GENL_HDRLEN) {
      Request request;
      std::memcpy(&request.header, datagram.data(), sizeof(request.header));
      request.command = datagram[NLMSG_HDRLEN];
      const Bytes message = datagram.first(request.header.nlmsg_len);
      const Bytes attributes = message.subspan(NLMSG_HDRLEN + GENL_HDRLEN);
      request.attributes.assign(attributes.begin(), attributes.end());
      datagram = datagram.subspan(NLMSG_ALIGN(message.size()));
      kernel_->Take(request);
    }
    return 0;
  }

  int Receive(mmsghdr* datagrams, unsigned count) override {
    kernel_->receives++;
    if (kernel_->on_receive) kernel_->on_receive();
    if (const int err = Next(&kernel_->receive_errors, 0)) return err;
    if (kernel_->queue.empty()) return -EAGAIN;
    unsigned read = 0;
    for (; read < count && !kernel_->queue.empty(); read++) {
      Fill(&datagrams[read], kernel_->queue.front());
      kernel_->queue.pop_front();
    }
    return static_cast<int>(read);
  }

  bool Converse(std::span<const Bytes> datagrams, unsigned reads, uint8_t* slots, size_t slot_size,
                int* sizes) override {
    if (!kernel_->converses) return false;
    kernel_->conversations++;
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

  int Wait(int) override {
    kernel_->waits++;
    return Next(&kernel_->wait_results, kernel_->queue.empty() ? 0 : 1);
  }

  int OpenNamespace() const override { return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC); }

  size_t send_capacity() const override { return kernel_->send_capacity; }
  size_t receive_capacity() const override { return kernel_->receive_capacity; }

 private:
  static void Fill(mmsghdr* out, const Datagram& datagram) {
    const iovec& room = *out->msg_hdr.msg_iov;
    const size_t size = FillRoom(room, datagram.bytes);
    out->msg_len = static_cast<unsigned>(size);
    const bool cut = datagram.truncated || size < datagram.bytes.size();
    out->msg_hdr.msg_flags = cut ? MSG_TRUNC : 0;
    sockaddr_nl sender = {};
    sender.nl_family = AF_NETLINK;
    sender.nl_pid = datagram.port;
    std::memcpy(out->msg_hdr.msg_name, &sender, sizeof(sender));
    out->msg_hdr.msg_namelen = sizeof(sender);
  }

  FakeKernel* kernel_;
};

std::unique_ptr<Transport> FakeKernel::Connect() { return std::make_unique<Pipe>(this); }

std::shared_ptr<Connection> FakeKernel::Open(int timeout) {
  auto connection = std::make_shared<Connection>(Connect(), timeout);
  (void)connection->Resolve();
  requests.clear();
  sends = receives = waits = 0;
  return connection;
}

Datagrams FakeKernel::Acknowledge(const Request& request, int err) {
  if (request.is_dump()) return {{Done(request.sequence(), err)}};
  if (err == 0 && !(request.header.nlmsg_flags & NLM_F_ACK)) return {};
  return {{Answer(request.sequence(), err)}};
}

void FakeKernel::Take(const Request& request) {
  requests.push_back(request);
  if (on_request) on_request();
  Datagrams replies;
  if (stranger) {
    replies = stranger(request);
  } else if (request.header.nlmsg_type == GENL_ID_CTRL) {
    if (family != 0) {
      replies = {
          {Data(GENL_ID_CTRL, request.sequence(), CTRL_CMD_NEWFAMILY, false, FamilyReply(family))}};
    }
    replies.push_back({Answer(request.sequence(), family != 0 ? 0 : ENOENT)});
  } else if (request.header.nlmsg_type != family) {
    replies = {{Answer(request.sequence(), ENOENT)}};
  } else {
    replies = reply ? reply(request) : Acknowledge(request);
  }
  queue.insert(queue.end(), replies.begin(), replies.end());
}

}  // namespace ipvs
