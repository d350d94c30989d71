#include "sets.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netlink.h>

#include <cstring>

namespace ipvs {
namespace {

constexpr uint16_t kOrder = NLA_F_NET_BYTEORDER;

Attributes AddressReply(const std::string& text) {
  const bool is_ipv6 = text.find(':') != std::string::npos;
  uint8_t bytes[16] = {};
  inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text.c_str(), bytes);
  return Attributes().Raw((is_ipv6 ? IPSET_ATTR_IPADDR_IPV6 : IPSET_ATTR_IPADDR_IPV4) | kOrder,
                          bytes, is_ipv6 ? 16 : 4);
}

Attributes EntryReply(const SetEntry& entry) {
  Attributes attributes;
  if (!entry.address.empty()) {
    attributes.Nest(IPSET_ATTR_IP | NLA_F_NESTED, AddressReply(entry.address));
  }
  if (!entry.address2.empty()) {
    attributes.Nest(IPSET_ATTR_IP2 | NLA_F_NESTED, AddressReply(entry.address2));
  }
  if (entry.port != 0) attributes.U16(IPSET_ATTR_PORT | kOrder, htons(entry.port));
  if (entry.prefix != 0) attributes.U8(IPSET_ATTR_CIDR, entry.prefix);
  if (entry.prefix2 != 0) attributes.U8(IPSET_ATTR_CIDR2, entry.prefix2);
  if (entry.protocol != 0) attributes.U8(IPSET_ATTR_PROTO, entry.protocol);
  if (entry.no_match) attributes.U32(IPSET_ATTR_CADT_FLAGS | kOrder, htonl(IPSET_FLAG_NOMATCH));
  if (entry.mark != 0) attributes.U64(IPSET_ATTR_SKBMARK | kOrder, htobe64(entry.mark));
  return attributes.U32(IPSET_ATTR_TIMEOUT | kOrder, htonl(60));
}

}  // namespace

Attributes SetReply(const std::string& name, const std::string& type, uint8_t family,
                    uint32_t limit, const std::vector<SetEntry>& entries) {
  Attributes set;
  set.U8(IPSET_ATTR_PROTOCOL, 6).Text(IPSET_ATTR_SETNAME, name);
  if (!type.empty()) {
    set.Text(IPSET_ATTR_TYPENAME, type).U8(IPSET_ATTR_FAMILY, family).U8(IPSET_ATTR_REVISION, 5);
    Attributes options;
    options.U32(IPSET_ATTR_HASHSIZE | kOrder, htonl(1024));
    if (limit != 0) options.U32(IPSET_ATTR_MAXELEM | kOrder, htonl(limit));
    set.Nest(IPSET_ATTR_DATA | NLA_F_NESTED, options);
  }
  Attributes list;
  for (const SetEntry& entry : entries) {
    list.Nest(IPSET_ATTR_DATA | NLA_F_NESTED, EntryReply(entry));
  }
  return set.Nest(IPSET_ATTR_ADT | NLA_F_NESTED, list);
}

// The header after netlink's own is as large as generic netlink's.
std::vector<uint8_t> SetMessage(uint32_t sequence, const Attributes& set) {
  return Data(kSetMessage, sequence, AF_INET, true, set);
}

}  // namespace ipvs
