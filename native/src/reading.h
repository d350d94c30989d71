#pragma once

#include <atomic>
#include <chrono>

#include "failure.h"

namespace ipvs {

// The connection table while it is read, which takes from milliseconds to minutes: in slices, so
// that nobody has to wait for the whole of it. Not the thread's next user, and above all not the
// end of a JavaScript environment, which waits for the work on its threads.
class Reading {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Reading() = default;
  // Goes on until it is over or, after at least a page, the time is. `canceled` may be set from any
  // thread; it is looked at between pages, and answered with ECANCELED. Not to be called again
  // after a failure, or once it is over.
  virtual Failure Continue(Clock::time_point until, const std::atomic<bool>& canceled,
                           bool* is_over) = 0;

  // All that is left, at once.
  Failure Finish(const std::atomic<bool>& canceled) {
    bool is_over = false;
    Failure failure;
    while (!is_over && !failure) failure = Continue(Clock::time_point::max(), canceled, &is_over);
    return failure;
  }
};

}  // namespace ipvs
