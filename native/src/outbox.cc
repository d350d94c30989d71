#include "outbox.h"

#include <linux/genetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <cstring>
#include <new>

namespace ipvs {

Outbox::Outbox() : message_(nlmsg_alloc_size(kMaxRequest)) {
  if (message_ == nullptr) throw std::bad_alloc();
}

void Outbox::Start(uint16_t family, uint8_t command, uint16_t flags, uint32_t sequence) {
  constexpr uint8_t kVersion = 1;
  // By hand: calls of libnl take longer for these few fields than all attributes do.
  struct {
    nlmsghdr netlink;
    genlmsghdr generic;
  } head = {};
  head.netlink = {sizeof(head), family, flags, sequence, NL_AUTO_PORT};
  head.generic.cmd = command;
  head.generic.version = kVersion;
  static_assert(sizeof(head) == NLMSG_HDRLEN + GENL_HDRLEN && sizeof(head) < kMaxRequest);
  std::memcpy(nlmsg_hdr(message_.get()), &head, sizeof(head));
}

bool Outbox::StartPlain(uint16_t type, uint16_t flags, uint32_t sequence, const void* header,
                        size_t size) {
  // What nlmsg_alloc_size leaves behind: a header and nothing after it.
  nlmsg_hdr(message_.get())->nlmsg_len = NLMSG_HDRLEN;
  nlmsghdr* start = nlmsg_put(message_.get(), NL_AUTO_PORT, sequence, type, 0, flags);
  return start != nullptr &&
         nlmsg_append(message_.get(), const_cast<void*>(header), size, NLMSG_ALIGNTO) == 0;
}

void Outbox::Finish() {
  const nlmsghdr* header = nlmsg_hdr(message_.get());
  const auto* bytes = reinterpret_cast<const uint8_t*>(header);
  last_ = bytes_.size();
  bytes_.insert(bytes_.end(), bytes, bytes + NLMSG_ALIGN(header->nlmsg_len));
}

void Outbox::FlagLast(uint16_t flags) {
  nlmsghdr header;
  std::memcpy(&header, bytes_.data() + last_, sizeof(header));
  header.nlmsg_flags |= flags;
  std::memcpy(bytes_.data() + last_, &header, sizeof(header));
}

}  // namespace ipvs
