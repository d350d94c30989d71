#pragma once

#include <linux/ip_vs.h>
#include <netinet/in.h>

#include <cstdint>

namespace ipvs {

// Attributes younger than the headers we want to build on (Linux 4.18). Older kernels ignore them.
constexpr uint16_t kDestTunType = 13;   // IPVS_DEST_ATTR_TUN_TYPE, 5.2
constexpr uint16_t kDestTunPort = 14;   // IPVS_DEST_ATTR_TUN_PORT, 5.2
constexpr uint16_t kDestTunFlags = 15;  // IPVS_DEST_ATTR_TUN_FLAGS, 5.3

}  // namespace ipvs
