#pragma once

#include <string>

namespace ipvs {

// The size and the field offsets of every record as JSON text, for the test that holds
// lib/records.ts to records.h.
std::string Layout();

}  // namespace ipvs
