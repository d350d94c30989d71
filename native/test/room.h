#pragma once

#include <sanitizer/asan_interface.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "bytes.h"

namespace ipvs {

// Puts what arrived into a reader's memory, and fences off what was there behind it: the memory is
// used again and again, so reading on would otherwise look fine. Returns how much fitted.
inline size_t FillRoom(const iovec& room, Bytes bytes) {
  ASAN_UNPOISON_MEMORY_REGION(room.iov_base, room.iov_len);
  const size_t size = std::min(room.iov_len, bytes.size());
  if (size > 0) std::memcpy(room.iov_base, bytes.data(), size);
  ASAN_POISON_MEMORY_REGION(static_cast<uint8_t*>(room.iov_base) + size, room.iov_len - size);
  return size;
}

}  // namespace ipvs
