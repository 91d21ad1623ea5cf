// expect: executor_ref
// SPDX-License-Identifier: MIT
#include <fedagg/core/options.hpp>

#ifdef FEDAGG_FAIL_CONTROL
const auto run = [](std::size_t, fedagg::task) {};
auto f() { return fedagg::options{.executor = run}; }
#else
auto f() {
  return fedagg::options{.executor = [](std::size_t, fedagg::task) {}};
}
#endif
