#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "bytes.h"
#include "socket.h"
#include "transport.h"

namespace ipvs {

// What one read gets: the bytes, who sent them, and whether there were more than fit.
struct Datagram {
  std::vector<uint8_t> bytes;
  uint32_t port = 0;
  bool truncated = false;
};
using Datagrams = std::vector<Datagram>;

// One request as it left us.
struct Request {
  nlmsghdr header;
  uint8_t command;
  std::vector<uint8_t> attributes;

  uint32_t sequence() const { return header.nlmsg_seq; }
  bool is_dump() const { return (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP; }
};

// The kernel as a function from requests to replies. It knows the family IPVS and acknowledges all
// else unless told otherwise. The errors queued for a call are what its next calls return, one
// each; 0 lets a call through.
class FakeKernel {
 public:
  static constexpr uint16_t kFamily = 31;

  using Reply = std::function<Datagrams(const Request& request)>;

  // For requests to IPVS.
  Reply reply;
  // The family's id; 0 when there is no such family. A request to any other is answered ENOENT.
  uint16_t family = kFamily;
  // For every request, instead of all that: what rtnetlink and the like are played with.
  Reply stranger;
  // Called before each request is looked at.
  std::function<void()> on_request;
  // Called before each read.
  std::function<void()> on_receive;

  std::deque<int> send_errors;
  std::deque<int> receive_errors;
  std::deque<int> wait_results;
  size_t send_capacity = 1 << 20;
  size_t receive_capacity = 1 << 20;
  // Whether many requests can go out in one call.
  bool converses = false;
  // Datagrams that are there to be read; tests may slip in their own.
  std::deque<Datagram> queue;

  // What went by.
  std::vector<Request> requests;
  int sends = 0;
  int receives = 0;
  int waits = 0;
  int conversations = 0;

  // A transport to this kernel, which must outlive it.
  std::unique_ptr<Transport> Connect();
  // A connection that has already found the family. `timeout` as Connection's.
  std::shared_ptr<Connection> Open(int timeout = 50);

  // The usual reply to a request that has no data to give: nothing to a success that did not ask.
  static Datagrams Acknowledge(const Request& request, int err = 0);

 private:
  class Pipe;

  void Take(const Request& request);
};

}  // namespace ipvs
