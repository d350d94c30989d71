// Netfilter's table of flows as another source of connections: linear where older kernels read
// ip_vs_conn in quadratic time. It knows IPVS's connections where net.ipv4.vs.conntrack is 1.
#pragma once

#include <cstdint>
#include <memory>

#include "bytes.h"
#include "channel.h"
#include "connections.h"
#include "failure.h"
#include "reading.h"
#include "records.h"
#include "row_set.h"
#include "transport.h"

namespace ipvs {

// Which flows are IPVS's: those that were first sent to a service.
class ServiceSet {
 public:
  // A service of a firewall mark has no address to know its flows by.
  void Add(const ServiceKey& service);
  bool Contains(const ConnectionRow& flow) const;

 private:
  struct Key {
    uint8_t address[16];
    uint16_t port;
    uint8_t protocol;
    uint8_t family;
  };

  RowSet<Key> keys_;
  bool has_any_port_ = false;
};

// Reads one flow: the attributes after its nfgenmsg. The destination is the sender of replies; all
// zeros when that is the virtual address itself, as it is unless IPVS masquerades. False when the
// attributes make no sense.
bool ReadFlow(Bytes attributes, ConnectionRow* row);

// What the calling thread's namespace says: whether IPVS keeps flows in netfilter's table, and how
// many flows of all kinds are there.
Failure CheckConntrack(uint32_t* flows);
constexpr uint32_t kFlowsUnknown = UINT32_MAX;

// Appends the flows to services that match. `is_whole` wants every destination, and gives up with
// kConntrackUnfit where netfilter does not know it. `timeout` bounds each wait for the kernel.
class FlowsReading final : public Reading {
 public:
  FlowsReading(std::unique_ptr<Transport> transport, int timeout, ServiceSet services,
               bool is_whole, const ConnectionQuery& query, ConnectionColumns* columns);
  Failure Continue(Clock::time_point until, const std::atomic<bool>& canceled,
                   bool* is_over) override;

 private:
  Failure Ask();
  bool Take(const Message& message);
  Failure TakeFlow(const ConnectionRow& row);

  Channel channel_;
  const ServiceSet services_;
  const bool is_whole_;
  const ConnectionQuery query_;
  ConnectionColumns* const columns_;
  Failure failure_;  // why nothing more is taken
  int err_ = 0;      // what the kernel said at the end
  bool is_asked_ = false;
  bool is_over_ = false;
};

// The other source is the better one.
extern const Failure kConntrackUnfit;

}  // namespace ipvs
