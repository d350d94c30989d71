// Netfilter's flows: the attributes of one, and what the columns are made of.
#include "check.h"
#include "conntrack.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ipvs::ConnectionRow row;
  if (!ipvs::ReadFlow({data, size}, &row)) return 0;
  ipvs::Check(row);
  ipvs::ConnectionColumns columns;
  ipvs::Require(columns.Append(row));
  ipvs::ServiceSet services;
  ipvs::Require(!services.Contains(row));
  return 0;
}
