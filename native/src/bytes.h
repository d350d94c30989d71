#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace ipvs {

using Bytes = std::span<const uint8_t>;

// How many records a request holds.
template <typename T>
size_t CountOf(Bytes request) {
  return request.size() / sizeof(T);
}

// Requests may lie at any address, so records are copied out.
template <typename T>
T RecordAt(Bytes request, size_t index) {
  T record;
  std::memcpy(&record, request.data() + index * sizeof(T), sizeof(T));
  return record;
}

// A growing array of bytes on malloc: large blocks move without being copied, nothing is zeroed
// first, and the result can be handed to JavaScript, which frees it.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer() { std::free(data_); }

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // Forgets everything after the first `size` bytes.
  void Truncate(size_t size) {
    if (size < size_) size_ = size;
  }

  template <typename T>
  void Append(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(Extend(sizeof(T)), &value, sizeof(T));
  }

  // Over what is there already.
  template <typename T>
  void Replace(size_t offset, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(data_ + offset, &value, sizeof(T));
  }

  // The address of `size` new bytes, which the caller fills.
  uint8_t* Extend(size_t size) {
    if (capacity_ - size_ < size) Grow(size_ + size);
    uint8_t* place = data_ + size_;
    size_ += size;
    return place;
  }

  // Gives the bytes away; std::free releases them. Null when there are none.
  uint8_t* Release() {
    if (size_ < capacity_ && size_ > 0) {
      if (void* fitting = std::realloc(data_, size_)) data_ = static_cast<uint8_t*>(fitting);
    }
    size_ = capacity_ = 0;
    return std::exchange(data_, nullptr);
  }

 private:
  static constexpr size_t kFirstCapacity = 1024;

  void Grow(size_t needed) {
    size_t capacity = capacity_ == 0 ? kFirstCapacity : capacity_;
    while (capacity < needed) capacity *= 2;
    void* data = std::realloc(data_, capacity);
    if (data == nullptr) throw std::bad_alloc();
    data_ = static_cast<uint8_t*>(data);
    capacity_ = capacity;
  }

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace ipvs
