#include "check.h"
#include "wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ipvs::DestinationRow row;
  for (const uint16_t family : {uint16_t{AF_INET}, uint16_t{AF_INET6}}) {
    if (ipvs::ReadDestination({data, size}, family, &row)) ipvs::Check(row);
  }
  return 0;
}
