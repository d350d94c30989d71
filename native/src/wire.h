// Records to IPVS netlink attributes and back. Every quirk of byte order, mandatory attributes and
// flags ends here, and so does every hostile byte.
#pragma once

#include <netlink/msg.h>

#include <cstdint>

#include "bytes.h"
#include "records.h"

namespace ipvs {

// Each appends attributes to a message and returns false when the message has no room left.
bool PutChange(nl_msg* message, const ChangeRecord& change);
bool PutServiceKey(nl_msg* message, const ServiceKey& key);
bool PutTimeouts(nl_msg* message, const TimeoutsRecord& timeouts);
bool PutDaemon(nl_msg* message, const DaemonRecord& daemon);
bool PutDaemonState(nl_msg* message, const DaemonRecord& daemon);
bool PutFamilyName(nl_msg* message, const char* name);

// Whether a record from outside can be sent at all: a known command, names that end.
bool IsSendable(const ChangeRecord& change);
bool IsSendable(const DaemonRecord& daemon);

// Each reads the attributes after the generic netlink header, fills the whole record, and returns
// false when they make no sense; the record's content is then unspecified.
bool ReadService(Bytes attributes, ServiceRow* row);
// `family` is the service's, for kernels that do not tell the destination's (before 3.18).
bool ReadDestination(Bytes attributes, uint16_t family, DestinationRow* row,
                     Detail detail = Detail::kAll);
bool ReadInfo(Bytes attributes, InfoRecord* info);
bool ReadTimeouts(Bytes attributes, TimeoutsRecord* timeouts);
bool ReadDaemon(Bytes attributes, DaemonRecord* daemon);
bool ReadFamilyId(Bytes attributes, uint16_t* id);

}  // namespace ipvs
