#pragma once

namespace ipvs {

// Why something did not happen: the step (`socket`, `services`, …) and a positive errno. An `err`
// of 0 is success, so `if (Failure failure = Step()) return failure;` reads as it should.
struct [[nodiscard]] Failure {
  const char* op = "";
  int err = 0;

  explicit operator bool() const { return err != 0; }
};

}  // namespace ipvs
