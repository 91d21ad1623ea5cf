// expect: tensor_source
// SPDX-License-Identifier: MIT
#include <fedagg/core/cohort.hpp>

#ifdef FEDAGG_FAIL_CONTROL
void f(fedagg::cohort& c, float* x) { c.add(fedagg::tensor_view<float>(x, 9)); }
#else
void f(fedagg::cohort& c, float* x) { c.add(x); }
#endif
