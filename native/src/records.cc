#include "records.h"

#include <cstddef>
#include <initializer_list>
#include <string>

#include "connections.h"
#include "layout.h"
#include "route_records.h"
#include "set_records.h"

namespace ipvs {
namespace {

struct Field {
  const char* name;
  size_t offset;
};

void AppendRecord(std::string* json, const char* name, size_t size,
                  std::initializer_list<Field> fields) {
  *json += json->empty() ? "{" : ",";
  *json += '"' + std::string(name) + "\":{\"size\":" + std::to_string(size);
  for (const Field& field : fields) {
    *json += ",\"" + std::string(field.name) + "\":" + std::to_string(field.offset);
  }
  *json += '}';
}

}  // namespace

#define FIELD(field) \
  Field { #field, offsetof(Record, field) }

std::string Layout() {
  std::string json;
  {
    using Record = ServiceSettings;
    AppendRecord(&json, "ServiceSettings", sizeof(Record),
                 {FIELD(flags), FIELD(timeout), FIELD(netmask), FIELD(scheduler), FIELD(engine)});
  }
  {
    using Record = DestinationSettings;
    AppendRecord(&json, "DestinationSettings", sizeof(Record),
                 {FIELD(address), FIELD(family), FIELD(port), FIELD(forward), FIELD(weight),
                  FIELD(upper_threshold), FIELD(lower_threshold), FIELD(tunnel_type),
                  FIELD(tunnel_port), FIELD(tunnel_flags)});
  }
  {
    using Record = ServiceKey;
    AppendRecord(&json, "ServiceKey", sizeof(Record),
                 {FIELD(family), FIELD(protocol), FIELD(fwmark), FIELD(address), FIELD(port)});
  }
  {
    using Record = ChangeRecord;
    AppendRecord(&json, "ChangeRecord", sizeof(Record),
                 {FIELD(command), FIELD(service), FIELD(settings), FIELD(destination)});
  }
  {
    using Record = StatsRecord;
    AppendRecord(&json, "StatsRecord", sizeof(Record),
                 {FIELD(connections), FIELD(packets_in), FIELD(packets_out), FIELD(bytes_in),
                  FIELD(bytes_out), FIELD(connection_rate), FIELD(packet_in_rate),
                  FIELD(packet_out_rate), FIELD(byte_in_rate), FIELD(byte_out_rate)});
  }
  {
    using Record = ServiceRow;
    AppendRecord(&json, "ServiceRow", sizeof(Record),
                 {FIELD(stats), FIELD(service), FIELD(settings)});
  }
  {
    using Record = DestinationRow;
    AppendRecord(&json, "DestinationRow", sizeof(Record),
                 {FIELD(stats), FIELD(destination), FIELD(service), FIELD(active_connections),
                  FIELD(inactive_connections), FIELD(persistent_connections)});
  }
  {
    using Record = InfoRecord;
    AppendRecord(&json, "InfoRecord", sizeof(Record),
                 {FIELD(version), FIELD(connection_table_size)});
  }
  {
    using Record = TimeoutsRecord;
    AppendRecord(&json, "TimeoutsRecord", sizeof(Record), {FIELD(tcp), FIELD(tcp_fin), FIELD(udp)});
  }
  {
    using Record = DaemonRecord;
    AppendRecord(&json, "DaemonRecord", sizeof(Record),
                 {FIELD(state), FIELD(sync_id), FIELD(has), FIELD(group_family), FIELD(max_length),
                  FIELD(port), FIELD(ttl), FIELD(group), FIELD(interface)});
  }
  {
    using Record = ConnectionQuery;
    AppendRecord(
        &json, "ConnectionQuery", sizeof(Record),
        {FIELD(has), FIELD(source), FIELD(protocol), FIELD(service_protocol), FIELD(service_family),
         FIELD(destination_family), FIELD(client_family), FIELD(client_prefix), FIELD(persistent),
         FIELD(service_port), FIELD(destination_port), FIELD(service_address),
         FIELD(destination_address), FIELD(client_address), FIELD(state)});
  }
  {
    using Record = EngineRecord;
    AppendRecord(&json, "EngineRecord", sizeof(Record),
                 {FIELD(row), FIELD(offset), FIELD(length), FIELD(name)});
  }
  {
    using Record = LinkRecord;
    AppendRecord(&json, "LinkRecord", sizeof(Record),
                 {FIELD(index), FIELD(flags), FIELD(mtu), FIELD(name), FIELD(kind)});
  }
  {
    using Record = AddressRecord;
    AppendRecord(&json, "AddressRecord", sizeof(Record),
                 {FIELD(link), FIELD(family), FIELD(prefix), FIELD(scope), FIELD(address)});
  }
  {
    using Record = AddressChange;
    AppendRecord(&json, "AddressChange", sizeof(Record), {FIELD(command), FIELD(address)});
  }
  {
    using Record = SetRecord;
    AppendRecord(&json, "SetRecord", sizeof(Record),
                 {FIELD(name), FIELD(type), FIELD(limit), FIELD(entries), FIELD(family)});
  }
  {
    using Record = EntryRecord;
    AppendRecord(&json, "EntryRecord", sizeof(Record),
                 {FIELD(has), FIELD(protocol), FIELD(prefix), FIELD(prefix2), FIELD(port),
                  FIELD(mark), FIELD(mask), FIELD(address), FIELD(address2)});
  }
  return json + "}";
}

#undef FIELD

}  // namespace ipvs
