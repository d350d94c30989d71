// The addon: its handles, and what JavaScript can call. Everything here runs on the JavaScript
// thread, except Task::Execute, which must not touch JavaScript at all.

#include <napi.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "addon_calls.h"
#include "addon_values.h"
#include "bytes.h"
#include "child.h"
#include "connections.h"
#include "failure.h"
#include "ipset.h"
#include "layout.h"
#include "legacy_rules.h"
#include "records.h"
#include "route.h"
#include "socket.h"

namespace ipvs::addon {
namespace {

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
Bytes BytesOf(const Napi::CallbackInfo& info, size_t index) {
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
  Bytes request;

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
ConnectionQuery QueryOf(const Napi::CallbackInfo& info) {
  ConnectionQuery query;
  const Bytes bytes = BytesOf(info, 0);
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
                           InstanceMethod<&Handle::Release>("release"),
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

  // The buffer's length is 0 from then on.
  void Release(const Napi::CallbackInfo& info) {
    if (!info[0].IsArrayBuffer()) {
      throw Napi::TypeError::New(info.Env(), "reply must be an ArrayBuffer");
    }
    napi_detach_arraybuffer(info.Env(), info[0]);
  }

  Napi::Value Connections(const Napi::CallbackInfo& info) {
    const ConnectionQuery query = QueryOf(info);
    const double ticket = TicketOf(info, 1);
    if (queue_->closed()) return Rejected(info.Env(), kClosed);
    return queue_->PushConnections(info.Env(), query, ticket);
  }

  Napi::Value ConnectionsSync(const Napi::CallbackInfo& info) {
    const ConnectionQuery query = QueryOf(info);
    std::optional<ConnectionColumns> columns;
    const Failure failure = Guarded([&]() -> Failure {
      if (queue_->closed()) return kClosed;
      std::unique_ptr<Reading> reading;
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
                             InstanceMethod<&Addon::Open<IpSets>>("openSets"),
                             InstanceMethod<&Addon::Open<LegacyRules>>("openRules"),
                             InstanceMethod<&Addon::Spawn>("spawn"),
                             InstanceMethod<&Addon::Reap>("reap"),
                             InstanceMethod<&Addon::Layout>("layout"),
                         });
  }

  // What still runs when the environment goes is waited for elsewhere.
  ~Addon() {
    for (const pid_t pid : children_) Orphan(pid);
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

  // Resolves to (pid, stdin, stdout, stderr), whose descriptors are the caller's.
  Napi::Value Spawn(const Napi::CallbackInfo& info) {
    auto program = std::make_shared<Program>();
    if (!ReadProgram(BytesOf(info, 0), program.get())) return Rejected(info.Env(), kBadRequest);
    Promise promise(info.Env());
    auto child = std::make_shared<Child>();
    auto* task = new Task(
        info.Env(), promise,
        [program, child] {
          ReapOrphans();
          return Child::Start(*program, child.get());
        },
        [this, child](Napi::Env env) { return Hand(env, child.get()); }, nullptr, [](Task::End) {});
    task->Queue();
    return promise.value();
  }

  Napi::Value Hand(Napi::Env env, Child* child) {
    Napi::ArrayBuffer reply = Napi::ArrayBuffer::New(env, 4 * sizeof(int32_t));
    const pid_t pid = child->pid();
    children_.insert(pid);
    child->Release();
    const Child::Streams streams = child->ReleaseStreams();
    const int32_t values[] = {pid, streams.input, streams.output, streams.error};
    std::memcpy(reply.Data(), values, sizeof(values));
    return reply;
  }

  // The status that waitpid tells of, -1 while it runs. Only once, as the number is free after
  // that.
  Napi::Value Reap(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber()) throw Napi::TypeError::New(info.Env(), "pid must be a number");
    const pid_t pid = info[0].As<Napi::Number>().Int32Value();
    if (children_.count(pid) == 0) throw ErrorOf(info.Env(), {"wait", ECHILD});
    int status = kRuns;
    const Failure failure = ipvs::Reap(pid, &status);
    if (failure || status != kRuns) children_.erase(pid);
    if (failure) throw ErrorOf(info.Env(), failure);
    return Napi::Number::New(info.Env(), status);
  }

  Napi::Value Layout(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), ipvs::Layout());
  }

  Napi::FunctionReference handle_class_;
  std::shared_ptr<Conversation> newborn_;
  std::set<pid_t> children_;  // not reaped yet
};

Handle::Handle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  std::shared_ptr<Conversation> connection = info.Env().GetInstanceData<Addon>()->TakeNewborn();
  if (connection == nullptr) throw Napi::TypeError::New(info.Env(), "handles come from open()");
  queue_ = std::make_shared<CallQueue>(std::move(connection));
  Value().TypeTag(&kTag);
  Napi::MemoryManagement::AdjustExternalMemory(Napi::BasicEnv(info.Env()), kHandleWeight);
}

}  // namespace
}  // namespace ipvs::addon

using ipvs::addon::Addon;  // The macro wants a plain name.

NODE_API_ADDON(Addon)
