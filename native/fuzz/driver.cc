// Coverage-guided fuzzing for a compiler without libFuzzer: `fuzz_NAME SECONDS CORPUS` mutates what
// is in the directory and keeps there what reaches new code; `fuzz_NAME FILE` runs one input.
//
// gcc's -fsanitize-coverage=trace-pc calls us at every branch of the code under test.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "target.h"

namespace {

using Input = std::vector<uint8_t>;
using Clock = std::chrono::steady_clock;

constexpr size_t kMapSize = 1 << 14;
constexpr size_t kMaxInput = 4096;
constexpr unsigned kMaxSecondsPerInput = 5;

// Plain zeroed memory: the callback below runs before any constructor does.
uint8_t map[kMapSize];
uintptr_t previous;

// The input under way, for when it turns out to be the last.
const Input* current;

void SaveCurrent() {
  if (current == nullptr) return;
  const std::string name = "crash-" + std::to_string(getpid());
  std::ofstream(name, std::ios::binary)
      .write(reinterpret_cast<const char*>(current->data()),
             static_cast<std::streamsize>(current->size()));
  std::fprintf(stderr, "input saved as %s\n", name.c_str());
  current = nullptr;
}

void OnSignal(int signal) {
  std::fprintf(stderr, signal == SIGALRM ? "one input took too long\n" : "aborted\n");
  SaveCurrent();
  std::_Exit(1);
}

}  // namespace

extern "C" void __sanitizer_cov_trace_pc() {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  uint8_t& count = map[(here ^ (previous << 1)) % kMapSize];
  if (count < 255) count++;
  previous = here;
}

// Of the sanitizers, when they are there.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*)());

namespace {

class Fuzzer {
 public:
  explicit Fuzzer(std::filesystem::path corpus, uint64_t seed)
      : corpus_(std::move(corpus)), random_(seed) {}

  void Load() {
    for (const auto& entry : std::filesystem::directory_iterator(corpus_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      inputs_.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    if (inputs_.empty()) inputs_.push_back({});
    for (const Input& input : inputs_) Run(input);
  }

  void RunFor(std::chrono::seconds time) {
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
      for (int i = 0; i < 64; i++) {
        const Input input = Mutate(Any());
        if (Run(input)) Keep(input);
      }
    }
  }

  void Report(const char* name, int64_t seconds) const {
    const auto reached = std::count_if(seen_, seen_ + kMapSize, [](uint8_t b) { return b != 0; });
    std::printf("%s: %llu inputs in %lld s, %zu kept, %lld branches\n", name,
                static_cast<unsigned long long>(runs_), static_cast<long long>(seconds),
                inputs_.size(), static_cast<long long>(reached));
  }

 private:
  size_t Below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  const Input& Any() { return inputs_[Below(inputs_.size())]; }

  // Runs it in a block of exactly its size, so that one byte too far is noticed; whether it reached
  // anything new.
  bool Run(const Input& input) {
    std::memset(map, 0, sizeof(map));
    previous = 0;
    current = &input;
    runs_++;
    alarm(kMaxSecondsPerInput);
    const auto exact = std::make_unique<uint8_t[]>(input.size());
    std::copy(input.begin(), input.end(), exact.get());
    LLVMFuzzerTestOneInput(exact.get(), input.size());
    current = nullptr;
    return Merge();
  }

  // Counts in powers of two: running a loop once more is not news, running it twice as often is.
  bool Merge() {
    bool news = false;
    for (size_t i = 0; i < kMapSize; i++) {
      if (map[i] == 0) continue;
      const auto bucket = static_cast<uint8_t>(1 << std::min(7, 31 - __builtin_clz(map[i])));
      if ((seen_[i] & bucket) == 0) {
        seen_[i] |= bucket;
        news = true;
      }
    }
    return news;
  }

  void Keep(const Input& input) {
    inputs_.push_back(input);
    const auto name = "found-" + std::to_string(getpid()) + "-" + std::to_string(inputs_.size());
    std::ofstream(corpus_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(input.data()),
               static_cast<std::streamsize>(input.size()));
  }

  Input Mutate(Input input) {
    for (size_t left = 1 + Below(6); left > 0; left--) MutateOnce(&input);
    if (input.size() > kMaxInput) input.resize(kMaxInput);
    return input;
  }

  void MutateOnce(Input* input) {
    static constexpr uint8_t kTelling[] = {0, 1, 2, 3, 4, 5, 7, 8, 10, 16, 32, 127, 128, 254, 255};
    if (input->empty()) {
      input->push_back(static_cast<uint8_t>(Below(256)));
      return;
    }
    uint8_t& byte = (*input)[Below(input->size())];
    switch (Below(8)) {
      case 0:
        byte ^= static_cast<uint8_t>(1 << Below(8));
        break;
      case 1:
        byte = static_cast<uint8_t>(Below(256));
        break;
      case 2:
        byte = kTelling[Below(std::size(kTelling))];
        break;
      case 3:
        byte = static_cast<uint8_t>(byte + Below(9) - 4);
        break;
      case 4:
        input->resize(Below(input->size() + 1));
        break;
      case 5:
        Insert(input, Input(1 + Below(8), static_cast<uint8_t>(Below(256))));
        break;
      case 6:
        Erase(input);
        break;
      default:
        Splice(input);
        break;
    }
  }

  void Insert(Input* input, const Input& piece) {
    input->insert(input->begin() + static_cast<ptrdiff_t>(Below(input->size() + 1)), piece.begin(),
                  piece.end());
  }

  void Erase(Input* input) {
    const size_t from = Below(input->size());
    const size_t size = 1 + Below(std::min<size_t>(input->size() - from, 16));
    const auto begin = input->begin() + static_cast<ptrdiff_t>(from);
    input->erase(begin, begin + static_cast<ptrdiff_t>(size));
  }

  // A piece of another input, in between or over what is there.
  void Splice(Input* input) {
    const Input& other = Any();
    if (other.empty()) return;
    const size_t from = Below(other.size());
    const size_t size = 1 + Below(std::min<size_t>(other.size() - from, 128));
    const auto begin = other.begin() + static_cast<ptrdiff_t>(from);
    const Input piece(begin, begin + static_cast<ptrdiff_t>(size));
    if (Below(2) == 0) return Insert(input, piece);
    const size_t at = Below(input->size());
    for (size_t i = 0; i < piece.size() && at + i < input->size(); i++) (*input)[at + i] = piece[i];
  }

  std::filesystem::path corpus_;
  std::mt19937_64 random_;
  std::vector<Input> inputs_;
  uint8_t seen_[kMapSize] = {};
  uint64_t runs_ = 0;
};

int RunFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s: cannot be read\n", path);
    return 2;
  }
  const Input input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  LLVMFuzzerTestOneInput(input.data(), input.size());
  std::printf("%s: %zu bytes, nothing wrong\n", path, input.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2) return RunFile(argv[1]);
  const int seconds = argc == 3 ? std::atoi(argv[1]) : 0;
  if (seconds <= 0 || !std::filesystem::is_directory(argv[2])) {
    std::fprintf(stderr, "usage: %s SECONDS CORPUS | %s FILE\n", argv[0], argv[0]);
    return 2;
  }
  std::signal(SIGALRM, OnSignal);
  std::signal(SIGABRT, OnSignal);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(SaveCurrent);

  auto fuzzer = std::make_unique<Fuzzer>(argv[2], std::random_device()());
  fuzzer->Load();
  fuzzer->RunFor(std::chrono::seconds(seconds));
  fuzzer->Report(std::filesystem::path(argv[0]).filename().c_str(), seconds);
  return 0;
}
