// Calls off the JavaScript thread: each handle has a queue of its own, whose calls run one after
// another on the thread pool.
#pragma once

#include <napi.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "addon_values.h"
#include "bytes.h"
#include "connections.h"
#include "failure.h"
#include "reading.h"
#include "socket.h"

namespace ipvs::addon {

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
  const ConnectionQuery query;
  std::atomic<bool> canceled = false;
  bool is_over = false;
  std::optional<ConnectionColumns> columns;
  std::unique_ptr<Reading> reading;

  ConnectionsCall(std::shared_ptr<Conversation> from, const ConnectionQuery& what)
      : connection(std::move(from)), query(what) {}

  Failure Continue() {
    const auto until = Reading::Clock::now() + kSlice;
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
  explicit Request(Bytes bytes) {
    if (bytes.size() >= kLeastKept) bytes_.swap(spare_);
    bytes_.assign(bytes.begin(), bytes.end());
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    const size_t size = bytes_.capacity();
    if (size >= kLeastKept && size <= kMostKept && size > spare_.capacity()) bytes_.swap(spare_);
  }

  Bytes bytes() const { return bytes_; }

 private:
  static constexpr size_t kLeastKept = 4096;
  static constexpr size_t kMostKept = 2 << 20;
  static thread_local std::vector<uint8_t> spare_;

  std::vector<uint8_t> bytes_;
};

inline thread_local std::vector<uint8_t> Request::spare_;

// The calls on one connection, in order. They wait here and not in the thread pool, so that one
// busy handle leaves the pool to others. It outlives its handle for as long as a task runs, and is
// used on the JavaScript thread only.
class CallQueue : public std::enable_shared_from_this<CallQueue> {
 public:
  explicit CallQueue(std::shared_ptr<Conversation> connection)
      : connection_(std::move(connection)) {}

  Conversation& connection() { return *connection_; }
  bool closed() const { return closed_; }

  Napi::Value Push(Napi::Env env, Op op, Bytes bytes) {
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
  Napi::Value PushConnections(Napi::Env env, const ConnectionQuery& query, double ticket) {
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

}  // namespace ipvs::addon
