// What the kernel writes, for tests and as seeds for fuzzing.
#pragma once

#include <string>
#include <string_view>

namespace ipvs {

constexpr std::string_view kHeaderLine =
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";

inline const std::string kTable =
    std::string(kHeaderLine) +
    "TCP 0A000001 BB88 0A000002 0050 7F000001 1F90 TIME_WAIT       117\n"
    "TCP 2001:0db8:0000:0000:0000:0000:0000:0001 D86C 2001:0db8:0000:0000:0000:0000:0000:0001 "
    "0050 2001:0db8:0000:0000:0000:0000:0000:0002 1F90 TIME_WAIT       119\n"
    "UDP 2001:0db8:0000:0000:0000:0000:0000:0001 D86C 2001:0db8:0000:0000:0000:0000:0000:0001 "
    "0035 7F000001 0035 UDP             299\n"
    "SCTP 0A000003 8001 0A000002 0084 7F000001 0084 C-REPLIED         3\n"
    "IP  0A000000 0000 00000007 0000 7F000001 0000 ASSURED          97\n"
    "UDP 0A000001 0000 0A000002 13C4 7F000001 13C4 ASSURED     4294967295 sip a call@id  \xff TCP "
    "0A\n"
    "IP_47 0A000001 0001 0A000002 0000 7F000001 1F90 SOMETHING,NEW       0\n"
    "UDP 0A000002 0000 0A000002 13C4 7F000001 13C5 NONE              1 sip \n";
constexpr unsigned kTableRows = 8;

inline const std::string kOriginTable =
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n"
    "TCP 0A000001 BB88 0A000002 0050 7F000001 1F90 TIME_WAIT   LOCAL      117\n"
    "TCP 0A000002 0000 0A000002 0051 7F000001 1F90 ASSURED     SYNC        49\n";

}  // namespace ipvs
