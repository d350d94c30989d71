#include "flows.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <cstring>

namespace ipvs {
namespace {

// IPCTNL_MSG_CT_NEW of the subsystem NFNL_SUBSYS_CTNETLINK.
constexpr uint16_t kFlow = 0x100;

Attributes AddressesReply(const Direction& direction) {
  const bool is_ipv6 = std::strchr(direction.source, ':') != nullptr;
  const int family = is_ipv6 ? AF_INET6 : AF_INET;
  const size_t size = is_ipv6 ? 16 : 4;
  uint8_t source[16] = {};
  uint8_t destination[16] = {};
  inet_pton(family, direction.source, source);
  inet_pton(family, direction.destination, destination);
  return Attributes()
      .Raw(is_ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, source, size)
      .Raw(is_ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, destination, size);
}

}  // namespace

Attributes TupleReply(uint8_t protocol, const Direction& direction) {
  const Attributes ports = Attributes()
                               .U8(CTA_PROTO_NUM, protocol)
                               .U16(CTA_PROTO_SRC_PORT, htons(direction.source_port))
                               .U16(CTA_PROTO_DST_PORT, htons(direction.destination_port));
  return Attributes()
      .Nest(CTA_TUPLE_IP | NLA_F_NESTED, AddressesReply(direction))
      .Nest(CTA_TUPLE_PROTO | NLA_F_NESTED, ports);
}

Attributes FlowReply(uint8_t protocol, const Direction& original, const Direction& reply,
                     uint8_t state, uint32_t timeout) {
  Attributes flow;
  flow.Nest(CTA_TUPLE_ORIG | NLA_F_NESTED, TupleReply(protocol, original))
      .Nest(CTA_TUPLE_REPLY | NLA_F_NESTED, TupleReply(protocol, reply))
      .U32(CTA_STATUS, htonl(14));
  if (protocol == IPPROTO_TCP) {
    const Attributes tcp =
        Attributes().U8(CTA_PROTOINFO_TCP_STATE, state).U8(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, 7);
    flow.Nest(CTA_PROTOINFO | NLA_F_NESTED,
              Attributes().Nest(CTA_PROTOINFO_TCP | NLA_F_NESTED, tcp));
  } else if (protocol == IPPROTO_SCTP) {
    const Attributes sctp = Attributes().U8(CTA_PROTOINFO_SCTP_STATE, state);
    flow.Nest(CTA_PROTOINFO | NLA_F_NESTED,
              Attributes().Nest(CTA_PROTOINFO_SCTP | NLA_F_NESTED, sctp));
  }
  return flow.U32(CTA_MARK, 0).U32(CTA_TIMEOUT, htonl(timeout));
}

// The header after netlink's own is as large as generic netlink's: family, version, and nothing.
std::vector<uint8_t> FlowMessage(uint32_t sequence, uint8_t family, const Attributes& flow) {
  static_assert(sizeof(nfgenmsg) == 4);
  return Data(kFlow, sequence, family, true, flow);
}

}  // namespace ipvs
