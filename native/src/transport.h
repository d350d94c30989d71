#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <span>

#include "bytes.h"
#include "failure.h"

namespace ipvs {

// The system calls on a connected netlink socket, so that tests can play the kernel. Results below
// zero are negative errnos; nothing is retried here.
class Transport {
 public:
  virtual ~Transport() = default;

  // Sends one datagram, which may hold many messages.
  virtual int Send(Bytes datagram) = 0;
  // Reads up to `count` datagrams without waiting; how many it read. The senders are in msg_name
  // (sockaddr_nl).
  virtual int Receive(mmsghdr* datagrams, unsigned count) = 0;
  // Sends each datagram and makes `reads` reads after it, all of it in a few system calls. Slot
  // i * reads + j of `slots` gets what came at read j after datagram i, and `sizes` how much that
  // was: a negative errno when nothing came. Only what the kernel said is read. False when the
  // system has no way to do so, and then nothing was sent.
  virtual bool Converse(std::span<const Bytes> datagrams, unsigned reads, uint8_t* slots,
                        size_t slot_size, int* sizes) = 0;
  // Waits until something can be read; 0 when `milliseconds` passed first. Negative waits forever.
  virtual int Wait(int milliseconds) = 0;

  // A descriptor of the network namespace that the socket lives in, which the caller closes.
  virtual int OpenNamespace() const = 0;

  // The largest datagram that Send takes, and how many bytes of answers can wait to be read.
  virtual size_t send_capacity() const = 0;
  virtual size_t receive_capacity() const = 0;
};

// Opens a socket of `protocol` (NETLINK_GENERIC, NETLINK_ROUTE, …) in the calling thread's network
// namespace, where it stays for life.
Failure OpenNetlink(std::unique_ptr<Transport>* transport, int protocol);

}  // namespace ipvs
