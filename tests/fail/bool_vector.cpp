// expect: tensor_source
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/core/cohort.hpp>

#ifdef FEDAGG_FAIL_CONTROL
void f(fedagg::cohort& c, std::vector<unsigned char>& x) { c.add(x); }
#else
void f(fedagg::cohort& c, std::vector<bool>& x) { c.add(x); }
#endif
