#pragma once

#include <functional>
#include <string>

#include "failure.h"

namespace ipvs {

// Runs `fn` inside the network namespace at `path`, on a thread that is thrown away afterwards: the
// calling thread, which may be JavaScript's, never leaves its own. An empty path runs it right
// here.
Failure RunInNetns(const std::string& path, const std::function<Failure()>& fn);

// The same, inside the namespace that `fd` is open on.
Failure RunInNetns(int fd, const std::function<Failure()>& fn);

}  // namespace ipvs
