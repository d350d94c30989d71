// The one file that knows Node-API. Everything here runs on the JavaScript thread, except
// Task::Execute, which must not touch JavaScript at all.

#include <napi.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bytes.h"
#include "connections.h"
#include "failure.h"
#include "layout.h"
#include "reading.h"
#include "records.h"
#include "route.h"
#include "socket.h"

namespace {

using ipvs::ByteBuffer;
using ipvs::Connection;
using ipvs::Conversation;
using ipvs::Failure;
using ipvs::Op;
using ipvs::Route;

constexpr Failure kClosed = {"closed", EBADF};
constexpr Failure kBadRequest = {"request", EINVAL};
constexpr Failure kCanceled = {"close", ECANCELED};

// About what a connection weighs outside of V8's heap: its buffers. It tells the collector that
// forgotten handles matter.
constexpr int64_t kHandleWeight = 512 << 10;

// lib makes its own errors from `op` and `errno`; the text is for those who look at the addon
// itself.
Napi::Error ErrorOf(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(
      env, std::string(failure.op) + " failed with errno " + std::to_string(failure.err));
  // Defined, not assigned: a setter that somebody put on Object.prototype has no say.
  const auto attributes = static_cast<napi_property_attributes>(napi_default_jsproperty);
  error.Value().DefineProperties(
      {Napi::PropertyDescriptor::Value("op", Napi::String::New(env, failure.op), attributes),
       Napi::PropertyDescriptor::Value("errno", Napi::Number::New(env, failure.err), attributes)});
  return error;
}

void FreeBytes(napi_env, void* data, void*) { std::free(data); }

Napi::Value CopyOf(Napi::Env env, ipvs::Bytes bytes) {
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(copy.Data(), bytes.data(), bytes.size());
  return copy;
}

// Hands large replies over without copying them, where the runtime allows memory that is not its
// own. Not for synchronous calls: such memory comes back only when the event loop turns, so a loop
// of them would never see any of it again.
Napi::Value Share(Napi::Env env, ByteBuffer* bytes) {
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
Napi::Value ColumnsOf(Napi::Env env, ipvs::ConnectionColumns* columns, bool share) {
  Napi::Array array = Napi::Array::New(env, ipvs::kColumns);
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

Napi::Value Rejected(Napi::Env env, const Failure& failure) {
  Promise promise(env);
  promise.Reject(ErrorOf(env, failure).Value());
  return promise.value();
}

// Nothing but Napi::Error may leave a callback, and nothing at all a thread.
Failure Guarded(const std::function<Failure()>& run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return {"memory", ENOMEM};
  }
}

// Whether the environment still runs JavaScript; calls that would are refused when it does not.
bool IsAlive(Napi::Env env) {
  bool has = false;
  return napi_has_element(env, Napi::Object::New(env), 0, &has) == napi_ok;
}

// Every asynchronous call: `run` on a thread of the pool, then, back on the JavaScript thread,
// `result` makes the value that the promise gets, and `done` learns whether it could be given.
// Where `is_over` is false after it ran, that was but a slice of it, and there is no result yet.
class Task : public Napi::AsyncWorker {
 public:
  using Run = std::function<Failure()>;
  using Result = std::function<Napi::Value(Napi::Env)>;
  enum class End { kDone, kSlice, kDead };
  using Done = std::function<void(End end)>;

  Task(Napi::Env env, Promise promise, Run run, Result result, std::shared_ptr<bool> is_over,
       Done done)
      : AsyncWorker(env, "ipvs"),
        promise_(promise),
        run_(std::move(run)),
        result_(std::move(result)),
        is_over_(std::move(is_over)),
        done_(std::move(done)) {}

  void Execute() override { failure_ = Guarded(run_); }

  void OnOK() override { done_(Conclude()); }
  void OnError(const Napi::Error&) override { done_(Conclude()); }

 private:
  End Conclude() {
    if (failure_ || is_over_ == nullptr || *is_over_) return Settle() ? End::kDone : End::kDead;
    return IsAlive(Env()) ? End::kSlice : End::kDead;
  }

  bool Settle() {
    try {
      if (failure_) return promise_.Reject(ErrorOf(Env(), failure_).Value());
      return promise_.Resolve(result_(Env()));
    } catch (const Napi::Error& error) {
      return promise_.Reject(error.Value());
    }
  }

  Promise promise_;
  Run run_;
  Result result_;
  std::shared_ptr<bool> is_over_;
  Done done_;
  Failure failure_;
};

// One reading of the connection table on the pool, slice by slice.
struct ConnectionsCall {
  // Short to whoever waits for it, and long beside what handing it to the pool costs.
  static constexpr std::chrono::milliseconds kSlice{50};

  const std::shared_ptr<Conversation> connection;
  const ipvs::ConnectionQuery query;
  std::atomic<bool> canceled = false;
  bool is_over = false;
  std::optional<ipvs::ConnectionColumns> columns;
  std::unique_ptr<ipvs::Reading> reading;

  ConnectionsCall(std::shared_ptr<Conversation> from, const ipvs::ConnectionQuery& what)
      : connection(std::move(from)), query(what) {}

  Failure Continue() {
    const auto until = ipvs::Reading::Clock::now() + kSlice;
    if (reading == nullptr) {
      Failure failure = connection->OpenConnections(query, &columns.emplace(), &reading);
      if (failure) return failure;
    }
    return reading->Continue(until, canceled, &is_over);
  }
};

// A copy of a request, as JavaScript may do to its own what it likes. The memory of the last one on
// this thread is used again: where memory is new, touching it takes longer than to copy.
class Request {
 public:
  explicit Request(ipvs::Bytes bytes) {
    if (bytes.size() >= kLeastKept) bytes_.swap(spare_);
    bytes_.assign(bytes.begin(), bytes.end());
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    const size_t size = bytes_.capacity();
    if (size >= kLeastKept && size <= kMostKept && size > spare_.capacity()) bytes_.swap(spare_);
  }

  ipvs::Bytes bytes() const { return bytes_; }

 private:
  static constexpr size_t kLeastKept = 4096;
  static constexpr size_t kMostKept = 2 << 20;
  static thread_local std::vector<uint8_t> spare_;

  std::vector<uint8_t> bytes_;
};

thread_local std::vector<uint8_t> Request::spare_;

// The calls on one connection, in order. They wait here and not in the thread pool, so that one
// busy handle leaves the pool to others. It outlives its handle for as long as a task runs, and is
// used on the JavaScript thread only.
class CallQueue : public std::enable_shared_from_this<CallQueue> {
 public:
  explicit CallQueue(std::shared_ptr<Conversation> connection)
      : connection_(std::move(connection)) {}

  Conversation& connection() { return *connection_; }
  bool closed() const { return closed_; }

  Napi::Value Push(Napi::Env env, Op op, ipvs::Bytes bytes) {
    auto request = std::make_shared<Request>(bytes);
    auto reply = std::make_shared<ByteBuffer>();
    return Push(env, Call(
                         env,
                         [connection = connection_, op, request, reply] {
                           return connection->Execute(op, request->bytes(), reply.get());
                         },
                         [reply](Napi::Env env) { return Share(env, reply.get()); }));
  }

  // Cancel(ticket) breaks it off, wherever it is.
  Napi::Value PushConnections(Napi::Env env, const ipvs::ConnectionQuery& query, double ticket) {
    auto reading = std::make_shared<ConnectionsCall>(connection_, query);
    Call call(
        env, [reading] { return reading->Continue(); },
        [reading](Napi::Env env) { return ColumnsOf(env, &*reading->columns, true); });
    call.ticket = ticket;
    call.canceled = std::shared_ptr<std::atomic<bool>>(reading, &reading->canceled);
    call.is_over = std::shared_ptr<bool>(reading, &reading->is_over);
    return Push(env, std::move(call));
  }

  void Cancel(Napi::Env env, double ticket) {
    if (running_.has_value() && running_->ticket == ticket) CancelRunning();
    for (auto call = calls_.begin(); call != calls_.end(); ++call) {
      if (call->canceled == nullptr || call->ticket != ticket) continue;
      Promise promise = call->promise;
      calls_.erase(call);
      promise.Reject(ErrorOf(env, kCanceled).Value());
      return;
    }
  }

  // Resolves when the call under way is over and the socket closed.
  Napi::Value Close(Napi::Env env) {
    Promise promise(env);
    Stop(env);
    if (running_.has_value()) {
      closers_.push_back(promise);
    } else {
      connection_->Close();
      promise.Resolve(env.Undefined());
    }
    return promise.value();
  }

  void CloseSync(Napi::Env env) {
    Stop(env);
    connection_->Close();
  }

 private:
  struct Call {
    Promise promise;
    Task::Run run;
    Task::Result result;
    double ticket = 0;
    std::shared_ptr<std::atomic<bool>> canceled;  // null for calls that cannot be broken off
    std::shared_ptr<bool> is_over;                // null for calls that run in one go

    Call(Napi::Env env, Task::Run run, Task::Result result)
        : promise(env), run(std::move(run)), result(std::move(result)) {}
  };

  Napi::Value Push(Napi::Env env, Call call) {
    const Promise promise = call.promise;
    calls_.push_back(std::move(call));
    if (!running_.has_value()) StartNext(env);
    return promise.value();
  }

  void Stop(Napi::Env env) {
    closed_ = true;
    CancelRunning();
    for (Call& call : std::exchange(calls_, {})) {
      call.promise.Reject(ErrorOf(env, kCanceled).Value());
    }
  }

  void CancelRunning() {
    if (running_.has_value() && running_->canceled != nullptr) running_->canceled->store(true);
  }

  void StartNext(Napi::Env env) {
    running_ = std::move(calls_.front());
    calls_.pop_front();
    Run(env);
  }

  // Others may have the thread between two slices of the call.
  void Run(Napi::Env env) {
    auto* task =
        new Task(env, running_->promise, running_->run, running_->result, running_->is_over,
                 [queue = shared_from_this(), env](Task::End end) { queue->Finish(env, end); });
    task->Queue();
  }

  void Finish(Napi::Env env, Task::End end) {
    if (end == Task::End::kSlice) return Run(env);
    running_.reset();
    if (end == Task::End::kDead) {
      // The environment is going down: nobody waits for the rest any more.
      calls_.clear();
      closers_.clear();
      return;
    }
    if (closed_) {
      connection_->Close();
      for (Promise& promise : std::exchange(closers_, {})) promise.Resolve(env.Undefined());
    } else if (!calls_.empty()) {
      StartNext(env);
    }
  }

  std::shared_ptr<Conversation> connection_;
  std::deque<Call> calls_;
  std::vector<Promise> closers_;
  std::optional<Call> running_;
  bool closed_ = false;
};

// Reads (netns, timeout) of open and openSync.
struct OpenArguments {
  std::string netns;
  int timeout;

  explicit OpenArguments(const Napi::CallbackInfo& info) {
    if (!info[0].IsString()) throw Napi::TypeError::New(info.Env(), "netns must be a string");
    if (!info[1].IsNumber()) throw Napi::TypeError::New(info.Env(), "timeout must be a number");
    const double milliseconds = info[1].As<Napi::Number>().DoubleValue();
    if (!(milliseconds >= 0 && milliseconds <= INT32_MAX)) {
      throw Napi::TypeError::New(info.Env(), "timeout must be from 0 to 2147483647");
    }
    netns = info[0].As<Napi::String>().Utf8Value();
    timeout = static_cast<int>(std::ceil(milliseconds));
  }
};

// JavaScript's memory.
ipvs::Bytes BytesOf(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray() ||
      info[index].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(info.Env(), "request must be a Uint8Array");
  }
  const auto array = info[index].As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

// Reads (op, request) of call and callSync.
struct CallArguments {
  Op op;
  ipvs::Bytes request;

  explicit CallArguments(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber()) throw Napi::TypeError::New(info.Env(), "op must be a number");
    request = BytesOf(info, 1);
    const double number = info[0].As<Napi::Number>().DoubleValue();
    // Not Uint32Value, which would make a known operation of 5.5 or of 2^32 + 5.
    op = number >= 0 && number <= UINT8_MAX && number == std::floor(number)
             ? static_cast<Op>(static_cast<uint32_t>(number))
             : Op{0};
  }
};

double TicketOf(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber()) throw Napi::TypeError::New(info.Env(), "ticket must be a number");
  return info[index].As<Napi::Number>().DoubleValue();
}

// Reads (query) of connections and connectionsSync.
ipvs::ConnectionQuery QueryOf(const Napi::CallbackInfo& info) {
  ipvs::ConnectionQuery query;
  const ipvs::Bytes bytes = BytesOf(info, 0);
  if (bytes.size() != sizeof(query)) throw ErrorOf(info.Env(), kBadRequest);
  std::memcpy(&query, bytes.data(), sizeof(query));
  return query;
}

class Handle : public Napi::ObjectWrap<Handle> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeHandle",
                       {
                           InstanceMethod<&Handle::Call>("call"),
                           InstanceMethod<&Handle::CallSync>("callSync"),
                           InstanceMethod<&Handle::Connections>("connections"),
                           InstanceMethod<&Handle::ConnectionsSync>("connectionsSync"),
                           InstanceMethod<&Handle::Cancel>("cancel"),
                           InstanceMethod<&Handle::Close>("close"),
                           InstanceMethod<&Handle::CloseSync>("closeSync"),
                       });
  }

  explicit Handle(const Napi::CallbackInfo& info);

  // Shadows ObjectWrap's, which trusts `this`: a method may be called on anything.
  static Handle* Unwrap(Napi::Object object) {
    if (!object.IsObject() || !object.CheckTypeTag(&kTag)) {
      throw Napi::TypeError::New(object.Env(), "not an IPVS handle");
    }
    return ObjectWrap::Unwrap(object);
  }

  void Finalize(Napi::BasicEnv env) {
    Napi::MemoryManagement::AdjustExternalMemory(env, -kHandleWeight);
  }

 private:
  static constexpr napi_type_tag kTag = {0x6970767368616e64, 0x6c65747970657461};

  Napi::Value Call(const Napi::CallbackInfo& info) {
    const CallArguments arguments(info);
    if (!queue_->closed()) return queue_->Push(info.Env(), arguments.op, arguments.request);
    return Rejected(info.Env(), kClosed);
  }

  Napi::Value CallSync(const Napi::CallbackInfo& info) {
    const CallArguments arguments(info);
    ByteBuffer reply;
    const Failure failure = Guarded([&] {
      return queue_->closed()
                 ? kClosed
                 : queue_->connection().Execute(arguments.op, arguments.request, &reply);
    });
    if (failure) throw ErrorOf(info.Env(), failure);
    return CopyOf(info.Env(), {reply.data(), reply.size()});
  }

  Napi::Value Connections(const Napi::CallbackInfo& info) {
    const ipvs::ConnectionQuery query = QueryOf(info);
    const double ticket = TicketOf(info, 1);
    if (queue_->closed()) return Rejected(info.Env(), kClosed);
    return queue_->PushConnections(info.Env(), query, ticket);
  }

  Napi::Value ConnectionsSync(const Napi::CallbackInfo& info) {
    const ipvs::ConnectionQuery query = QueryOf(info);
    std::optional<ipvs::ConnectionColumns> columns;
    const Failure failure = Guarded([&]() -> Failure {
      if (queue_->closed()) return kClosed;
      std::unique_ptr<ipvs::Reading> reading;
      Failure opened = queue_->connection().OpenConnections(query, &columns.emplace(), &reading);
      return opened ? opened : reading->Finish(false);
    });
    if (failure) throw ErrorOf(info.Env(), failure);
    return ColumnsOf(info.Env(), &*columns, false);
  }

  void Cancel(const Napi::CallbackInfo& info) { queue_->Cancel(info.Env(), TicketOf(info, 0)); }

  Napi::Value Close(const Napi::CallbackInfo& info) { return queue_->Close(info.Env()); }
  void CloseSync(const Napi::CallbackInfo& info) { queue_->CloseSync(info.Env()); }

  std::shared_ptr<CallQueue> queue_;
};

// What one environment has; an addon may be loaded in many, and many times in one.
class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) {
    handle_class_ = Napi::Persistent(Handle::Define(env));
    DefineAddon(exports, {
                             InstanceMethod<&Addon::Open<Connection>>("open"),
                             InstanceMethod<&Addon::OpenSync>("openSync"),
                             InstanceMethod<&Addon::Open<Route>>("openRoute"),
                             InstanceMethod<&Addon::Layout>("layout"),
                         });
  }

  Napi::Value NewHandle(std::shared_ptr<Conversation> connection) {
    newborn_ = std::move(connection);
    return handle_class_.New({});
  }

  // For the constructor of Handle, which JavaScript can call too, but with nothing to wrap.
  std::shared_ptr<Conversation> TakeNewborn() { return std::exchange(newborn_, nullptr); }

 private:
  template <typename Kind>
  Napi::Value Open(const Napi::CallbackInfo& info) {
    const OpenArguments arguments(info);
    Promise promise(info.Env());
    auto connection = std::make_shared<std::shared_ptr<Conversation>>();
    auto* task = new Task(
        info.Env(), promise,
        [arguments, connection] {
          return Kind::Open(arguments.netns, arguments.timeout, connection.get());
        },
        [this, connection](Napi::Env) { return NewHandle(std::move(*connection)); }, nullptr,
        [](Task::End) {});
    task->Queue();
    return promise.value();
  }

  Napi::Value OpenSync(const Napi::CallbackInfo& info) {
    const OpenArguments arguments(info);
    std::shared_ptr<Conversation> connection;
    if (Failure failure = Connection::Open(arguments.netns, arguments.timeout, &connection)) {
      throw ErrorOf(info.Env(), failure);
    }
    return NewHandle(std::move(connection));
  }

  Napi::Value Layout(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), ipvs::Layout());
  }

  Napi::FunctionReference handle_class_;
  std::shared_ptr<Conversation> newborn_;
};

Handle::Handle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  std::shared_ptr<Conversation> connection = info.Env().GetInstanceData<Addon>()->TakeNewborn();
  if (connection == nullptr) throw Napi::TypeError::New(info.Env(), "handles come from open()");
  queue_ = std::make_shared<CallQueue>(std::move(connection));
  Value().TypeTag(&kTag);
  Napi::MemoryManagement::AdjustExternalMemory(Napi::BasicEnv(info.Env()), kHandleWeight);
}

}  // namespace

NODE_API_ADDON(Addon)
