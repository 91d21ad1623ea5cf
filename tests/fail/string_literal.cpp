// expect: tensor_source
// SPDX-License-Identifier: MIT
#include <fedagg/core/cohort.hpp>

#ifdef FEDAGG_FAIL_CONTROL
void f(fedagg::cohort& c, fedagg::tensor_view<float> x) { c.add(x, {.id = "north"}); }
#else
void f(fedagg::cohort& c) { c.add("north"); }
#endif
