// expect: tensor_source
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/core/cohort.hpp>

std::vector<float> make();
#ifdef FEDAGG_FAIL_CONTROL
void f(fedagg::cohort& c, const std::vector<float>& x) { c.add(x); }
#else
void f(fedagg::cohort& c) { c.add(make()); }
#endif
