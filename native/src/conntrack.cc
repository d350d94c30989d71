#include "conntrack.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "attributes.h"
#include "socket.h"

namespace ipvs {
namespace {

constexpr uint16_t Type(uint8_t message) { return NFNL_SUBSYS_CTNETLINK << 8 | message; }

// Netfilter's states in IPVS's words. IPVS takes the server's view, so a handshake under way is
// SYN_RECV whichever half of it is done.
constexpr std::string_view kTcpStates[] = {"NONE",     "SYN_RECV",   "SYN_RECV", "ESTABLISHED",
                                           "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
                                           "CLOSE",    "SYN_RECV"};
// nf_conntrack_sctp.h: heartbeats tell no more than that packets pass.
constexpr std::string_view kSctpStates[] = {"NONE",        "CLOSED",     "C-WAIT",     "C-ECHOED",
                                            "ESTABLISHED", "S-SENT",     "S-RECEIVED", "S-ACK-SENT",
                                            "NONE",        "ESTABLISHED"};
constexpr std::string_view kUnknownState = "ERR!";

// One direction of a flow.
struct Tuple {
  uint8_t source[16] = {};
  uint8_t destination[16] = {};
  size_t source_size = 0;
  size_t destination_size = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint8_t protocol = 0;

  bool is_complete() const { return source_size != 0 && source_size == destination_size; }
  uint8_t family() const { return source_size == 4 ? kIpv4 : kIpv6; }
};

size_t ReadAddress(AttributeReader& attribute, size_t size, uint8_t (&address)[16]) {
  if (attribute.Address(address) != size) attribute.Fail();
  return size;
}

void ReadAddresses(AttributeReader& attribute, Tuple* tuple) {
  switch (attribute.type()) {
    case CTA_IP_V4_SRC:
      tuple->source_size = ReadAddress(attribute, 4, tuple->source);
      break;
    case CTA_IP_V4_DST:
      tuple->destination_size = ReadAddress(attribute, 4, tuple->destination);
      break;
    case CTA_IP_V6_SRC:
      tuple->source_size = ReadAddress(attribute, 16, tuple->source);
      break;
    case CTA_IP_V6_DST:
      tuple->destination_size = ReadAddress(attribute, 16, tuple->destination);
      break;
  }
}

void ReadPorts(AttributeReader& attribute, Tuple* tuple) {
  switch (attribute.type()) {
    case CTA_PROTO_NUM:
      tuple->protocol = attribute.U8();
      break;
    case CTA_PROTO_SRC_PORT:
      tuple->source_port = attribute.NetworkU16();
      break;
    case CTA_PROTO_DST_PORT:
      tuple->destination_port = attribute.NetworkU16();
      break;
  }
}

void ReadTuple(AttributeReader& attribute, Tuple* tuple) {
  attribute.Nested([&](AttributeReader& part) {
    if (part.type() == CTA_TUPLE_IP) {
      part.Nested([&](AttributeReader& address) { ReadAddresses(address, tuple); });
    } else if (part.type() == CTA_TUPLE_PROTO) {
      part.Nested([&](AttributeReader& port) { ReadPorts(port, tuple); });
    }
  });
}

// What protocols tell of their states; numbers that no protocol has stay.
struct ProtocolState {
  size_t tcp = TCP_CONNTRACK_NONE;
  size_t sctp = 0;
};

void ReadProtocolState(AttributeReader& attribute, ProtocolState* state) {
  attribute.Nested([&](AttributeReader& protocol) {
    if (protocol.type() == CTA_PROTOINFO_TCP) {
      protocol.Nested([&](AttributeReader& field) {
        if (field.type() == CTA_PROTOINFO_TCP_STATE) state->tcp = field.U8();
      });
    } else if (protocol.type() == CTA_PROTOINFO_SCTP) {
      protocol.Nested([&](AttributeReader& field) {
        if (field.type() == CTA_PROTOINFO_SCTP_STATE) state->sctp = field.U8();
      });
    }
  });
}

std::string_view StateOf(uint8_t protocol, const ProtocolState& state) {
  switch (protocol) {
    case IPPROTO_TCP:
      return state.tcp < std::size(kTcpStates) ? kTcpStates[state.tcp] : kUnknownState;
    case IPPROTO_SCTP:
      return state.sctp < std::size(kSctpStates) ? kSctpStates[state.sctp] : kUnknownState;
    case IPPROTO_UDP:
      return "UDP";
  }
  return "NONE";
}

bool IsDestinationKnown(const ConnectionRow& row) {
  return row.destination_port != row.virtual_port || row.destination_family != row.family ||
         std::memcmp(row.destination_address, row.virtual_address, 16) != 0;
}

// A number in a file of /proc/sys, which is that of the calling thread's namespace.
Failure ReadSysctl(const char* path, const char* op, uint32_t* value) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {op, errno};
  char text[32];
  const ssize_t size = read(fd, text, sizeof(text));
  const int err = errno;
  close(fd);
  if (size < 0) return {op, err};
  const auto [end, error] = std::from_chars(text, text + size, *value);
  return error == std::errc() ? Failure{} : Failure{op, EBADMSG};
}

struct DumpRequest {
  nlmsghdr header;
  nfgenmsg family;
};
static_assert(sizeof(DumpRequest) == NLMSG_HDRLEN + sizeof(nfgenmsg));

}  // namespace

constexpr Failure kConntrackUnfit = {"conntrack unfit", EOPNOTSUPP};

void ServiceSet::Add(const ServiceKey& service) {
  if (service.fwmark != 0) return;
  Key key = {{},
             service.port,
             static_cast<uint8_t>(service.protocol),
             service.family == AF_INET6 ? kIpv6 : kIpv4};
  std::memcpy(key.address, service.address, sizeof(key.address));
  keys_.Insert(key);
  if (service.port == 0) has_any_port_ = true;
}

bool ServiceSet::Contains(const ConnectionRow& flow) const {
  Key key = {{}, flow.virtual_port, flow.protocol, flow.family};
  std::memcpy(key.address, flow.virtual_address, sizeof(key.address));
  if (keys_.Contains(key)) return true;
  key.port = 0;
  return has_any_port_ && keys_.Contains(key);
}

bool ReadFlow(Bytes attributes, ConnectionRow* row) {
  Tuple original;
  Tuple reply;
  ProtocolState state;
  *row = {};
  AttributeReader attribute(attributes);
  while (attribute.Next()) {
    switch (attribute.type()) {
      case CTA_TUPLE_ORIG:
        ReadTuple(attribute, &original);
        break;
      case CTA_TUPLE_REPLY:
        ReadTuple(attribute, &reply);
        break;
      case CTA_PROTOINFO:
        ReadProtocolState(attribute, &state);
        break;
      case CTA_TIMEOUT:
        row->expires = ntohl(attribute.U32());
        break;
    }
  }
  if (!attribute.ok() || !original.is_complete() || !reply.is_complete()) return false;
  row->protocol = original.protocol;
  row->family = original.family();
  row->destination_family = reply.family();
  row->client_port = original.source_port;
  row->virtual_port = original.destination_port;
  row->state = StateOf(original.protocol, state);
  std::memcpy(row->client_address, original.source, sizeof(original.source));
  std::memcpy(row->virtual_address, original.destination, sizeof(original.destination));
  row->destination_port = reply.source_port;
  std::memcpy(row->destination_address, reply.source, sizeof(reply.source));
  if (!IsDestinationKnown(*row)) {
    row->destination_port = 0;
    std::memset(row->destination_address, 0, sizeof(row->destination_address));
  }
  return true;
}

Failure CheckConntrack(uint32_t* flows) {
  constexpr char kSwitch[] = "/proc/sys/net/ipv4/vs/conntrack";
  uint32_t is_on = 0;
  if (Failure failure = ReadSysctl(kSwitch, "conntrack switch", &is_on)) return failure;
  if (is_on == 0) return {"conntrack off", EOPNOTSUPP};
  if (ReadSysctl("/proc/sys/net/netfilter/nf_conntrack_count", "conntrack count", flows)) {
    *flows = kFlowsUnknown;
  }
  return {};
}

FlowsReading::FlowsReading(std::unique_ptr<Transport> transport, int timeout, ServiceSet services,
                           bool is_whole, const ConnectionQuery& query, ConnectionColumns* columns)
    : channel_(std::move(transport), timeout),
      services_(std::move(services)),
      is_whole_(is_whole),
      query_(query),
      columns_(columns) {}

Failure FlowsReading::Ask() {
  is_asked_ = true;
  DumpRequest request = {};
  request.header = {sizeof(request), Type(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP,
                    channel_.Begin(1), 0};
  request.family = {AF_UNSPEC, NFNETLINK_V0, 0};
  return channel_.Send({reinterpret_cast<const uint8_t*>(&request), sizeof(request)});
}

Failure FlowsReading::Continue(Clock::time_point until, const std::atomic<bool>& canceled,
                               bool* is_over) {
  if (!is_asked_) {
    if (Failure failure = Ask()) return failure;
  }
  const auto receive = [this](uint32_t, const Message& message) { return Take(message); };
  do {
    if (canceled.load(std::memory_order_relaxed)) return {"connections", ECANCELED};
    if (Failure failure = channel_.Receive(Shape::kData, receive)) return failure;
    if (failure_) return failure_;
  } while (!is_over_ && Clock::now() < until);
  *is_over = is_over_;
  if (!is_over_) return {};
  if (err_ != 0) return {"conntrack", err_};
  // A dump that lost datagrams may still reach its end.
  return channel_.overrun() ? Failure{"receive", ENOBUFS} : Failure{};
}

bool FlowsReading::Take(const Message& message) {
  if (is_over_ || failure_) return true;
  if (message.type == NLMSG_ERROR || message.type == NLMSG_DONE) {
    return is_over_ = ReadErrno(message, &err_);
  }
  ConnectionRow row;
  if (message.type != Type(IPCTNL_MSG_CT_NEW) || message.payload.size() < sizeof(nfgenmsg) ||
      !ReadFlow(message.payload.subspan(sizeof(nfgenmsg)), &row)) {
    return false;
  }
  failure_ = TakeFlow(row);
  return true;
}

Failure FlowsReading::TakeFlow(const ConnectionRow& row) {
  if (!services_.Contains(row)) return {};
  if (is_whole_ && row.destination_port == 0) return kConntrackUnfit;
  if (!Matches(query_, row) || columns_->Append(row)) return {};
  return {"connection table", EOVERFLOW};
}

}  // namespace ipvs
