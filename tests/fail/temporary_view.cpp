// expect: deleted function|no matching function
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/core/tensor_view.hpp>

std::vector<float> make();
#ifdef FEDAGG_FAIL_CONTROL
auto f() {
  auto x = make();
  return fedagg::view(x).size();
}
#else
auto f() { return fedagg::view(make()).size(); }
#endif
