#include "attributes.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netlink/attr.h>

#include <algorithm>

namespace ipvs {

bool AttributeReader::Next() {
  if (!ok_ || rest_.empty()) return false;
  nlattr header;
  if (rest_.size() < sizeof(header)) {
    Fail();
    return false;
  }
  std::memcpy(&header, rest_.data(), sizeof(header));
  if (header.nla_len < sizeof(header) || header.nla_len > rest_.size()) {
    Fail();
    return false;
  }
  type_ = header.nla_type & NLA_TYPE_MASK;
  value_ = rest_.subspan(sizeof(header), header.nla_len - sizeof(header));
  rest_ = rest_.subspan(std::min<size_t>(NLA_ALIGN(header.nla_len), rest_.size()));
  return true;
}

uint16_t AttributeReader::NetworkU16() { return ntohs(U16()); }
uint32_t AttributeReader::NetworkU32() { return ntohl(U32()); }
uint64_t AttributeReader::NetworkU64() { return be64toh(Read<uint64_t>()); }

uint64_t AttributeReader::Counter() {
  return value_.size() == sizeof(uint32_t) ? Read<uint32_t>() : Read<uint64_t>();
}

size_t AttributeReader::Address(uint8_t (&out)[16]) {
  std::memset(out, 0, sizeof(out));
  if (value_.size() != 4 && value_.size() != sizeof(out)) {
    Fail();
    return 0;
  }
  std::memcpy(out, value_.data(), value_.size());
  return value_.size();
}

void AttributeReader::CopyText(char* out, size_t size) {
  std::memset(out, 0, size);
  const size_t room = std::min(value_.size(), size - 1);
  for (size_t i = 0; i < room && value_[i] != 0; i++) out[i] = static_cast<char>(value_[i]);
}

}  // namespace ipvs
