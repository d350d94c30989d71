// The connection table as it crosses the border: one column a field, filled row by row. Where rows
// come from is elsewhere (conntable.h). lib/connection-records.ts is JavaScript's side of the same
// layout; a test compares the two through Layout() in records.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bytes.h"

namespace ipvs {

// Where rows are read from.
enum class ConnectionSource : uint8_t {
  kTable = 1,           // /proc/net/ip_vs_conn
  kOrigin = 2,          // /proc/net/ip_vs_conn_sync: tells who made each entry, but knows no engine
  kConntrack = 3,       // netfilter's flows to services; see conntrack.h
  kConntrackIfFit = 4,  // the same where that is worth it and tells as much, else kConntrackUnfit
};

// Families as users see them in the family column.
constexpr uint8_t kIpv4 = 4;
constexpr uint8_t kIpv6 = 6;

// Which rows to keep. `has` tells which fields count (kConnectionHas*); rows must satisfy all of
// them. Addresses are network order, IPv4 in the first four bytes. A service of port 0 is every
// port of its address. A service of protocol 0 is a firewall mark, which stands where the address
// would.
struct ConnectionQuery {
  uint32_t has;
  uint8_t source;
  uint8_t protocol;
  uint8_t service_protocol;
  uint8_t service_family;
  uint8_t destination_family;
  uint8_t client_family;
  uint8_t client_prefix;  // leading bits that count
  uint8_t persistent;     // 1: templates alone; 0: all but templates
  uint16_t service_port;
  uint16_t destination_port;
  uint8_t service_address[16];
  uint8_t destination_address[16];
  uint8_t client_address[16];
  char state[16];  // NUL-padded
};
constexpr uint32_t kConnectionHasProtocol = 1;
constexpr uint32_t kConnectionHasService = 2;
constexpr uint32_t kConnectionHasDestination = 4;
constexpr uint32_t kConnectionHasDestinationPort = 8;
constexpr uint32_t kConnectionHasClient = 16;
constexpr uint32_t kConnectionHasState = 32;
constexpr uint32_t kConnectionHasPersistent = 64;

// What a persistence engine knows of a row; sorted by row, as few rows have one.
struct EngineRecord {
  uint32_t row;
  uint32_t offset;  // of the data, in a column of its own
  uint32_t length;
  char name[16];
};

static_assert(sizeof(ConnectionQuery) == 80 && sizeof(EngineRecord) == 28);

// The columns in the order in which they cross the border.
enum class Column : uint32_t {
  kProtocol,            // u8, IP protocol number
  kFamily,              // u8, kIpv4 or kIpv6: client and service in the low nibble, destination in
                        // the high one
  kState,               // u8, index of its name
  kClientAddress,       // 16 bytes each
  kVirtualAddress,      //
  kDestinationAddress,  //
  kClientPort,          // u16 each
  kVirtualPort,         //
  kDestinationPort,     //
  kExpires,             // u32, seconds
  kOrigin,              // u8, empty where the source does not tell: 1 made here, 2 synchronised
  kStateNames,          // 16 bytes each, NUL-padded
  kEngines,             // EngineRecord
  kEngineData,          // bytes
};
constexpr size_t kColumns = 14;

constexpr uint8_t kOriginUnknown = 0;
constexpr uint8_t kOriginLocal = 1;
constexpr uint8_t kOriginSync = 2;

// One connection, on its way from a source to the columns. `state` and the engine's views need to
// live until then only.
struct ConnectionRow {
  uint8_t protocol;
  uint8_t family;
  uint8_t destination_family;
  uint8_t origin;
  uint8_t client_address[16];
  uint8_t virtual_address[16];
  uint8_t destination_address[16];
  uint16_t client_port;
  uint16_t virtual_port;
  uint16_t destination_port;
  uint32_t expires;
  std::string_view state;   // at most kStateMax bytes
  std::string_view engine;  // empty: none; at most kEngineMax bytes
  std::string_view engine_data;
};
constexpr size_t kStateMax = 15;
constexpr size_t kEngineMax = 15;

bool Matches(const ConnectionQuery& query, const ConnectionRow& row);

class ConnectionColumns {
 public:
  // The names that the kernel is known to use have the same number in every table.
  ConnectionColumns();

  // False when there are more names of states than a byte can tell apart, or more rows or engine
  // data than 32 bits: then the row is not stored.
  [[nodiscard]] bool Append(const ConnectionRow& row);

  uint32_t rows() const { return rows_; }
  ByteBuffer& operator[](Column column) { return columns_[static_cast<size_t>(column)]; }
  std::array<ByteBuffer, kColumns>& all() { return columns_; }

 private:
  bool Intern(std::string_view state, uint8_t* index);
  bool AppendEngine(const ConnectionRow& row);

  std::array<ByteBuffer, kColumns> columns_;
  uint32_t rows_ = 0;
  uint8_t last_state_ = 0;
};

}  // namespace ipvs
