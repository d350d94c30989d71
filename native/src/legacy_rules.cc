#include "legacy_rules.h"

#include <fcntl.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "netns.h"

namespace ipvs {
namespace {

constexpr Failure kBadRequest = {"request", EINVAL};
constexpr char kOp[] = "rules";
// Tables may change between the two questions about one.
constexpr int kAttempts = 4;

// Both families use the same numbers and the same structures, but for the entries.
static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO && IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES);
static_assert(sizeof(ipt_getinfo) == sizeof(ip6t_getinfo));
constexpr size_t kEntriesHeader = offsetof(ipt_get_entries, entrytable);
static_assert(kEntriesHeader == offsetof(ip6t_get_entries, entrytable));

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Family {
  int domain;
  int level;
  const char* names;  // which tables there are, in the calling thread's namespace
  const EntryLayout& layout;
};

constexpr Family kIpv4Rules = {AF_INET, IPPROTO_IP, "/proc/thread-self/net/ip_tables_names",
                               kEntryLayout4};
constexpr Family kIpv6Rules = {AF_INET6, IPPROTO_IPV6, "/proc/thread-self/net/ip6_tables_names",
                               kEntryLayout6};

// Empty where there is no such file: the kernel has no such tables.
Failure ReadNames(const char* path, std::string* names) {
  const Descriptor file(open(path, O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return errno == ENOENT ? Failure{} : Failure{kOp, errno};
  char text[1024];
  for (;;) {
    const ssize_t size = read(file.get(), text, sizeof(text));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return {kOp, errno};
    if (size == 0) return {};
    names->append(text, static_cast<size_t>(size));
  }
}

// Appends the table once; EAGAIN when it changed meanwhile.
Failure ReadTableOnce(int socket, const Family& family, std::string_view name, ByteBuffer* reply) {
  ipt_getinfo info = {};
  if (name.size() >= sizeof(info.name)) return {kOp, EBADMSG};
  std::memcpy(info.name, name.data(), name.size());
  socklen_t length = sizeof(info);
  if (getsockopt(socket, family.level, IPT_SO_GET_INFO, &info, &length) != 0) return {kOp, errno};
  reply->Append(info);

  std::vector<uint8_t> table(kEntriesHeader + info.size);
  std::memcpy(table.data(), info.name, sizeof(info.name));
  std::memcpy(table.data() + offsetof(ipt_get_entries, size), &info.size, sizeof(info.size));
  length = static_cast<socklen_t>(table.size());
  if (getsockopt(socket, family.level, IPT_SO_GET_ENTRIES, table.data(), &length) != 0) {
    return {kOp, errno};
  }
  const std::span<uint8_t> entries = std::span(table).subspan(kEntriesHeader);
  if (!ClearCounters(entries, family.layout)) return {kOp, EBADMSG};
  if (!entries.empty()) {
    std::memcpy(reply->Extend(entries.size()), entries.data(), entries.size());
  }
  return {};
}

Failure ReadTable(int socket, const Family& family, std::string_view name, ByteBuffer* reply) {
  const size_t start = reply->size();
  Failure failure;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    reply->Truncate(start);
    failure = ReadTableOnce(socket, family, name, reply);
    if (failure.err != EAGAIN && failure.err != EINTR) break;
  }
  return failure;
}

}  // namespace

constexpr EntryLayout kEntryLayout4 = {sizeof(ipt_entry), offsetof(ipt_entry, next_offset),
                                       offsetof(ipt_entry, counters)};
constexpr EntryLayout kEntryLayout6 = {sizeof(ip6t_entry), offsetof(ip6t_entry, next_offset),
                                       offsetof(ip6t_entry, counters)};

bool ClearCounters(std::span<uint8_t> entries, const EntryLayout& layout) {
  while (!entries.empty()) {
    uint16_t next;
    if (entries.size() < layout.size) return false;
    std::memcpy(&next, entries.data() + layout.next_offset, sizeof(next));
    if (next < layout.size || next > entries.size()) return false;
    std::memset(entries.data() + layout.counters, 0, sizeof(xt_counters));
    entries = entries.subspan(next);
  }
  return true;
}

// The sockets and the namespace are those of the thread that opened them. Any socket will do; one
// of a family that the kernel does not have is -1.
struct LegacyRules::Place {
  bool is_own;
  Descriptor netns;
  Descriptor sockets[2];

  Failure Read(const Family& family, ByteBuffer* reply) const {
    const int socket = sockets[family.domain == AF_INET6 ? 1 : 0].get();
    if (socket < 0) return {kOp, EAFNOSUPPORT};
    std::string names;
    const auto read = [&] { return ReadNames(family.names, &names); };
    if (Failure failure = is_own ? read() : RunInNetns(netns.get(), read)) return failure;
    for (size_t at = 0, end; (end = names.find('\n', at)) != std::string::npos; at = end + 1) {
      const auto name = std::string_view(names).substr(at, end - at);
      if (Failure failure = ReadTable(socket, family, name, reply)) return failure;
    }
    return {};
  }
};

Failure LegacyRules::Open(const std::string& netns, int, std::shared_ptr<Conversation>* out) {
  auto place = std::make_unique<Place>();
  place->is_own = netns.empty();
  const auto open_here = [&]() -> Failure {
    if (!place->is_own) {
      place->netns = Descriptor(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      if (place->netns.get() < 0) return {"netns", errno};
    }
    for (const int domain : {AF_INET, AF_INET6}) {
      Descriptor socket(::socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      if (socket.get() < 0 && errno != EAFNOSUPPORT) return {"socket", errno};
      place->sockets[domain == AF_INET6 ? 1 : 0] = std::move(socket);
    }
    return {};
  };
  if (Failure failure = RunInNetns(netns, open_here)) return failure;
  *out = std::make_shared<LegacyRules>(std::move(place));
  return {};
}

LegacyRules::LegacyRules(std::unique_ptr<Place> place) : place_(std::move(place)) {}
LegacyRules::~LegacyRules() = default;

Failure LegacyRules::Execute(Op op, Bytes request, ByteBuffer* reply) {
  const std::lock_guard<std::mutex> turn(mutex_);
  if (place_ == nullptr) return {"closed", EBADF};
  if (op != Op::kLegacyRules || request.size() != sizeof(uint32_t)) return kBadRequest;
  switch (RecordAt<uint32_t>(request, 0)) {
    case AF_INET:
      return place_->Read(kIpv4Rules, reply);
    case AF_INET6:
      return place_->Read(kIpv6Rules, reply);
  }
  return kBadRequest;
}

void LegacyRules::Close() {
  const std::lock_guard<std::mutex> turn(mutex_);
  place_.reset();
}

}  // namespace ipvs
