#include "socket.h"

#include <fcntl.h>
#include <linux/genetlink.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <type_traits>

#include "conntable.h"
#include "conntrack.h"
#include "kernel.h"
#include "netns.h"
#include "row_set.h"
#include "wire.h"

namespace ipvs {
namespace {

constexpr int kDumpAttempts = 4;
constexpr char kTablePath[] = "/proc/thread-self/net/ip_vs_conn";
constexpr char kOriginPath[] = "/proc/thread-self/net/ip_vs_conn_sync";
// Below this, reading ip_vs_conn is no slower on any kernel.
constexpr uint32_t kManyFlows = 20000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

constexpr Failure kBadRequest = {"request", EINVAL};

bool PutNothing(nl_msg*) { return true; }
bool TakeNothing(Bytes) { return true; }

// The requests of each operation, in records: their size, and how many at least and at most.
bool IsWellFormed(Op op, Bytes request) {
  const auto holds = [&](size_t size, size_t least, size_t most) {
    const size_t count = request.size() / size;
    return request.size() % size == 0 && count >= least && count <= most;
  };
  switch (op) {
    case Op::kApply:
    case Op::kApplyUntilError:
    case Op::kDestinations:
    case Op::kDestinationSettings:
      return holds(sizeof(ChangeRecord), 0, UINT32_MAX);
    case Op::kService:
      return holds(sizeof(ChangeRecord), 1, 1);
    case Op::kZero:
      return holds(sizeof(ChangeRecord), 0, 1);
    case Op::kSetTimeouts:
      return holds(sizeof(TimeoutsRecord), 1, 1);
    case Op::kStartDaemon:
    case Op::kStopDaemon:
      return holds(sizeof(DaemonRecord), 1, 1);
    case Op::kServices:
    case Op::kInfo:
    case Op::kTimeouts:
    case Op::kFlush:
    case Op::kDaemons:
      return request.empty();
    default:
      return false;
  }
}

// Whether IPVS has any connection in the calling thread's namespace; lines have more than 64 bytes.
bool HasConnections() {
  const Descriptor file(open(kTablePath, O_RDONLY | O_CLOEXEC));
  char text[4096];
  return file.get() >= 0 && read(file.get(), text, sizeof(text)) > 2 * 64;
}

}  // namespace

bool ReadErrno(const Message& message, int* err) {
  constexpr int32_t kMaxErrno = 4095;
  const size_t least = message.type == NLMSG_ERROR ? sizeof(nlmsgerr) : sizeof(int32_t);
  int32_t value;
  if (message.payload.size() < least) return false;
  std::memcpy(&value, message.payload.data(), sizeof(value));
  if (value > 0 || value < -kMaxErrno) return false;
  *err = -value;
  return true;
}

bool ReadHeader(const Message& message, uint16_t family, uint8_t command, Bytes* attributes) {
  genlmsghdr header;
  if (message.type != family || message.payload.size() < sizeof(header)) return false;
  std::memcpy(&header, message.payload.data(), sizeof(header));
  *attributes = message.payload.subspan(GENL_HDRLEN);
  return header.cmd == command;
}

Failure Connection::Open(const std::string& netns, int timeout,
                         std::shared_ptr<Conversation>* out) {
  std::unique_ptr<Transport> transport;
  if (Failure failure = RunInNetns(netns, [&] { return OpenNetlink(&transport, NETLINK_GENERIC); }))
    return failure;
  auto connection = std::make_shared<Connection>(std::move(transport), timeout, netns.empty());
  if (Failure failure = connection->Resolve()) return failure;
  *out = std::move(connection);
  return {};
}

Connection::Connection(std::unique_ptr<Transport> transport, int timeout, bool is_own)
    : channel_(std::make_unique<Channel>(std::move(transport), timeout)),
      timeout_(timeout),
      is_own_(is_own) {}

Failure Connection::Resolve() {
  constexpr Question kQuestion = {"family", GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_CMD_NEWFAMILY,
                                  false};
  uint16_t family = 0;
  const auto put = [](nl_msg* message) { return PutFamilyName(message, IPVS_GENL_NAME); };
  const auto take = [&](Bytes attributes) { return ReadFamilyId(attributes, &family); };
  if (Failure failure = Ask(kQuestion, put, take)) return failure;
  if (family == 0) return {"family", EBADMSG};
  family_ = family;
  return {};
}

Failure Connection::Refresh(bool* moved) {
  const uint16_t before = family_;
  if (Failure failure = Resolve()) return failure;
  *moved = family_ != before;
  return {};
}

Failure Connection::Execute(Op op, Bytes request, ByteBuffer* reply) {
  const std::lock_guard<std::mutex> turn(mutex_);
  if (channel_ == nullptr) return {"closed", EBADF};
  if (!IsWellFormed(op, request)) return kBadRequest;
  return Dispatch(op, request, reply);
}

Failure Connection::OpenConnections(const ConnectionQuery& query, ConnectionColumns* columns,
                                    std::unique_ptr<Reading>* reading) {
  switch (static_cast<ConnectionSource>(query.source)) {
    case ConnectionSource::kTable:
      return OpenTable(kTablePath, query, columns, reading);
    case ConnectionSource::kOrigin:
      return OpenTable(kOriginPath, query, columns, reading);
    case ConnectionSource::kConntrack:
      return OpenConntrack(false, query, columns, reading);
    case ConnectionSource::kConntrackIfFit:
      return OpenConntrack(true, query, columns, reading);
  }
  return kBadRequest;
}

// The file stays open on its namespace wherever it is read.
Failure Connection::OpenTable(const char* path, const ConnectionQuery& query,
                              ConnectionColumns* columns, std::unique_ptr<Reading>* reading) {
  int fd = -1;
  const auto open_here = [&]() -> Failure {
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? Failure{"connections", errno} : Failure{};
  };
  if (Failure failure = RunInside(open_here)) return failure;
  *reading = std::make_unique<TableReading>(fd, query, columns);
  return {};
}

Failure Connection::OpenConntrack(bool if_fit, const ConnectionQuery& query,
                                  ConnectionColumns* columns, std::unique_ptr<Reading>* reading) {
  std::unique_ptr<Transport> transport;
  uint32_t flows = 0;
  const auto open_here = [&]() -> Failure {
    if (Failure failure = CheckConntrack(&flows)) return failure;
    if (if_fit && flows < kManyFlows) return kConntrackUnfit;
    if (flows == 0 && HasConnections()) return {"conntrack idle", EOPNOTSUPP};
    const Failure failure = OpenNetlink(&transport, NETLINK_NETFILTER);
    return failure.err == EPROTONOSUPPORT ? Failure{"conntrack", failure.err} : failure;
  };
  if (Failure failure = RunInside(open_here)) return failure;
  ServiceSet services;
  bool has_marks = false;
  bool has_templates = false;
  if (Failure failure = AddressesOf(&services, &has_marks, &has_templates)) return failure;
  const bool wants_templates = !(query.has & kConnectionHasPersistent) || query.persistent != 0;
  if (if_fit && (has_marks || (has_templates && wants_templates))) return kConntrackUnfit;
  *reading = std::make_unique<FlowsReading>(std::move(transport), timeout_, std::move(services),
                                            if_fit, query, columns);
  return {};
}

Failure Connection::AddressesOf(ServiceSet* services, bool* has_marks, bool* has_templates) {
  ByteBuffer rows;
  const std::lock_guard<std::mutex> turn(mutex_);
  if (channel_ == nullptr) return {"closed", EBADF};
  if (Failure failure = Services(&rows)) return failure;
  const Bytes bytes = {rows.data(), rows.size()};
  for (size_t i = 0; i < CountOf<ServiceRow>(bytes); i++) {
    const auto row = RecordAt<ServiceRow>(bytes, i);
    services->Add(row.service);
    *has_marks |= row.service.fwmark != 0;
    *has_templates |= (row.settings.flags & IP_VS_SVC_F_PERSISTENT) != 0;
  }
  return {};
}

// Runs `fn` where the socket lives.
Failure Connection::RunInside(const std::function<Failure()>& fn) {
  int netns = -1;
  {
    const std::lock_guard<std::mutex> turn(mutex_);
    if (channel_ == nullptr) return {"closed", EBADF};
    // Entering a namespace takes more privileges than being in it.
    if (is_own_) return fn();
    netns = channel_->transport().OpenNamespace();
  }
  if (netns < 0) return {"netns", -netns};
  const Descriptor place(netns);
  return RunInNetns(place.get(), fn);
}

void Connection::Close() {
  const std::lock_guard<std::mutex> turn(mutex_);
  channel_.reset();
}

Failure Connection::Dispatch(Op op, Bytes request, ByteBuffer* reply) {
  switch (op) {
    case Op::kApply:
    case Op::kApplyUntilError:
      return Apply(request, op == Op::kApplyUntilError, reply);
    case Op::kServices:
      return Services(reply);
    case Op::kService:
      return Service(RecordAt<ChangeRecord>(request, 0), reply);
    case Op::kDestinations:
      return Destinations(request, Detail::kAll, reply);
    case Op::kDestinationSettings:
      return Destinations(request, Detail::kSettings, reply);
    case Op::kInfo:
      return Info(reply);
    case Op::kTimeouts:
      return Timeouts(reply);
    case Op::kSetTimeouts:
      return Command("setTimeouts", IPVS_CMD_SET_CONFIG, [&](nl_msg* message) {
        return PutTimeouts(message, RecordAt<TimeoutsRecord>(request, 0));
      });
    case Op::kZero:
      return Zero(request);
    case Op::kFlush:
      return Command("flush", IPVS_CMD_FLUSH, PutNothing);
    case Op::kDaemons:
      return Daemons(reply);
    case Op::kStartDaemon: {
      const auto daemon = RecordAt<DaemonRecord>(request, 0);
      if (!IsSendable(daemon)) return kBadRequest;
      return Command("startDaemon", IPVS_CMD_NEW_DAEMON,
                     [&](nl_msg* message) { return PutDaemon(message, daemon); });
    }
    case Op::kStopDaemon:
      return Command("stopDaemon", IPVS_CMD_DEL_DAEMON, [&](nl_msg* message) {
        return PutDaemonState(message, RecordAt<DaemonRecord>(request, 0));
      });
    default:
      return kBadRequest;
  }
}

Failure Connection::Services(ByteBuffer* reply) {
  RowSet<ServiceKey> seen;
  const auto take = [&](Bytes attributes) {
    ServiceRow row;
    if (!ReadService(attributes, &row)) return false;
    if (seen.Insert(row.service)) reply->Append(row);
    return true;
  };
  const auto reset = [&] {
    seen.Truncate(0);
    reply->Truncate(0);
  };
  return Query({"services", family_, IPVS_CMD_GET_SERVICE, IPVS_CMD_NEW_SERVICE, true}, PutNothing,
               take, reset);
}

Failure Connection::Service(const ChangeRecord& key, ByteBuffer* reply) {
  const auto put = [&](nl_msg* message) { return PutServiceKey(message, key.service); };
  const auto take = [&](Bytes attributes) {
    ServiceRow row;
    if (!ReadService(attributes, &row)) return false;
    reply->Truncate(0);
    reply->Append(row);
    return true;
  };
  const Failure failure =
      Query({"service", family_, IPVS_CMD_GET_SERVICE, IPVS_CMD_NEW_SERVICE, false}, put, take,
            [&] { reply->Truncate(0); });
  // Absent is not a failure.
  return failure.err == ESRCH ? Failure{} : failure;
}

Failure Connection::Info(ByteBuffer* reply) {
  InfoRecord info = {};
  const Failure failure = Query(
      {"info", family_, IPVS_CMD_GET_INFO, IPVS_CMD_SET_INFO, false}, PutNothing,
      [&](Bytes attributes) { return ReadInfo(attributes, &info); }, [] {});
  if (!failure) reply->Append(info);
  return failure;
}

Failure Connection::Timeouts(ByteBuffer* reply) {
  TimeoutsRecord timeouts = {};
  const Failure failure = Query(
      {"timeouts", family_, IPVS_CMD_GET_CONFIG, IPVS_CMD_SET_CONFIG, false}, PutNothing,
      [&](Bytes attributes) { return ReadTimeouts(attributes, &timeouts); }, [] {});
  if (!failure) reply->Append(timeouts);
  return failure;
}

Failure Connection::Zero(Bytes request) {
  if (request.empty()) return Command("zero", IPVS_CMD_ZERO, PutNothing);
  const ServiceKey key = RecordAt<ChangeRecord>(request, 0).service;
  return Command("zero", IPVS_CMD_ZERO,
                 [&](nl_msg* message) { return PutServiceKey(message, key); });
}

Failure Connection::Daemons(ByteBuffer* reply) {
  const auto take = [&](Bytes attributes) {
    DaemonRecord daemon;
    if (!ReadDaemon(attributes, &daemon)) return false;
    reply->Append(daemon);
    return true;
  };
  return Query({"daemons", family_, IPVS_CMD_GET_DAEMON, IPVS_CMD_NEW_DAEMON, true}, PutNothing,
               take, [&] { reply->Truncate(0); });
}

Failure Connection::Command(const char* op, uint8_t command, const Put& put) {
  return Query({op, family_, command, 0, false}, put, TakeNothing, [] {});
}

Failure Connection::Query(const Question& question, const Put& put, const Take& take,
                          const std::function<void()>& reset) {
  Failure failure;
  for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
    Question current = question;
    current.family = family_;
    failure = Ask(current, put, take);
    if (failure.err == ENOENT) {
      bool moved = false;
      if (Failure gone = Refresh(&moved)) return gone;
      if (!moved) return failure;
    } else if (!question.dump || (failure.err != EBUSY && failure.err != ENOBUFS)) {
      return failure;
    }
    // A dump of before is still under way, or answers were lost: read it out of the way and start
    // over.
    channel_->Drain();
    reset();
  }
  return failure;
}

Failure Connection::Ask(const Question& question, const Put& put, const Take& take) {
  const uint32_t sequence =
      channel_->Begin(1, question.dump ? Answers::kInPieces : Answers::kAtOnce);
  const uint16_t flags = NLM_F_REQUEST | (question.dump ? NLM_F_DUMP : NLM_F_ACK);
  outbox_.Clear();
  if (!outbox_.Add(question.family, question.command, flags, sequence, put)) {
    return {"request", EMSGSIZE};
  }
  if (Failure failure = channel_->Send(outbox_.bytes())) return failure;

  int err = 0;
  bool finished = false;
  const auto receive = [&](uint32_t, const Message& message) {
    if (finished) return true;
    if (message.type == NLMSG_ERROR || message.type == NLMSG_DONE) {
      return finished = ReadErrno(message, &err);
    }
    Bytes attributes;
    return ReadHeader(message, question.family, question.answer, &attributes) && take(attributes);
  };
  while (!finished) {
    if (Failure failure = channel_->Receive(Shape::kData, receive)) return failure;
  }
  if (err != 0) return {question.op, err};
  // A dump that lost datagrams may still reach its end.
  if (question.dump && channel_->overrun()) return {"receive", ENOBUFS};
  return {};
}

}  // namespace ipvs
