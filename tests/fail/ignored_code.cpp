// expect: nodiscard|unused.result|ignoring return value
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>

#pragma GCC diagnostic error "-Wunused-result"
#ifdef FEDAGG_FAIL_CONTROL
bool f(const fedagg::cohort& c, fedagg::mutable_model_view& out, fedagg::workspace& w) {
  return fedagg::try_aggregate(fedagg::mean{}, c, out, w) == fedagg::errc::ok;
}
#else
void f(const fedagg::cohort& c, fedagg::mutable_model_view& out, fedagg::workspace& w) {
  fedagg::try_aggregate(fedagg::mean{}, c, out, w);
}
#endif
