// What crosses to JavaScript and how: errors, memory, promises. One of the three files that know
// Node-API.
#pragma once

#include <napi.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <utility>

#include "bytes.h"
#include "connections.h"
#include "failure.h"

namespace ipvs::addon {

inline constexpr Failure kClosed = {"closed", EBADF};
inline constexpr Failure kBadRequest = {"request", EINVAL};
inline constexpr Failure kCanceled = {"close", ECANCELED};

// About what a connection weighs outside of V8's heap: its buffers. It tells the collector that
// forgotten handles matter.
inline constexpr int64_t kHandleWeight = 512 << 10;

// lib makes its own errors from `op` and `errno`; the text is for those who look at the addon
// itself.
inline Napi::Error ErrorOf(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(
      env, std::string(failure.op) + " failed with errno " + std::to_string(failure.err));
  // Defined, not assigned: a setter that somebody put on Object.prototype has no say.
  const auto attributes = static_cast<napi_property_attributes>(napi_default_jsproperty);
  error.Value().DefineProperties(
      {Napi::PropertyDescriptor::Value("op", Napi::String::New(env, failure.op), attributes),
       Napi::PropertyDescriptor::Value("errno", Napi::Number::New(env, failure.err), attributes)});
  return error;
}

inline void FreeBytes(napi_env, void* data, void*) { std::free(data); }

inline Napi::Value CopyOf(Napi::Env env, Bytes bytes) {
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(copy.Data(), bytes.data(), bytes.size());
  return copy;
}

// Hands large replies over without copying them, where the runtime allows memory that is not its
// own. Not for synchronous calls: such memory comes back only when the event loop turns, so a loop
// of them would never see any of it again.
inline Napi::Value Share(Napi::Env env, ByteBuffer* bytes) {
  constexpr size_t kWorthSharing = 4096;
  const size_t size = bytes->size();
  if (size < kWorthSharing) return CopyOf(env, {bytes->data(), size});
  std::unique_ptr<uint8_t, void (*)(void*)> data(bytes->Release(), std::free);
  napi_value value;
  const napi_status status =
      napi_create_external_arraybuffer(env, data.get(), size, FreeBytes, nullptr, &value);
  if (status == napi_no_external_buffers_allowed) return CopyOf(env, {data.get(), size});
  if (status != napi_ok) throw Napi::Error::New(env);
  data.release();
  return Napi::Value(env, value);
}

// One ArrayBuffer a column. `share` hands large ones over; either way, memory that was copied is
// given back before the next column is.
inline Napi::Value ColumnsOf(Napi::Env env, ConnectionColumns* columns, bool share) {
  Napi::Array array = Napi::Array::New(env, kColumns);
  uint32_t index = 0;
  for (ByteBuffer& column : columns->all()) {
    if (share) {
      array.Set(index++, Share(env, &column));
      continue;
    }
    const size_t size = column.size();
    std::unique_ptr<uint8_t, void (*)(void*)> data(column.Release(), std::free);
    array.Set(index++, CopyOf(env, {data.get(), size}));
  }
  return array;
}

// A promise that is settled once. When the environment is going down it cannot be, and says so.
class Promise {
 public:
  explicit Promise(Napi::Env env) : env_(env) {
    napi_value value;
    if (napi_create_promise(env, &deferred_, &value) != napi_ok) throw Napi::Error::New(env);
    value_ = value;
  }

  // Only until the call that made it returns.
  Napi::Value value() const { return Napi::Value(env_, value_); }
  bool Resolve(napi_value value) {
    return napi_resolve_deferred(env_, deferred_, value) == napi_ok;
  }
  bool Reject(napi_value value) { return napi_reject_deferred(env_, deferred_, value) == napi_ok; }

 private:
  napi_env env_;
  napi_deferred deferred_ = nullptr;
  napi_value value_ = nullptr;
};

inline Napi::Value Rejected(Napi::Env env, const Failure& failure) {
  Promise promise(env);
  promise.Reject(ErrorOf(env, failure).Value());
  return promise.value();
}

// Nothing but Napi::Error may leave a callback, and nothing at all a thread.
inline Failure Guarded(const std::function<Failure()>& run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return {"memory", ENOMEM};
  }
}

// Whether the environment still runs JavaScript; calls that would are refused when it does not.
inline bool IsAlive(Napi::Env env) {
  bool has = false;
  return napi_has_element(env, Napi::Object::New(env), 0, &has) == napi_ok;
}

}  // namespace ipvs::addon
