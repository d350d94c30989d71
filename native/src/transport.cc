#include "transport.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "aio.h"

namespace ipvs {
namespace {

// Room for the answers to thousands of pipelined changes, where the limits of the system allow it.
constexpr int kBufferSize = 4 << 20;
// What the kernel keeps of the send buffer for itself, rounded up generously.
constexpr size_t kSendReserve = 1024;
constexpr size_t kSmallestBuffer = 16 << 10;

struct SocketDeleter {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
using Socket = std::unique_ptr<nl_sock, SocketDeleter>;

// The size the kernel settled on: doubled, and cut to a limit of the system when we are not
// privileged.
size_t GrowBuffer(int fd, int force_option, int option) {
  if (setsockopt(fd, SOL_SOCKET, force_option, &kBufferSize, sizeof(kBufferSize)) != 0) {
    (void)setsockopt(fd, SOL_SOCKET, option, &kBufferSize, sizeof(kBufferSize));
  }
  int size = 0;
  socklen_t length = sizeof(size);
  if (getsockopt(fd, SOL_SOCKET, option, &size, &length) != 0) return kSmallestBuffer;
  return size < static_cast<int>(kSmallestBuffer) ? kSmallestBuffer : static_cast<size_t>(size);
}

class NetlinkTransport final : public Transport {
 public:
  explicit NetlinkTransport(Socket socket)
      : socket_(std::move(socket)),
        fd_(nl_socket_get_fd(socket_.get())),
        send_capacity_(GrowBuffer(fd_, SO_SNDBUFFORCE, SO_SNDBUF) - kSendReserve),
        receive_capacity_(GrowBuffer(fd_, SO_RCVBUFFORCE, SO_RCVBUF)) {
    // Shorter answers to errors, and reasons in words from the netlink core; kernels before 4.3
    // and 4.12 have neither.
    const int on = 1;
    (void)setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    (void)setsockopt(fd_, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    converses_ = std::getenv("IPVS_NO_AIO") == nullptr && Exclude(fd_);
  }

  int Send(Bytes datagram) override {
    sockaddr_nl kernel = {};
    kernel.nl_family = AF_NETLINK;
    iovec vector = {const_cast<uint8_t*>(datagram.data()), datagram.size()};
    msghdr message = {};
    message.msg_name = &kernel;
    message.msg_namelen = sizeof(kernel);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    return sendmsg(fd_, &message, 0) < 0 ? -errno : 0;
  }

  int Receive(mmsghdr* datagrams, unsigned count) override {
    const int received = recvmmsg(fd_, datagrams, count, MSG_DONTWAIT, nullptr);
    return received < 0 ? -errno : received;
  }

  bool Converse(std::span<const Bytes> datagrams, unsigned reads, uint8_t* slots, size_t slot_size,
                int* sizes) override {
    const size_t steps = 1 + reads;
    if (!converses_ || datagrams.size() * steps > AioQueue::kDepth) return false;
    std::vector<iocb> operations(datagrams.size() * steps);
    std::vector<int> results(operations.size());
    for (size_t i = 0; i < datagrams.size(); i++) {
      Fill(&operations[i * steps], IOCB_CMD_PWRITE, datagrams[i].data(), datagrams[i].size());
      for (size_t j = 0; j < reads; j++) {
        Fill(&operations[i * steps + 1 + j], IOCB_CMD_PREAD, slots + (i * reads + j) * slot_size,
             slot_size);
      }
    }
    if (!AioQueue::Shared().Run(operations, results.data())) return false;
    for (size_t i = 0; i < datagrams.size(); i++) {
      for (size_t j = 0; j < reads; j++) sizes[i * reads + j] = results[i * steps + 1 + j];
    }
    return true;
  }

  int Wait(int milliseconds) override {
    pollfd descriptor = {fd_, POLLIN, 0};
    const int ready = poll(&descriptor, 1, milliseconds);
    return ready < 0 ? -errno : ready;
  }

  int OpenNamespace() const override {
    const int fd = ioctl(fd_, SIOCGSKNS);
    return fd < 0 ? -errno : fd;
  }

  size_t send_capacity() const override { return send_capacity_; }
  size_t receive_capacity() const override { return receive_capacity_; }

 private:
  // A plain read tells no sender, so nobody but the kernel may send to us; and it must never wait.
  static bool Exclude(int fd) {
    sockaddr_nl kernel = {};
    kernel.nl_family = AF_NETLINK;
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           connect(fd, reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel)) == 0;
  }

  void Fill(iocb* operation, uint16_t opcode, const uint8_t* bytes, size_t size) const {
    operation->aio_lio_opcode = opcode;
    operation->aio_fildes = static_cast<uint32_t>(fd_);
    operation->aio_buf = reinterpret_cast<uintptr_t>(bytes);
    operation->aio_nbytes = size;
  }

  Socket socket_;
  int fd_;
  bool converses_ = false;
  size_t send_capacity_;
  size_t receive_capacity_;
};

}  // namespace

Failure OpenNetlink(std::unique_ptr<Transport>* transport, int protocol) {
  Socket socket(nl_socket_alloc());
  if (socket == nullptr) return {"socket", ENOMEM};
  // libnl's own codes lose errnos; the system's is still there right after it failed.
  errno = 0;
  if (nl_connect(socket.get(), protocol) < 0) return {"socket", errno != 0 ? errno : EIO};
  *transport = std::make_unique<NetlinkTransport>(std::move(socket));
  return {};
}

}  // namespace ipvs
