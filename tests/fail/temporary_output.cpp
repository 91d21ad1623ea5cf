// expect: mutable_model_view|basic_model_view<void>
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>

std::vector<float> make();
#ifdef FEDAGG_FAIL_CONTROL
void f(const fedagg::cohort& c, std::vector<float>& out) { fedagg::aggregate(fedagg::mean{}, c, out); }
#else
void f(const fedagg::cohort& c) { fedagg::aggregate(fedagg::mean{}, c, make()); }
#endif
