// Reads the destinations of many services. The kernel lists them a service at a time, and a socket
// has one list under way at a time. So many lists go out in one system call, each read to its end
// before the next begins (Channel::Converse); those that do not end within the reads they were
// given are asked for again, alone.

#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "kernel.h"
#include "row_set.h"
#include "socket.h"
#include "wire.h"

namespace ipvs {
namespace {

// The rows and the end of a list come in a datagram each; a long list takes more.
constexpr unsigned kFewestReads = 2;
constexpr unsigned kMostReads = 16;
// Below this the usual way is as good, and leaves the system's resources alone.
constexpr uint32_t kWorthABatch = 8;
static_assert(Channel::kMaxSlots / kMostReads >= kWorthABatch);

// What tells one destination of a service from another: its first settings.
struct DestinationIdentity {
  uint8_t address[16];
  uint16_t family;
  uint16_t port;
};
static_assert(offsetof(DestinationIdentity, family) == offsetof(DestinationSettings, family));
static_assert(offsetof(DestinationIdentity, port) == offsetof(DestinationSettings, port));

DestinationIdentity IdentityOf(const DestinationRow& row) {
  DestinationIdentity identity;
  std::memcpy(&identity, &row.destination, sizeof(identity));
  return identity;
}

// Up to so many rows it is quicker to look at each than to keep a set.
constexpr size_t kFew = 16;

}  // namespace

// The reply in the making: each destination of a service once. The rows of a service come together.
class DestinationRows {
 public:
  explicit DestinationRows(ByteBuffer* reply) : reply_(reply) {}

  size_t size() const { return reply_->size() / sizeof(DestinationRow); }
  void Append(const DestinationRow& row) {
    if (row.service != service_) Begin(row.service);
    if (!IsThere(IdentityOf(row))) reply_->Append(row);
  }
  void Truncate(size_t size) {
    reply_->Truncate(size * sizeof(DestinationRow));
    Begin(kNoService);
  }

 private:
  static constexpr uint32_t kNoService = ~0u;

  void Begin(uint32_t service) {
    service_ = service;
    first_ = size();
    seen_ = {};
  }

  bool IsThere(const DestinationIdentity& identity) {
    const size_t count = size() - first_;
    if (count > kFew) return !seen_.Insert(identity);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
      const uint8_t* row = reply_->data() + (first_ + i) * sizeof(DestinationRow);
      const uint8_t* other = row + offsetof(DestinationRow, destination);
      found = found || std::memcmp(other, &identity, sizeof(identity)) == 0;
    }
    // From then on it is a set.
    if (count == kFew && !found) {
      for (size_t i = 0; i < count; i++) {
        seen_.Insert(
            IdentityOf(RecordAt<DestinationRow>({reply_->data(), reply_->size()}, first_ + i)));
      }
      seen_.Insert(identity);
    }
    return found;
  }

  ByteBuffer* reply_;
  uint32_t service_ = kNoService;
  size_t first_ = 0;
  RowSet<DestinationIdentity> seen_;
};

// What a batch has read: rows in the order of their services, and which services are complete.
struct DestinationBatch {
  Detail detail = Detail::kAll;
  uint32_t from = 0;
  uint32_t size = 0;
  std::vector<DestinationRow> rows;
  std::vector<bool> complete;
};

Failure Connection::Destinations(Bytes keys, Detail detail, ByteBuffer* reply) {
  const auto count = static_cast<uint32_t>(CountOf<ChangeRecord>(keys));
  DestinationRows rows(reply);
  DestinationBatch batch;
  batch.detail = detail;
  unsigned reads = kFewestReads;
  bool batches = true;
  for (uint32_t from = 0; from < count; from += batch.size) {
    batch.from = from;
    batch.size = std::min<uint32_t>(count - from, Channel::kMaxSlots / reads);
    batch.rows.clear();
    batch.complete.assign(batch.size, false);
    if (batches && batch.size >= kWorthABatch) {
      if (Failure failure = Converse(keys, reads, &batch)) return failure;
    }

    uint32_t alone = 0;
    auto next = batch.rows.cbegin();
    for (uint32_t index = from; index < from + batch.size; index++) {
      const bool complete = batch.complete[index - from];
      for (; next != batch.rows.cend() && next->service == index; ++next) {
        if (complete) rows.Append(*next);
      }
      if (complete) continue;
      alone++;
      const ServiceKey key = RecordAt<ChangeRecord>(keys, index).service;
      if (Failure failure = DestinationsOf(key, index, detail, &rows)) {
        return failure;
      }
    }
    // Longer lists than thought. With those that take more reads yet, batches gain nothing.
    if (alone > batch.size / 4) {
      batches = batches && reads < kMostReads;
      reads = std::min(reads * 2, kMostReads);
    }
  }
  return {};
}

Failure Connection::DestinationsOf(const ServiceKey& key, uint32_t index, Detail detail,
                                   DestinationRows* rows) {
  const size_t start = rows->size();
  const auto put = [&](nl_msg* message) { return PutServiceKey(message, key); };
  const auto take = [&](Bytes attributes) {
    DestinationRow row;
    if (!ReadDestination(attributes, key.family, &row, detail)) return false;
    row.service = index;
    rows->Append(row);
    return true;
  };
  return Query({"destinations", family_, IPVS_CMD_GET_DEST, IPVS_CMD_NEW_DEST, true}, put, take,
               [&] { rows->Truncate(start); });
}

Failure Connection::Converse(Bytes keys, unsigned reads, DestinationBatch* batch) {
  const uint32_t sequence = channel_->Begin(batch->size, Answers::kInPieces);
  std::vector<size_t> ends;
  outbox_.Clear();
  for (uint32_t i = 0; i < batch->size; i++) {
    const ServiceKey key = RecordAt<ChangeRecord>(keys, batch->from + i).service;
    const auto put = [&](nl_msg* message) { return PutServiceKey(message, key); };
    if (!outbox_.Add(family_, IPVS_CMD_GET_DEST, NLM_F_REQUEST | NLM_F_DUMP, sequence + i, put)) {
      return {"request", EMSGSIZE};
    }
    ends.push_back(outbox_.bytes().size());
  }
  std::vector<Bytes> requests;
  for (size_t i = 0, start = 0; i < ends.size(); start = ends[i++]) {
    requests.push_back(outbox_.bytes().subspan(start, ends[i] - start));
  }

  const auto take = [&](uint32_t i, const Message& message) {
    if (message.type == NLMSG_ERROR || message.type == NLMSG_DONE) {
      int err = 0;
      if (!ReadErrno(message, &err)) return false;
      batch->complete[i] = err == 0 && message.type == NLMSG_DONE;
      return true;
    }
    const ServiceKey key = RecordAt<ChangeRecord>(keys, batch->from + i).service;
    DestinationRow row;
    Bytes attributes;
    if (!ReadHeader(message, family_, IPVS_CMD_NEW_DEST, &attributes) ||
        !ReadDestination(attributes, key.family, &row, batch->detail)) {
      return false;
    }
    row.service = batch->from + i;
    batch->rows.push_back(row);
    return true;
  };
  Failure failure;
  const bool conversed = channel_->Converse(requests, reads, take, &failure);
  if (failure) return failure;
  const bool all =
      std::find(batch->complete.begin(), batch->complete.end(), false) == batch->complete.end();
  // The rest of a list may be waiting; and where rows were lost, no list is known to be whole.
  if (conversed && !all) channel_->Drain();
  if (channel_->overrun()) batch->complete.assign(batch->size, false);
  return {};
}

}  // namespace ipvs
