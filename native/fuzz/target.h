#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

// Each fuzzer defines this one; the name is libFuzzer's, so that clang's driver fits as well as
// ours.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace ipvs {

// What must hold whatever the kernel sent. Not assert, which an optimised build leaves out.
inline void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace ipvs
