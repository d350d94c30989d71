// The text of the connection table, read in one piece and in many: the same rows, the same failure.
#include "conntable.h"

#include <cstring>
#include <string>
#include <string_view>

#include "target.h"

namespace {

using ipvs::Column;
using ipvs::ConnectionColumns;
using ipvs::Failure;

// The first byte says how to cut, the second which rows to keep.
Failure Read(std::string_view text, uint8_t cut, uint8_t has, ConnectionColumns* columns) {
  ipvs::ConnectionQuery query = {};
  query.has = has;
  query.protocol = 6;
  query.service_protocol = 17;
  query.service_family = query.destination_family = query.client_family = ipvs::kIpv4;
  query.client_address[0] = query.service_address[0] = 10;
  query.client_prefix = has / 8;
  std::strcpy(query.state, "TIME_WAIT");
  ipvs::ConnectionParser parser(query, columns);
  for (size_t at = 0; at < text.size();) {
    const size_t size = cut == 0 ? text.size() : 1 + (at * 7 + cut) % cut;
    if (Failure failure = parser.Feed(text.substr(at, size))) return failure;
    at += size;
  }
  return parser.Finish();
}

void RequireEngines(ConnectionColumns* columns) {
  ipvs::EngineRecord record;
  const auto& engines = (*columns)[Column::kEngines];
  uint32_t next = 0;
  uint32_t offset = 0;
  for (size_t at = 0; at < engines.size(); at += sizeof(record)) {
    std::memcpy(&record, engines.data() + at, sizeof(record));
    ipvs::Require(record.row >= next && record.row < columns->rows() && record.offset == offset);
    next = record.row + 1;
    offset += record.length;
  }
  ipvs::Require(offset == (*columns)[Column::kEngineData].size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  ConnectionColumns whole;
  ConnectionColumns pieces;
  const Failure one = Read(text, 0, data[1], &whole);
  const Failure other = Read(text, data[0], data[1], &pieces);
  ipvs::Require(one.err == other.err && std::strcmp(one.op, other.op) == 0);
  if (one) return 0;
  for (size_t i = 0; i < ipvs::kColumns; i++) {
    const auto& left = whole[static_cast<Column>(i)];
    const auto& right = pieces[static_cast<Column>(i)];
    ipvs::Require(left.size() == right.size());
    ipvs::Require(left.size() == 0 || std::memcmp(left.data(), right.data(), left.size()) == 0);
  }
  // Every row has its line.
  size_t lines = 0;
  for (char c : text) lines += c == '\n';
  ipvs::Require(whole.rows() < lines && (data[1] != 0 || whole.rows() == lines - 1));
  ipvs::Require(whole[Column::kProtocol].size() == whole.rows());
  ipvs::Require(whole[Column::kClientAddress].size() == 16 * size_t{whole.rows()});
  RequireEngines(&whole);
  return 0;
}
