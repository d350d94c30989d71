// Writes the inputs that fuzzing starts from, `DIRECTORY/<fuzzer>/<number>`: what a kernel says.
#include <linux/ip_vs.h>
#include <netinet/in.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "../test/conntable_text.h"
#include "../test/flows.h"
#include "../test/replies.h"
#include "../test/sets.h"
#include "replies.h"

namespace ipvs {
namespace {

constexpr uint16_t kFamily = 31;

class Corpus {
 public:
  Corpus(const std::filesystem::path& root, const char* fuzzer) : directory_(root / fuzzer) {
    std::filesystem::create_directories(directory_);
  }

  void Add(const std::vector<uint8_t>& bytes) {
    std::ofstream file(directory_ / std::to_string(count_++), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  void Add(const Attributes& attributes) { Add(attributes.bytes()); }

 private:
  std::filesystem::path directory_;
  int count_ = 0;
};

// One operation and the datagrams it is answered with; sequence numbers count from the request's.
std::vector<uint8_t> Conversation(Op op, const std::vector<std::vector<uint8_t>>& datagrams) {
  std::vector<uint8_t> input = {static_cast<uint8_t>(op)};
  for (const auto& datagram : datagrams) AppendReply(&input, kOurs, datagram);
  return input;
}

void AddConversations(Corpus* corpus) {
  const auto service = [](uint32_t number, bool multi) {
    return Data(kFamily, 0, IPVS_CMD_NEW_SERVICE, multi, ServiceReply(SampleService(number)));
  };
  const auto destination =
      Data(kFamily, 0, IPVS_CMD_NEW_DEST, true, DestinationReply(SampleDestination(1)));
  corpus->Add(Conversation(Op::kApply, {Answer(0, 0), Answer(1, 17), Answer(2, 2)}));
  corpus->Add(Conversation(Op::kApplyUntilError, {Answer(0, 0), Answer(0, 3)}));
  corpus->Add(
      Conversation(Op::kServices, {service(0, true), service(1, true), service(0, true), Done(0)}));
  corpus->Add(Conversation(Op::kServices, {Done(0, 16), service(4, true), Done(0)}));
  corpus->Add(Conversation(Op::kService, {service(3, false), Answer(0, 0)}));
  corpus->Add(Conversation(Op::kDestinations,
                           {destination, Done(0), Done(0), destination, destination, Done(0)}));
  corpus->Add(Conversation(
      Op::kInfo,
      {Data(kFamily, 0, IPVS_CMD_SET_INFO, false, InfoReply({0x010201, 4096})), Answer(0, 0)}));
  corpus->Add(Conversation(
      Op::kTimeouts, {Data(kFamily, 0, IPVS_CMD_SET_CONFIG, false, TimeoutsReply({900, 120, 300})),
                      Answer(0, 0)}));
  corpus->Add(Conversation(
      Op::kDaemons,
      {Data(kFamily, 0, IPVS_CMD_NEW_DAEMON, true, DaemonReply(SampleDaemon())), Done(0)}));
  corpus->Add(Conversation(Op::kFlush, {Answer(0, 1)}));
  std::vector<uint8_t> overrun = {static_cast<uint8_t>(Op::kApply)};
  overrun.insert(overrun.end(), {kErrorFirst, 104, 0});
  AppendReply(&overrun, kOurs, Answer(1, 0));
  corpus->Add(overrun);
}

// Where the second message begins, in two bytes, then both.
void AddSets(Corpus* corpus) {
  const auto add = [&](const Attributes& first, const Attributes& second) {
    const size_t cut = first.bytes().size();
    std::vector<uint8_t> input = {static_cast<uint8_t>(cut), static_cast<uint8_t>(cut >> 8)};
    input.insert(input.end(), first.bytes().begin(), first.bytes().end());
    input.insert(input.end(), second.bytes().begin(), second.bytes().end());
    corpus->Add(input);
  };
  const SetEntry net = {"10.0.0.1", 0, 80, IPPROTO_TCP, "10.1.0.0", 16, 0, true};
  const SetEntry marked = {"fd00::1", 0, 53, IPPROTO_UDP, "", 0, 0x4000'ffff'ffffULL, false};
  add(SetReply("A", "hash:ip,port,net", AF_INET, 65536, {net}),
      SetReply("A", "", AF_INET, 0, {net, net}));
  add(SetReply("B", "hash:ip,port", AF_INET6, 65536, {marked}),
      SetReply("B", "", AF_INET6, 0, {marked}));
  add(SetReply("C", "bitmap:port", AF_UNSPEC, 0, {}),
      SetReply("C", "", AF_UNSPEC, 0, {{"", 0, 1}}));
}

// The family, then entries: one with nothing but itself, one with room for matches and a target.
void AddRules(Corpus* corpus) {
  // Of ipt_entry and ip6t_entry: the size, and where each says how far the next one is.
  constexpr size_t kSizes[][2] = {{112, 90}, {168, 146}};
  for (const bool is_ipv6 : {false, true}) {
    const auto& [size, next_offset] = kSizes[is_ipv6];
    std::vector<uint8_t> input = {static_cast<uint8_t>(is_ipv6)};
    for (const size_t more : {size_t{0}, size_t{40}}) {
      const size_t start = input.size();
      const auto next = static_cast<uint16_t>(size + more);
      input.resize(start + next, 7);
      std::memcpy(input.data() + start + next_offset, &next, sizeof(next));
    }
    corpus->Add(input);
  }
}

void AddAll(const std::filesystem::path& root) {
  Corpus service(root, "service");
  Corpus destination(root, "destination");
  for (uint32_t number = 0; number < 6; number++) {
    service.Add(ServiceReply(SampleService(number)));
    destination.Add(DestinationReply(SampleDestination(number)));
  }
  Corpus daemon(root, "daemon");
  DaemonRecord record = SampleDaemon();
  daemon.Add(DaemonReply(record));
  record.group_family = 10;
  daemon.Add(DaemonReply(record));
  Corpus config(root, "config");
  config.Add(InfoReply({0x010201, 4096}));
  config.Add(TimeoutsReply({900, 120, 300}));
  config.Add(FamilyReply(kFamily));
  Corpus conntable(root, "conntable");
  for (const std::string& table : {kTable, kOriginTable}) {
    std::vector<uint8_t> input = {16, 0};
    input.insert(input.end(), table.begin(), table.end());
    conntable.Add(input);
  }
  Corpus flows(root, "flows");
  const Direction client = {"10.0.0.5", "192.0.2.1", 40000, 80};
  const Direction server = {"198.51.100.7", "10.0.0.5", 8080, 40000};
  const Direction client6 = {"2001:db8::5", "2001:db8:1::1", 40000, 80};
  flows.Add(FlowReply(IPPROTO_TCP, client, server, 3, 431999));
  flows.Add(FlowReply(IPPROTO_SCTP, client6, client6, 4, 10));
  Corpus rules(root, "rules");
  AddRules(&rules);
  Corpus sets(root, "sets");
  AddSets(&sets);
  Corpus replies(root, "replies");
  AddConversations(&replies);
}

}  // namespace
}  // namespace ipvs

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: seed_corpus DIRECTORY\n");
    return 2;
  }
  ipvs::AddAll(argv[1]);
  return 0;
}
