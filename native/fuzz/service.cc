#include "check.h"
#include "wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ipvs::ServiceRow row;
  if (ipvs::ReadService({data, size}, &row)) ipvs::Check(row);
  return 0;
}
