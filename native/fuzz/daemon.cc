#include "check.h"
#include "wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ipvs::DaemonRecord daemon;
  if (ipvs::ReadDaemon({data, size}, &daemon)) ipvs::Check(daemon);
  return 0;
}
