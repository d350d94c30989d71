#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "bytes.h"
#include "connections.h"
#include "failure.h"
#include "reading.h"

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

// Reads a file to its end, and closes it.
class TableReading final : public Reading {
 public:
  TableReading(int fd, const ConnectionQuery& query, ConnectionColumns* columns);
  ~TableReading() override;
  Failure Continue(Clock::time_point until, const std::atomic<bool>& canceled,
                   bool* is_over) override;

 private:
  const int fd_;
  const std::unique_ptr<char[]> buffer_;
  ConnectionParser parser_;
};

}  // namespace ipvs
