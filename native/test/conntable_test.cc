#include "conntable.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string>

#include "conntable_text.h"

namespace ipvs {
namespace {

struct Read {
  Failure failure;
  ConnectionColumns columns;

  explicit Read(const std::string& text, const ConnectionQuery& query = {}, size_t piece = 0) {
    ConnectionParser parser(query, &columns);
    const size_t step = piece == 0 ? text.size() + 1 : piece;
    for (size_t i = 0; i < text.size() && !failure; i += step) {
      failure = parser.Feed(std::string_view(text).substr(i, step));
    }
    if (!failure) failure = parser.Finish();
  }

  template <typename T>
  T At(Column column, size_t row) {
    T value = {};
    EXPECT_LE((row + 1) * sizeof(T), columns[column].size());
    std::memcpy(&value, columns[column].data() + row * sizeof(T), sizeof(T));
    return value;
  }

  std::string State(size_t row) {
    const size_t index = At<uint8_t>(Column::kState, row);
    return reinterpret_cast<const char*>(columns[Column::kStateNames].data() + index * 16);
  }

  std::string Address(Column column, size_t row) {
    std::string hex;
    for (size_t i = 0; i < 16; i++) {
      char digits[3];
      std::snprintf(digits, sizeof(digits), "%02x", columns[column].data()[row * 16 + i]);
      hex += digits;
    }
    return hex;
  }
};

std::string Zeros(const std::string& hex) { return hex + std::string(32 - hex.size(), '0'); }

TEST(ConnectionParser, ReadsEveryShapeOfLine) {
  Read read(kTable);
  ASSERT_EQ(read.failure.err, 0) << read.failure.op;
  ASSERT_EQ(read.columns.rows(), kTableRows);
  EXPECT_EQ(read.At<uint8_t>(Column::kProtocol, 0), 6);
  EXPECT_EQ(read.At<uint8_t>(Column::kFamily, 0), 0x44);
  EXPECT_EQ(read.State(0), "TIME_WAIT");
  EXPECT_EQ(read.Address(Column::kClientAddress, 0), Zeros("0a000001"));
  EXPECT_EQ(read.At<uint16_t>(Column::kClientPort, 0), 0xbb88);
  EXPECT_EQ(read.Address(Column::kVirtualAddress, 0), Zeros("0a000002"));
  EXPECT_EQ(read.At<uint16_t>(Column::kVirtualPort, 0), 80);
  EXPECT_EQ(read.Address(Column::kDestinationAddress, 0), Zeros("7f000001"));
  EXPECT_EQ(read.At<uint16_t>(Column::kDestinationPort, 0), 8080);
  EXPECT_EQ(read.At<uint32_t>(Column::kExpires, 0), 117u);

  EXPECT_EQ(read.At<uint8_t>(Column::kFamily, 1), 0x66);
  EXPECT_EQ(read.Address(Column::kVirtualAddress, 1), "20010db8000000000000000000000001");
  EXPECT_EQ(read.At<uint8_t>(Column::kFamily, 2), 0x46) << "an IPv4 destination of IPv6";
  EXPECT_EQ(read.At<uint8_t>(Column::kProtocol, 2), 17);
  EXPECT_EQ(read.At<uint8_t>(Column::kProtocol, 3), 132);
  EXPECT_EQ(read.State(3), "C-REPLIED");
  EXPECT_EQ(read.At<uint8_t>(Column::kProtocol, 4), 0);
  EXPECT_EQ(read.Address(Column::kVirtualAddress, 4), Zeros("00000007"));
  EXPECT_EQ(read.At<uint32_t>(Column::kExpires, 5), 4294967295u);
  EXPECT_EQ(read.At<uint8_t>(Column::kProtocol, 6), 47);
  EXPECT_EQ(read.State(6), "SOMETHING,NEW");
  EXPECT_EQ(read.columns[Column::kOrigin].size(), 0u);
}

TEST(ConnectionParser, KeepsWhatEnginesKnowByteForByte) {
  Read read(kTable);
  ASSERT_EQ(read.columns[Column::kEngines].size(), 2 * sizeof(EngineRecord));
  const auto first = read.At<EngineRecord>(Column::kEngines, 0);
  const auto second = read.At<EngineRecord>(Column::kEngines, 1);
  EXPECT_EQ(first.row, 5u);
  EXPECT_STREQ(first.name, "sip");
  EXPECT_EQ(second.row, 7u);
  const char* data = reinterpret_cast<const char*>(read.columns[Column::kEngineData].data());
  EXPECT_EQ(std::string(data + first.offset, first.length), "a call@id  \xff TCP 0A");
  EXPECT_EQ(second.length, 0u);
}

TEST(ConnectionParser, TellsTheFileWithOriginsByItsHeader) {
  Read read(kOriginTable);
  ASSERT_EQ(read.failure.err, 0) << read.failure.op;
  EXPECT_EQ(read.columns[Column::kOrigin].size(), 2u);
  EXPECT_EQ(read.At<uint8_t>(Column::kOrigin, 0), kOriginLocal);
  EXPECT_EQ(read.At<uint8_t>(Column::kOrigin, 1), kOriginSync);
  EXPECT_EQ(read.At<uint32_t>(Column::kExpires, 1), 49u);
}

TEST(ConnectionParser, ReadsTheSameInPiecesCutAnywhere) {
  for (const std::string& text : {kTable, kOriginTable}) {
    Read whole(text);
    for (size_t piece = 1; piece <= text.size(); piece++) {
      Read read(text, {}, piece);
      ASSERT_EQ(read.failure.err, 0) << piece;
      for (size_t i = 0; i < kColumns; i++) {
        const auto column = static_cast<Column>(i);
        const ByteBuffer& one = whole.columns[column];
        const ByteBuffer& other = read.columns[column];
        ASSERT_EQ(one.size(), other.size()) << piece;
        if (one.size() == 0) continue;
        ASSERT_EQ(std::memcmp(one.data(), other.data(), one.size()), 0);
      }
    }
  }
}

TEST(ConnectionParser, TakesNoFileThatEndsInTheMiddleOfALine) {
  for (size_t size = 0; size < kTable.size(); size++) {
    const Read read(kTable.substr(0, size));
    const bool whole = size > 0 && kTable[size - 1] == '\n';
    ASSERT_EQ(read.failure.err, whole ? 0 : EBADMSG) << size;
  }
}

std::string With(const std::string& from, const std::string& to) {
  std::string line = "TCP 0A000001 BB88 0A000002 0050 7F000001 1F90 TIME_WAIT       117";
  return std::string(kHeaderLine) + line.replace(line.find(from), from.size(), to) + '\n';
}

TEST(ConnectionParser, SaysWhichPartOfALineMakesNoSense) {
  const std::string kTooMuch = "117 sip " + std::string(256, 'x');
  const struct {
    const char* from;
    const char* to;
    const char* op;
  } kCases[] = {
      {"TCP", "TPC", "connection protocol"},
      {"TCP", "IP_256", "connection protocol"},
      {"TCP", "IP_", "connection protocol"},
      {"TCP", "IP", "connection protocol"},
      {"0A000001", "0A00001", "connection client"},
      {"0A000001", "0A00000G", "connection client"},
      {"0A000001", "2001:0db8:0000:0000:0000:0000:0000:001", "connection client"},
      {"BB88", "BB8", "connection client port"},
      {"0A000002", "2001:0db8:0000:0000:0000:0000:0000:0001", "connection virtual address"},
      {"0050", "005 ", "connection virtual port"},
      {"7F000001", "7F0000011", "connection destination"},
      {"1F90", "1F90F", "connection destination port"},
      {"TIME_WAIT", "time_wait", "connection state"},
      {"TIME_WAIT  ", "SIXTEEN_LETTERS_", "connection state"},
      {"TIME_WAIT", "TIME_WAI", "connection expiry"},
      {"    117", "   117", "connection expiry"},
      {"    117", "     -1", "connection expiry"},
      {"    117", "    017", "connection expiry"},
      {"    117", "4294967296", "connection expiry"},
      {"    117", "       ", "connection expiry"},
      {"117", "117 ", "connection engine"},
      {"117", "117 sip", "connection engine"},
      {"117", "117 SIP x", "connection engine"},
      {"117", "117 TCP 0A000001 BB88 0A000002 0050", "connection engine"},
      {"117", "117x", "connection engine"},
      {"117", kTooMuch.c_str(), "connection engine"},
  };
  for (const auto& wrong : kCases) {
    Read read(With(wrong.from, wrong.to));
    EXPECT_EQ(read.failure.err, EBADMSG) << wrong.to;
    EXPECT_STREQ(read.failure.op, wrong.op) << wrong.to;
    EXPECT_EQ(read.columns.rows(), 0u) << wrong.to;
  }
}

TEST(ConnectionParser, NeedsItsHeaderAndNoEndlessLine) {
  EXPECT_STREQ(Read("").failure.op, "connection header");
  EXPECT_STREQ(Read("something else\n").failure.op, "connection header");
  EXPECT_STREQ(Read(kTable.substr(kTable.find('\n') + 1)).failure.op, "connection header");
  const std::string endless = std::string(kHeaderLine) + std::string(5000, 'A');
  EXPECT_STREQ(Read(endless).failure.op, "connection line");
  EXPECT_STREQ(Read(endless, {}, 7).failure.op, "connection line");
}

// One byte of the file changed into any other: either the rows are as many as before, or it is an
// error. But what an engine keeps may be any bytes up to the end of the line, so what follows a
// line end lost there is as good as any.
TEST(ConnectionParser, LosesNoRowToAByteGoneWrong) {
  const size_t end_of_data = kTable.find("TCP 0A\n") + 6;
  for (size_t i = 0; i < kTable.size(); i++) {
    if (i == end_of_data) continue;
    for (int byte = 0; byte < 256; byte += 5) {
      std::string text = kTable;
      text[i] = static_cast<char>(byte);
      const Read read(text);
      if (read.failure.err == 0) {
        ASSERT_EQ(read.columns.rows(), kTableRows) << i << " " << byte;
      }
    }
  }
}

ConnectionQuery Only(uint32_t has) {
  ConnectionQuery query = {};
  query.has = has;
  return query;
}

uint32_t Count(const ConnectionQuery& query) {
  const Read read(kTable, query);
  EXPECT_EQ(read.failure.err, 0);
  return read.columns.rows();
}

TEST(ConnectionQuery, KeepsWhatMatches) {
  EXPECT_EQ(Count({}), kTableRows);

  ConnectionQuery query = Only(kConnectionHasProtocol);
  query.protocol = 17;
  EXPECT_EQ(Count(query), 3u);

  query = Only(kConnectionHasPersistent);
  EXPECT_EQ(Count(query), 5u);
  query.persistent = 1;
  EXPECT_EQ(Count(query), 3u);

  query = Only(kConnectionHasState);
  std::strcpy(query.state, "TIME_WAIT");
  EXPECT_EQ(Count(query), 2u);
  std::strcpy(query.state, "TIME_WAI");
  EXPECT_EQ(Count(query), 0u);

  query = Only(kConnectionHasDestination);
  query.destination_family = kIpv4;
  std::memcpy(query.destination_address, "\x7f\0\0\1", 4);
  EXPECT_EQ(Count(query), 7u);
  query.has |= kConnectionHasDestinationPort;
  query.destination_port = 8080;
  EXPECT_EQ(Count(query), 2u);
  query.destination_family = kIpv6;
  EXPECT_EQ(Count(query), 0u);
}

TEST(ConnectionQuery, KnowsServicesByAddressAndByMark) {
  ConnectionQuery query = Only(kConnectionHasService);
  query.service_protocol = 6;
  query.service_family = kIpv4;
  std::memcpy(query.service_address, "\x0a\0\0\2", 4);
  query.service_port = 80;
  EXPECT_EQ(Count(query), 1u);
  query.service_port = 81;
  EXPECT_EQ(Count(query), 0u);
  query.service_port = 0;
  EXPECT_EQ(Count(query), 1u);
  query.service_protocol = 17;
  EXPECT_EQ(Count(query), 2u);
  query.service_protocol = 0;
  std::memcpy(query.service_address, "\0\0\0\7", 4);
  EXPECT_EQ(Count(query), 1u);
}

TEST(ConnectionQuery, ComparesPrefixesBitByBit) {
  ConnectionQuery query = Only(kConnectionHasClient);
  query.client_family = kIpv4;
  std::memcpy(query.client_address, "\x0a\0\0\2", 4);
  const uint8_t prefixes[] = {0, 8, 30, 31, 32};
  const uint32_t counts[] = {6, 6, 6, 2, 1};
  for (size_t i = 0; i < std::size(prefixes); i++) {
    query.client_prefix = prefixes[i];
    EXPECT_EQ(Count(query), counts[i]) << int{prefixes[i]};
  }
  query.client_family = kIpv6;
  query.client_prefix = 0;
  EXPECT_EQ(Count(query), 2u);
}

TEST(ConnectionColumns, HasRoomForAsManyStatesAsAByteTellsApart) {
  ConnectionColumns columns;
  ConnectionRow row = {};
  uint32_t taken = 0;
  for (int i = 0; i < 300; i++) {
    const std::string state = "S" + std::to_string(i);
    row.state = state;
    if (columns.Append(row)) taken++;
  }
  EXPECT_EQ(columns[Column::kStateNames].size(), 256u * 16);
  EXPECT_EQ(columns.rows(), taken);
  row.state = "ESTABLISHED";
  EXPECT_TRUE(columns.Append(row));
}

int FileOf(const std::string& text) {
  const int fd = memfd_create("connections", MFD_CLOEXEC);
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  lseek(fd, 0, SEEK_SET);
  return fd;
}

std::string Lines(int count) {
  std::string text(kHeaderLine);
  const std::string line = With("TCP", "TCP").substr(kHeaderLine.size());
  for (int i = 0; i < count; i++) text += line;
  return text;
}

TEST(TableReading, ReadsAFileOfManyPagesToItsEnd) {
  ConnectionColumns columns;
  EXPECT_EQ(TableReading(FileOf(Lines(20'000)), {}, &columns).Finish(false).err, 0);
  EXPECT_EQ(columns.rows(), 20'000u);
}

TEST(TableReading, ReadsOnWhereTheLastSliceEnded) {
  ConnectionColumns columns;
  TableReading reading(FileOf(Lines(20'000)), {}, &columns);
  bool is_over = false;
  int slices = 0;
  for (uint32_t before = 0; !is_over; slices++, before = columns.rows()) {
    ASSERT_EQ(reading.Continue({}, false, &is_over).err, 0);
    ASSERT_TRUE(is_over || columns.rows() > before);
  }
  EXPECT_GT(slices, 2);
  EXPECT_EQ(columns.rows(), 20'000u);
}

TEST(TableReading, StopsWhenCanceledAndWhenTheFileFails) {
  ConnectionColumns columns;
  EXPECT_EQ(TableReading(FileOf(kTable), {}, &columns).Finish(true).err, ECANCELED);
  EXPECT_EQ(columns.rows(), 0u);
  const int directory = open("/", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(TableReading(directory, {}, &columns).Finish(false).err, EISDIR);
}

TEST(TableReading, ClosesItsFile) {
  const int fd = FileOf(kTable);
  ConnectionColumns columns;
  { const TableReading reading(fd, {}, &columns); }
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace ipvs
