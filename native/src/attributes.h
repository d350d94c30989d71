#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bytes.h"

namespace ipvs {

// Walks netlink attributes that may be anything. The first thing that makes no sense ends the walk
// and sticks: read what you want, then ask ok() once. What a read returns after that is zero, never
// out of bounds.
class AttributeReader {
 public:
  explicit AttributeReader(Bytes bytes) : rest_(bytes) {}

  // Steps to the next attribute; false at the end and after a mistake.
  bool Next();
  bool ok() const { return ok_; }
  // Marks what is being read as senseless, for rules that only the caller knows.
  void Fail() { ok_ = false; }

  // The bytes of the attribute, whatever they are.
  Bytes value() const { return value_; }
  // Without the nested and byte-order flags.
  uint16_t type() const { return type_; }
  uint8_t U8() { return Read<uint8_t>(); }
  uint16_t U16() { return Read<uint16_t>(); }
  uint32_t U32() { return Read<uint32_t>(); }
  uint16_t NetworkU16();
  uint32_t NetworkU32();
  uint64_t NetworkU64();
  // A counter of four or eight bytes: STATS and STATS64 differ in nothing else.
  uint64_t Counter();
  // Four or sixteen bytes, and which; the rest of `out` becomes zero.
  size_t Address(uint8_t (&out)[16]);
  // Cuts what does not fit; `out` always ends in NUL.
  template <size_t Size>
  void Text(char (&out)[Size]) {
    CopyText(out, Size);
  }

  // Walks the attributes inside this one: `visit` is called on each.
  template <typename Visit>
  void Nested(Visit&& visit) {
    AttributeReader inner(value_);
    while (inner.Next()) visit(inner);
    if (!inner.ok()) Fail();
  }

  // An attribute may be longer than we know, as a kernel newer than us may make it, but not
  // shorter.
  template <typename T>
  T Read() {
    T value{};
    if (value_.size() < sizeof(T)) {
      Fail();
    } else {
      std::memcpy(&value, value_.data(), sizeof(T));
    }
    return value;
  }

 private:
  void CopyText(char* out, size_t size);

  Bytes rest_;
  Bytes value_;
  uint16_t type_ = 0;
  bool ok_ = true;
};

}  // namespace ipvs
