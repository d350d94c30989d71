// The short replies: info, timeouts and the family's id.
#include "target.h"
#include "wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ipvs::InfoRecord info;
  ipvs::TimeoutsRecord timeouts;
  uint16_t id = 0;
  (void)ipvs::ReadInfo({data, size}, &info);
  (void)ipvs::ReadTimeouts({data, size}, &timeouts);
  if (ipvs::ReadFamilyId({data, size}, &id)) ipvs::Require(id != 0);
  return 0;
}
