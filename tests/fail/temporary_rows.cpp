// expect: tensor_source
// SPDX-License-Identifier: MIT
#include <array>

#include <fedagg/core/cohort.hpp>

std::array<double, 4> make();
#ifdef FEDAGG_FAIL_CONTROL
void f(fedagg::cohort& c, std::array<double, 4>& x) { c.add_rows(x); }
#else
void f(fedagg::cohort& c) { c.add_rows(make()); }
#endif
