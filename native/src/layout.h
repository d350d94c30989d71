#pragma once

#include <string>

namespace ipvs {

// The size and the field offsets of every record as JSON text, for the test that holds
// lib/layout.ts to records.h.
std::string Layout();

}  // namespace ipvs
