// SPDX-License-Identifier: MIT
#include <fedagg/mixing/arc.hpp>
#include <fedagg/mixing/bucketing.hpp>
#include <fedagg/mixing/nnm.hpp>
#include <fedagg/mixing/static_clipping.hpp>

#include "compiled/rules.hpp"
#include "laws/instances.hpp"

namespace laws {
namespace {

template <class C>
std::shared_ptr<const subject> named(const char* name, const C& chain) {
  static const nature is{.name = name, .geometric = true, .scales = true, .sums_in_order = true, .boxed = true, .updates = true};
  return std::make_shared<subject_of<C>>(chain, is);
}

} // namespace

const subjects& chains() {
  using namespace fedagg;
  static const subjects all{
      named("nnm | krum", nnm{.f = 1} | krum{.f = 1}),
      named("arc | nnm | trimmed_mean", arc{.f = 2} | nnm{.f = 2} | trimmed_mean{.trim = 1}),
      named("bucketing | median", bucketing{.size = 2, .seed = 7} | median{}),
      named("static_clipping | mean", static_clipping{.threshold = 1.5} | mean{}),
      named("nnm | mean", nnm{.f = 1} | mean{}),
      named("bucketing | arc | geometric_median", bucketing{.size = 2, .seed = 8} | arc{.f = 1} | geometric_median{}),
  };
  return all;
}

} // namespace laws
