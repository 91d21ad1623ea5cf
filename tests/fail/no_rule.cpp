// expect: rule_value
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/passes/aggregate.hpp>

#ifdef FEDAGG_FAIL_CONTROL
#include <fedagg/rules/mean.hpp>
void f(const fedagg::cohort& c, std::vector<float>& out) { fedagg::aggregate(fedagg::mean{}, c, out); }
#else
void f(const fedagg::cohort& c, std::vector<float>& out) { fedagg::aggregate("mean", c, out); }
#endif
