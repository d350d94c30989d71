#include "connections.h"

#include <cstring>

namespace ipvs {
namespace {

constexpr size_t kNameSize = 16;
constexpr size_t kMaxStates = 256;

// Those of ip_vs_proto_tcp.c, ip_vs_proto_udp.c, ip_vs_proto_sctp.c and ip_vs_proto.c (Linux 6.1).
constexpr std::string_view kKnownStates[] = {
    "NONE",       "ESTABLISHED", "SYN_SENT",  "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE",
    "CLOSE_WAIT", "LAST_ACK",    "LISTEN",    "SYNACK",   "UDP",      "ASSURED",   "INIT1",
    "INIT",       "C-SENT",      "C-REPLIED", "C-WAIT",   "COOKIE",   "C-ECHOED",  "S-SENT",
    "S-RECEIVED", "S-ACK-SENT",  "REJECTED",  "CLOSED",   "ERR!"};

struct Name {
  char text[kNameSize] = {};
  explicit Name(std::string_view view) {
    std::memcpy(text, view.data(), view.size() < kNameSize ? view.size() : kNameSize - 1);
  }
};

bool SameAddress(const uint8_t* one, const uint8_t* other) {
  return std::memcmp(one, other, 16) == 0;
}

bool InPrefix(const uint8_t* address, const uint8_t* network, unsigned bits) {
  const unsigned whole = bits / 8;
  if (std::memcmp(address, network, whole) != 0) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((address[whole] ^ network[whole]) >> (8 - rest)) == 0;
}

bool MatchesService(const ConnectionQuery& query, const ConnectionRow& row) {
  return row.protocol == query.service_protocol && row.family == query.service_family &&
         (query.service_port == 0 || row.virtual_port == query.service_port) &&
         SameAddress(row.virtual_address, query.service_address);
}

bool MatchesDestination(const ConnectionQuery& query, const ConnectionRow& row) {
  return row.destination_family == query.destination_family &&
         SameAddress(row.destination_address, query.destination_address);
}

bool MatchesClient(const ConnectionQuery& query, const ConnectionRow& row) {
  return row.family == query.client_family &&
         InPrefix(row.client_address, query.client_address, query.client_prefix);
}

bool MatchesState(const ConnectionQuery& query, const ConnectionRow& row) {
  return std::string_view(query.state, strnlen(query.state, sizeof(query.state))) == row.state;
}

void AppendBytes(ByteBuffer* column, const uint8_t (&bytes)[16]) {
  std::memcpy(column->Extend(sizeof(bytes)), bytes, sizeof(bytes));
}

}  // namespace

bool Matches(const ConnectionQuery& query, const ConnectionRow& row) {
  const uint32_t has = query.has;
  if (has == 0) return true;
  if ((has & kConnectionHasProtocol) && row.protocol != query.protocol) return false;
  if ((has & kConnectionHasPersistent) && (row.client_port == 0) != (query.persistent != 0)) {
    return false;
  }
  if ((has & kConnectionHasService) && !MatchesService(query, row)) return false;
  if ((has & kConnectionHasDestination) && !MatchesDestination(query, row)) return false;
  if ((has & kConnectionHasDestinationPort) && row.destination_port != query.destination_port) {
    return false;
  }
  if ((has & kConnectionHasClient) && !MatchesClient(query, row)) return false;
  return !(has & kConnectionHasState) || MatchesState(query, row);
}

ConnectionColumns::ConnectionColumns() {
  for (std::string_view state : kKnownStates) (*this)[Column::kStateNames].Append(Name(state));
}

bool ConnectionColumns::Intern(std::string_view state, uint8_t* index) {
  ByteBuffer& names = (*this)[Column::kStateNames];
  const Name name(state);
  const auto is = [&](size_t i) {
    return std::memcmp(names.data() + i * kNameSize, name.text, kNameSize) == 0;
  };
  // Rows that follow one another are often in the same state.
  *index = last_state_;
  if (is(last_state_)) return true;
  const size_t count = names.size() / kNameSize;
  size_t i = 0;
  while (i < count && !is(i)) i++;
  if (i == kMaxStates) return false;
  if (i == count) names.Append(name);
  *index = last_state_ = static_cast<uint8_t>(i);
  return true;
}

bool ConnectionColumns::AppendEngine(const ConnectionRow& row) {
  ByteBuffer& data = (*this)[Column::kEngineData];
  const size_t length = row.engine_data.size();
  if (data.size() + length > UINT32_MAX) return false;
  EngineRecord record = {
      rows_, static_cast<uint32_t>(data.size()), static_cast<uint32_t>(length), {}};
  std::memcpy(record.name, Name(row.engine).text, sizeof(record.name));
  (*this)[Column::kEngines].Append(record);
  if (length > 0) std::memcpy(data.Extend(length), row.engine_data.data(), length);
  return true;
}

bool ConnectionColumns::Append(const ConnectionRow& row) {
  uint8_t state = 0;
  if (rows_ == UINT32_MAX || !Intern(row.state, &state)) return false;
  if (!row.engine.empty() && !AppendEngine(row)) return false;
  (*this)[Column::kProtocol].Append(row.protocol);
  (*this)[Column::kFamily].Append(static_cast<uint8_t>(row.destination_family << 4 | row.family));
  (*this)[Column::kState].Append(state);
  AppendBytes(&(*this)[Column::kClientAddress], row.client_address);
  AppendBytes(&(*this)[Column::kVirtualAddress], row.virtual_address);
  AppendBytes(&(*this)[Column::kDestinationAddress], row.destination_address);
  (*this)[Column::kClientPort].Append(row.client_port);
  (*this)[Column::kVirtualPort].Append(row.virtual_port);
  (*this)[Column::kDestinationPort].Append(row.destination_port);
  (*this)[Column::kExpires].Append(row.expires);
  if (row.origin != kOriginUnknown) (*this)[Column::kOrigin].Append(row.origin);
  rows_++;
  return true;
}

}  // namespace ipvs
