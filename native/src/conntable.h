#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "bytes.h"
#include "connections.h"
#include "failure.h"

namespace ipvs {

// Reads the text of /proc/net/ip_vs_conn or ip_vs_conn_sync, which it tells apart by the header, in
// pieces cut anywhere. A line that is not as the kernel writes it is EBADMSG, and `op` says which
// part of it; the rows before it stay in the columns.
class ConnectionParser {
 public:
  ConnectionParser(const ConnectionQuery& query, ConnectionColumns* columns)
      : query_(query), columns_(columns) {}

  Failure Feed(std::string_view piece);
  // Call at the end of the file.
  Failure Finish() const;

 private:
  Failure TakeLine(std::string_view line);
  Failure TakeHeader(std::string_view line);

  const ConnectionQuery query_;
  ConnectionColumns* columns_;
  std::string carry_;  // the line that the last piece cut
  bool has_header_ = false;
  bool has_origin_ = false;
};

// Reads all of `fd`. `canceled` may be set from any thread; it is looked at between reads, and
// answered with ECANCELED.
Failure ReadConnections(int fd, const ConnectionQuery& query, const std::atomic<bool>& canceled,
                        ConnectionColumns* columns);

}  // namespace ipvs
