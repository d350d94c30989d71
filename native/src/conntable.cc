#include "conntable.h"

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace ipvs {
namespace {

// The columns up to the state, which every kernel has; their widths are those of the rows.
constexpr std::string_view kHeader = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       ";
// Engines since 2.6.37.
constexpr std::string_view kEngineHeader = "Expires PEName PEData";
constexpr std::string_view kPlainHeader = "Expires";
constexpr std::string_view kOriginHeader = "Origin Expires";
// The longest line of Linux has some 450 bytes, 255 of them engine data.
constexpr size_t kMaxLine = 4096;
constexpr size_t kEngineDataMax = 255;  // IP_VS_PEDATA_MAXLEN
constexpr size_t kStateWidth = 11;
constexpr size_t kOriginWidth = 6;
constexpr size_t kExpiresWidth = 7;

// The kernel gives a page at a time, however large the buffer; older ones count lines out anew for
// each read, so reads must not be smaller than that.
constexpr size_t kReadSize = 128 << 10;

Failure Bad(const char* what) { return {what, EBADMSG}; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool IsStateCharacter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && std::strchr("_-!?,", c) != nullptr);
}

// What is left of a line, taken from the front.
class Line {
 public:
  explicit Line(std::string_view text) : text_(text) {}

  bool empty() const { return text_.empty(); }
  std::string_view rest() const { return text_; }

  bool Take(char expected) {
    if (text_.empty() || text_.front() != expected) return false;
    text_.remove_prefix(1);
    return true;
  }

  // Exactly `digits` hexadecimal digits.
  bool TakeHex(size_t digits, uint32_t* value) {
    if (text_.size() < digits) return false;
    int bad = 0;
    uint32_t number = 0;
    for (size_t i = 0; i < digits; i++) {
      const int digit = HexDigit(text_[i]);
      bad |= digit;
      number = number << 4 | static_cast<uint32_t>(digit & 15);
    }
    if (bad < 0) return false;
    text_.remove_prefix(digits);
    *value = number;
    return true;
  }

  bool TakeBytes(size_t count, uint8_t* bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
      if (!TakeHex(2, &value)) return false;
      bytes[i] = static_cast<uint8_t>(value);
    }
    return true;
  }

  // What comes before the next space or the end.
  std::string_view TakeWord() {
    const size_t end = std::min(text_.find(' '), text_.size());
    const std::string_view word = text_.substr(0, end);
    text_.remove_prefix(end);
    return word;
  }

  // The spaces that fill a word of `length` up to `width`.
  bool TakePadding(size_t length, size_t width) {
    for (; length < width; length++) {
      if (!Take(' ')) return false;
    }
    return true;
  }

  // A number as %7u prints it.
  bool TakeNumber(size_t width, uint32_t* value) {
    size_t padding = 0;
    while (padding + 1 < width && padding < text_.size() && text_[padding] == ' ') padding++;
    const char* begin = text_.data() + padding;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), *value);
    if (error != std::errc()) return false;
    const auto digits = static_cast<size_t>(end - begin);
    if (digits > 1 && *begin == '0') return false;
    if (padding + digits != width && (padding > 0 || digits < width)) return false;
    text_.remove_prefix(padding + digits);
    return true;
  }

 private:
  std::string_view text_;
};

// ip_vs_proto_name (Linux 6.1).
bool ReadProtocol(std::string_view name, uint8_t* protocol) {
  static constexpr struct {
    std::string_view name;
    uint8_t number;
  } kNames[] = {{"TCP", IPPROTO_TCP}, {"UDP", IPPROTO_UDP},   {"SCTP", IPPROTO_SCTP},
                {"IP", IPPROTO_IP},   {"ICMP", IPPROTO_ICMP}, {"ICMPv6", IPPROTO_ICMPV6}};
  for (const auto& known : kNames) {
    if (known.name == name) {
      *protocol = known.number;
      return true;
    }
  }
  constexpr std::string_view kNumbered = "IP_";
  if (!name.starts_with(kNumbered)) return false;
  const std::string_view number = name.substr(kNumbered.size());
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), *protocol);
  return error == std::errc() && end == number.data() + number.size() &&
         (number.size() == 1 || number.front() != '0');
}

bool TakeProtocol(Line* line, uint8_t* protocol) {
  const std::string_view name = line->TakeWord();
  return ReadProtocol(name, protocol) && line->TakePadding(name.size(), 3) && line->Take(' ');
}

bool TakeAddress(Line* line, uint8_t* family, uint8_t (&address)[16]) {
  constexpr size_t kGroup = 4;
  const bool is_ipv6 = line->rest().size() > kGroup && line->rest()[kGroup] == ':';
  *family = is_ipv6 ? kIpv6 : kIpv4;
  if (!is_ipv6) {
    std::memset(address + 4, 0, 12);
    return line->TakeBytes(4, address) && line->Take(' ');
  }
  for (size_t i = 0; i < sizeof(address); i += 2) {
    if (i > 0 && !line->Take(':')) return false;
    if (!line->TakeBytes(2, address + i)) return false;
  }
  return line->Take(' ');
}

bool TakePort(Line* line, uint16_t* port) {
  uint32_t value = 0;
  if (!line->TakeHex(4, &value) || !line->Take(' ')) return false;
  *port = static_cast<uint16_t>(value);
  return true;
}

bool TakeState(Line* line, std::string_view* state) {
  *state = line->TakeWord();
  if (state->empty() || state->size() > kStateMax) return false;
  for (char c : *state) {
    if (!IsStateCharacter(c)) return false;
  }
  return line->TakePadding(state->size(), kStateWidth) && line->Take(' ');
}

bool TakeOrigin(Line* line, uint8_t* origin) {
  const std::string_view name = line->TakeWord();
  *origin = name == "LOCAL" ? kOriginLocal : name == "SYNC" ? kOriginSync : kOriginUnknown;
  return *origin != kOriginUnknown && line->TakePadding(name.size(), kOriginWidth) &&
         line->Take(' ');
}

// The name of a module, so never what another line begins with: two lines run into one are noticed.
bool IsEngineCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// The data is whatever came over the network, to the end of the line.
bool TakeEngine(Line* line, ConnectionRow* row) {
  if (!line->Take(' ')) return false;
  row->engine = line->TakeWord();
  if (row->engine.empty() || row->engine.size() > kEngineMax) return false;
  for (char c : row->engine) {
    if (!IsEngineCharacter(c)) return false;
  }
  if (!line->Take(' ')) return false;
  row->engine_data = line->rest();
  return row->engine_data.size() <= kEngineDataMax;
}

Failure ReadRow(std::string_view text, bool has_origin, ConnectionRow* row) {
  Line line(text);
  if (!TakeProtocol(&line, &row->protocol)) return Bad("connection protocol");
  if (!TakeAddress(&line, &row->family, row->client_address)) return Bad("connection client");
  if (!TakePort(&line, &row->client_port)) return Bad("connection client port");
  uint8_t family = 0;
  if (!TakeAddress(&line, &family, row->virtual_address) || family != row->family) {
    return Bad("connection virtual address");
  }
  if (!TakePort(&line, &row->virtual_port)) return Bad("connection virtual port");
  if (!TakeAddress(&line, &row->destination_family, row->destination_address)) {
    return Bad("connection destination");
  }
  if (!TakePort(&line, &row->destination_port)) return Bad("connection destination port");
  if (!TakeState(&line, &row->state)) return Bad("connection state");
  if (has_origin && !TakeOrigin(&line, &row->origin)) return Bad("connection origin");
  if (!line.TakeNumber(kExpiresWidth, &row->expires)) return Bad("connection expiry");
  if (line.empty()) return {};
  if (has_origin || !TakeEngine(&line, row)) return Bad("connection engine");
  return {};
}

}  // namespace

Failure ConnectionParser::Feed(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    if (carry_.size() + std::min(end, piece.size()) > kMaxLine) return Bad("connection line");
    if (end == std::string_view::npos) {
      carry_.append(piece);
      return {};
    }
    const std::string_view line = piece.substr(0, end);
    piece.remove_prefix(end + 1);
    Failure failure;
    if (carry_.empty()) {
      failure = TakeLine(line);
    } else {
      carry_.append(line);
      failure = TakeLine(carry_);
      carry_.clear();
    }
    if (failure) return failure;
  }
  return {};
}

Failure ConnectionParser::Finish() const {
  if (!has_header_) return Bad("connection header");
  return carry_.empty() ? Failure{} : Bad("connection line");
}

Failure ConnectionParser::TakeLine(std::string_view line) {
  if (!has_header_) return TakeHeader(line);
  ConnectionRow row = {};
  if (Failure failure = ReadRow(line, has_origin_, &row)) return failure;
  if (!Matches(query_, row)) return {};
  return columns_->Append(row) ? Failure{} : Failure{"connection table", EOVERFLOW};
}

Failure ConnectionParser::TakeHeader(std::string_view line) {
  if (!line.starts_with(kHeader)) return Bad("connection header");
  const std::string_view rest = line.substr(kHeader.size());
  has_origin_ = rest == kOriginHeader;
  if (!has_origin_ && rest != kEngineHeader && rest != kPlainHeader) {
    return Bad("connection header");
  }
  has_header_ = true;
  return {};
}

TableReading::TableReading(int fd, const ConnectionQuery& query, ConnectionColumns* columns)
    : fd_(fd),
      buffer_(std::make_unique_for_overwrite<char[]>(kReadSize)),
      parser_(query, columns) {}

TableReading::~TableReading() { close(fd_); }

Failure TableReading::Continue(Clock::time_point until, const std::atomic<bool>& canceled,
                               bool* is_over) {
  do {
    if (canceled.load(std::memory_order_relaxed)) return {"connections", ECANCELED};
    const ssize_t size = read(fd_, buffer_.get(), kReadSize);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return {"connections", errno};
    *is_over = size == 0;
    if (*is_over) return parser_.Finish();
    const std::string_view piece(buffer_.get(), static_cast<size_t>(size));
    if (Failure failure = parser_.Feed(piece)) return failure;
  } while (Clock::now() < until);
  return {};
}

}  // namespace ipvs
