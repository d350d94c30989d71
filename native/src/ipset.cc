#include "ipset.h"

#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "attributes.h"
#include "dump.h"
#include "netns.h"
#include "socket.h"

namespace ipvs {
namespace {

constexpr Failure kBadRequest = {"request", EINVAL};
// What every kernel with ip sets understands; since 4.20 there is a 7, too.
constexpr uint8_t kProtocol = 6;
constexpr uint16_t kList = NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST;

// An address of a set's own family.
bool ReadAddress(AttributeReader& attribute, uint16_t family, uint8_t (&address)[16]) {
  const bool is_ipv6 = family == AF_INET6;
  const uint16_t wanted = is_ipv6 ? IPSET_ATTR_IPADDR_IPV6 : IPSET_ATTR_IPADDR_IPV4;
  size_t size = 0;
  attribute.Nested([&](AttributeReader& part) {
    if (part.type() == wanted) size = part.Address(address);
  });
  return size == (is_ipv6 ? 16 : 4);
}

uint8_t ReadPrefix(AttributeReader& attribute, uint16_t family) {
  const uint8_t most = family == AF_INET6 ? 128 : 32;
  const uint8_t prefix = attribute.U8();
  if (prefix > most) attribute.Fail();
  return prefix == most ? 0 : prefix;
}

void ReadField(AttributeReader& attribute, uint16_t family, EntryRecord* entry) {
  switch (attribute.type()) {
    case IPSET_ATTR_IP:
      if (!ReadAddress(attribute, family, entry->address)) attribute.Fail();
      entry->has |= kEntryAddress;
      break;
    case IPSET_ATTR_IP2:
      if (!ReadAddress(attribute, family, entry->address2)) attribute.Fail();
      entry->has |= kEntryAddress2;
      break;
    case IPSET_ATTR_CIDR:
      entry->prefix = ReadPrefix(attribute, family);
      break;
    case IPSET_ATTR_CIDR2:
      entry->prefix2 = ReadPrefix(attribute, family);
      break;
    case IPSET_ATTR_PORT:
      entry->port = attribute.NetworkU16();
      entry->has |= kEntryPort;
      break;
    case IPSET_ATTR_PROTO:
      entry->protocol = attribute.U8();
      entry->has |= kEntryProtocol;
      break;
    case IPSET_ATTR_SKBMARK: {
      const uint64_t both = attribute.NetworkU64();
      entry->mark = static_cast<uint32_t>(both >> 32);
      entry->mask = static_cast<uint32_t>(both);
      entry->has |= kEntryMark;
      break;
    }
    case IPSET_ATTR_CADT_FLAGS:
      if (attribute.NetworkU32() & IPSET_FLAG_NOMATCH) entry->has |= kEntryNoMatch;
      break;
  }
}

void ReadEntries(AttributeReader& list, SetRecord* set, ByteBuffer* reply) {
  list.Nested([&](AttributeReader& item) {
    if (item.type() != IPSET_ATTR_DATA) return;
    EntryRecord entry = {};
    item.Nested([&](AttributeReader& field) { ReadField(field, set->family, &entry); });
    reply->Append(entry);
    set->entries++;
  });
}

void ReadOptions(AttributeReader& options, SetRecord* set) {
  options.Nested([&](AttributeReader& option) {
    if (option.type() == IPSET_ATTR_MAXELEM) set->limit = option.NetworkU32();
  });
}

}  // namespace

// What is told of the whole set comes before its entries.
bool ReadSet(Bytes attributes, SetRecord* set, ByteBuffer* reply) {
  AttributeReader attribute(attributes);
  while (attribute.Next()) {
    switch (attribute.type()) {
      case IPSET_ATTR_TYPENAME:
        attribute.Text(set->type);
        break;
      case IPSET_ATTR_FAMILY:
        if (set->entries > 0) attribute.Fail();
        set->family = attribute.U8();
        break;
      case IPSET_ATTR_DATA:
        ReadOptions(attribute, set);
        break;
      case IPSET_ATTR_ADT:
        ReadEntries(attribute, set, reply);
        break;
    }
  }
  return attribute.ok() && set->type[0] != '\0';
}

Failure IpSets::Open(const std::string& netns, int timeout, std::shared_ptr<Conversation>* out) {
  std::unique_ptr<Transport> transport;
  const auto open = [&] { return OpenNetlink(&transport, NETLINK_NETFILTER); };
  if (Failure failure = RunInNetns(netns, open)) return failure;
  *out = std::make_shared<IpSets>(std::move(transport), timeout);
  return {};
}

IpSets::IpSets(std::unique_ptr<Transport> transport, int timeout)
    : channel_(std::make_unique<Channel>(std::move(transport), timeout)) {}

// Set by set, as somebody else may have one of millions.
Failure IpSets::Execute(Op op, Bytes request, ByteBuffer* reply) {
  const std::lock_guard<std::mutex> turn(mutex_);
  if (channel_ == nullptr) return {"closed", EBADF};
  if (op != Op::kSets || request.size() % sizeof(SetName) != 0) return kBadRequest;
  for (size_t i = 0; i < CountOf<SetName>(request); i++) {
    const auto name = RecordAt<SetName>(request, i);
    if (name.name[0] == '\0' || std::memchr(name.name, '\0', sizeof(name.name)) == nullptr) {
      return kBadRequest;
    }
    if (Failure failure = Read(name, reply)) return failure;
  }
  return {};
}

Failure IpSets::Read(const SetName& name, ByteBuffer* reply) {
  const size_t start = reply->size();
  SetRecord set = {};
  const auto add = [&](uint16_t flags, uint32_t sequence) {
    const nfgenmsg header = {AF_UNSPEC, NFNETLINK_V0, 0};
    return outbox_.AddPlain(kList, flags, sequence, header, [&](nl_msg* message) {
      return nla_put_u8(message, IPSET_ATTR_PROTOCOL, kProtocol) == 0 &&
             nla_put_string(message, IPSET_ATTR_SETNAME, name.name) == 0;
    });
  };
  const auto take = [&](const Message& message) {
    return message.payload.size() >= sizeof(nfgenmsg) &&
           ReadSet(message.payload.subspan(sizeof(nfgenmsg)), &set, reply);
  };
  const auto reset = [&] {
    set = {};
    std::memcpy(set.name, name.name, sizeof(set.name));
    reply->Truncate(start);
    reply->Append(set);
  };
  const Failure failure = ReadDump(channel_.get(), &outbox_, {"sets", kList, add, take, reset});
  reply->Replace(start, set);
  if (failure.err != 0 || set.type[0] == '\0') reply->Truncate(start);
  const bool is_absent = failure.err == ENOENT && std::strcmp(failure.op, "sets") == 0;
  return is_absent ? Failure{} : failure;
}

void IpSets::Close() {
  const std::lock_guard<std::mutex> turn(mutex_);
  channel_.reset();
}

}  // namespace ipvs
