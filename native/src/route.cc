#include "route.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "attributes.h"
#include "dump.h"
#include "netns.h"
#include "socket.h"

namespace ipvs {
namespace {

constexpr Failure kBadRequest = {"request", EINVAL};
// Answers to this many requests fit into the smallest receive buffer there is.
constexpr uint32_t kWindow = 64;

size_t AddressSize(uint8_t family) {
  return family == AF_INET ? sizeof(in_addr) : family == AF_INET6 ? sizeof(in6_addr) : 0;
}

bool IsSendable(const AddressChange& change) {
  const AddressRecord& address = change.address;
  const size_t size = AddressSize(address.family);
  return (change.command == RTM_NEWADDR || change.command == RTM_DELADDR) && size > 0 &&
         address.prefix <= size * 8 && address.link > 0 && address.link <= INT32_MAX;
}

bool IsName(const char (&name)[16]) {
  return name[0] != '\0' && std::memchr(name, '\0', sizeof(name)) != nullptr;
}

// The fixed header of a message, and the attributes after it.
template <typename Header>
bool Split(Bytes payload, Header* header, Bytes* attributes) {
  if (payload.size() < NLMSG_ALIGN(sizeof(Header))) return false;
  std::memcpy(header, payload.data(), sizeof(Header));
  *attributes = payload.subspan(NLMSG_ALIGN(sizeof(Header)));
  return true;
}

bool ReadLink(Bytes payload, LinkRecord* link) {
  ifinfomsg header;
  Bytes attributes;
  if (!Split(payload, &header, &attributes) || header.ifi_index <= 0) return false;
  *link = {};
  link->index = static_cast<uint32_t>(header.ifi_index);
  link->flags = header.ifi_flags;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    if (reader.type() == IFLA_IFNAME) reader.Text(link->name);
    if (reader.type() == IFLA_MTU) link->mtu = reader.U32();
    if (reader.type() == IFLA_LINKINFO) {
      reader.Nested([&](AttributeReader& info) {
        if (info.type() == IFLA_INFO_KIND) info.Text(link->kind);
      });
    }
  }
  return reader.ok() && link->name[0] != '\0';
}

bool ReadAddress(Bytes payload, AddressRecord* address) {
  ifaddrmsg header;
  Bytes attributes;
  if (!Split(payload, &header, &attributes)) return false;
  *address = {};
  address->link = header.ifa_index;
  address->family = header.ifa_family;
  address->prefix = header.ifa_prefixlen;
  address->scope = header.ifa_scope;
  const size_t size = AddressSize(header.ifa_family);
  bool local = false;
  size_t found = 0;
  AttributeReader reader(attributes);
  while (reader.Next()) {
    // On a point-to-point device ADDRESS is the other end's, and LOCAL ours.
    if (reader.type() == IFA_LOCAL || (reader.type() == IFA_ADDRESS && !local)) {
      local = local || reader.type() == IFA_LOCAL;
      found = reader.Address(address->address);
    }
  }
  return reader.ok() && size > 0 && found == size;
}

bool PutAddress(nl_msg* message, const AddressRecord& address) {
  const auto size = static_cast<int>(AddressSize(address.family));
  return nla_put(message, IFA_LOCAL, size, address.address) == 0 &&
         nla_put(message, IFA_ADDRESS, size, address.address) == 0;
}

bool PutDummy(nl_msg* message, const LinkRecord& link) {
  if (nla_put_string(message, IFLA_IFNAME, link.name) != 0) return false;
  nlattr* info = nla_nest_start(message, IFLA_LINKINFO);
  if (info == nullptr || nla_put_string(message, IFLA_INFO_KIND, "dummy") != 0) return false;
  nla_nest_end(message, info);
  return true;
}

bool PutNothing(nl_msg*) { return true; }

}  // namespace

Failure Route::Open(const std::string& netns, int timeout, std::shared_ptr<Conversation>* out) {
  std::unique_ptr<Transport> transport;
  if (Failure failure = RunInNetns(netns, [&] { return OpenNetlink(&transport, NETLINK_ROUTE); })) {
    return failure;
  }
  *out = std::make_shared<Route>(std::move(transport), timeout);
  return {};
}

Route::Route(std::unique_ptr<Transport> transport, int timeout)
    : channel_(std::make_unique<Channel>(std::move(transport), timeout)) {}

Failure Route::Execute(Op op, Bytes request, ByteBuffer* reply) {
  const std::lock_guard<std::mutex> turn(mutex_);
  if (channel_ == nullptr) return {"closed", EBADF};
  switch (op) {
    case Op::kLinks:
      return request.empty() ? Links(reply) : kBadRequest;
    case Op::kAddresses:
      return request.empty() ? Addresses(reply) : kBadRequest;
    case Op::kChangeAddresses:
      return request.size() % sizeof(AddressChange) == 0 ? ChangeAddresses(request, reply)
                                                         : kBadRequest;
    case Op::kAddDummy:
      if (request.size() != sizeof(LinkRecord)) return kBadRequest;
      return AddDummy(RecordAt<LinkRecord>(request, 0));
    case Op::kDeleteLink:
      if (request.size() != sizeof(LinkRecord)) return kBadRequest;
      return DeleteLink(RecordAt<LinkRecord>(request, 0));
    default:
      return kBadRequest;
  }
}

void Route::Close() {
  const std::lock_guard<std::mutex> turn(mutex_);
  channel_.reset();
}

Failure Route::Links(ByteBuffer* reply) {
  const auto add = [&](uint16_t flags, uint32_t sequence) {
    return outbox_.AddPlain(RTM_GETLINK, flags, sequence, ifinfomsg{}, PutNothing);
  };
  const auto take = [&](const Message& message) {
    LinkRecord link;
    if (!ReadLink(message.payload, &link)) return false;
    reply->Append(link);
    return true;
  };
  const auto reset = [&] { reply->Truncate(0); };
  return ReadDump(channel_.get(), &outbox_, {"links", RTM_NEWLINK, add, take, reset});
}

Failure Route::Addresses(ByteBuffer* reply) {
  const auto add = [&](uint16_t flags, uint32_t sequence) {
    return outbox_.AddPlain(RTM_GETADDR, flags, sequence, ifaddrmsg{}, PutNothing);
  };
  const auto take = [&](const Message& message) {
    // Of families that are none of ours there may be addresses too.
    if (message.payload.empty() || AddressSize(message.payload[0]) == 0) {
      return !message.payload.empty();
    }
    AddressRecord address;
    if (!ReadAddress(message.payload, &address)) return false;
    reply->Append(address);
    return true;
  };
  const auto reset = [&] { reply->Truncate(0); };
  return ReadDump(channel_.get(), &outbox_, {"addresses", RTM_NEWADDR, add, take, reset});
}

Failure Route::ChangeAddresses(Bytes changes, ByteBuffer* reply) {
  const size_t count = changes.size() / sizeof(AddressChange);
  for (size_t i = 0; i < count; i++) {
    if (!IsSendable(RecordAt<AddressChange>(changes, i))) return kBadRequest;
  }
  auto* outcomes = reinterpret_cast<int32_t*>(reply->Extend(count * sizeof(int32_t)));
  std::fill_n(outcomes, count, kNotTried);
  for (size_t done = 0; done < count;) {
    const auto some = static_cast<uint32_t>(std::min<size_t>(count - done, kWindow));
    if (Failure failure = SendAddressChanges(changes.data() + done * sizeof(AddressChange), some,
                                             outcomes + done)) {
      return failure;
    }
    done += some;
  }
  return {};
}

Failure Route::SendAddressChanges(const uint8_t* changes, uint32_t count, int32_t* outcomes) {
  const uint32_t first = channel_->Begin(count);
  outbox_.Clear();
  for (uint32_t i = 0; i < count; i++) {
    const auto change = RecordAt<AddressChange>({changes, count * sizeof(AddressChange)}, i);
    const AddressRecord& address = change.address;
    const bool adds = change.command == RTM_NEWADDR;
    const auto flags =
        static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | (adds ? NLM_F_CREATE | NLM_F_EXCL : 0));
    // NODAD: nobody else answers for the address of a service, and one that is still tentative
    // takes no traffic.
    const auto options = static_cast<uint8_t>(address.family == AF_INET6 ? IFA_F_NODAD : 0);
    const ifaddrmsg header = {address.family, address.prefix, options, address.scope, address.link};
    if (!outbox_.AddPlain(static_cast<uint16_t>(change.command), flags, first + i, header,
                          [&](nl_msg* message) { return PutAddress(message, address); })) {
      return {"request", EMSGSIZE};
    }
  }
  if (Failure failure = channel_->Send(outbox_.bytes())) return failure;
  uint32_t open = count;
  const auto receive = [&](uint32_t index, const Message& message) {
    int err = 0;
    if (message.type != NLMSG_ERROR || !ReadErrno(message, &err)) return false;
    if (outcomes[index] == kNotTried) open--;
    outcomes[index] = err;
    return true;
  };
  while (open > 0) {
    if (Failure failure = channel_->Receive(Shape::kAcknowledgements, receive)) return failure;
  }
  return {};
}

Failure Route::AddDummy(const LinkRecord& link) {
  if (!IsName(link.name)) return kBadRequest;
  return Command("addLink", [&](uint16_t flags, uint32_t sequence) {
    return outbox_.AddPlain(RTM_NEWLINK, static_cast<uint16_t>(flags | NLM_F_CREATE | NLM_F_EXCL),
                            sequence, ifinfomsg{},
                            [&](nl_msg* message) { return PutDummy(message, link); });
  });
}

Failure Route::DeleteLink(const LinkRecord& link) {
  // Index 0 would mean: by name, and there is none.
  if (link.index == 0 || link.index > INT32_MAX) return kBadRequest;
  ifinfomsg header = {};
  header.ifi_index = static_cast<int>(link.index);
  return Command("deleteLink", [&](uint16_t flags, uint32_t sequence) {
    return outbox_.AddPlain(RTM_DELLINK, flags, sequence, header, PutNothing);
  });
}

Failure Route::Command(const char* op, const Add& add) {
  const uint32_t sequence = channel_->Begin(1);
  outbox_.Clear();
  if (!add(NLM_F_REQUEST | NLM_F_ACK, sequence)) return {"request", EMSGSIZE};
  if (Failure failure = channel_->Send(outbox_.bytes())) return failure;
  int err = 0;
  bool finished = false;
  const auto receive = [&](uint32_t, const Message& message) {
    return finished = message.type == NLMSG_ERROR && ReadErrno(message, &err);
  };
  while (!finished) {
    if (Failure failure = channel_->Receive(Shape::kData, receive)) return failure;
  }
  return {op, err};
}

}  // namespace ipvs
