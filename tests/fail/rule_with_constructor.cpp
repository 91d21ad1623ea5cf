// expect: is_aggregate
// SPDX-License-Identifier: MIT
#include <tuple>
#include <vector>

#include <fedagg/passes/aggregate.hpp>

#ifdef FEDAGG_FAIL_CONTROL
struct stateful {
  int state = 0;
  static constexpr const char* name = "stateful";
  static constexpr auto fields() { return std::tuple{}; }
  template <class Lanes>
  void operator()(fedagg::column<Lanes> x, Lanes& out) const {
    out = x[0];
  }
};
void f(const fedagg::cohort& c, std::vector<float>& out) { fedagg::aggregate(stateful{1}, c, out); }
#else
struct stateful {
  explicit stateful(int s) : state(s) {}
  int state;
  static constexpr const char* name = "stateful";
  static constexpr auto fields() { return std::tuple{}; }
  template <class Lanes>
  void operator()(fedagg::column<Lanes> x, Lanes& out) const {
    out = x[0];
  }
};
void f(const fedagg::cohort& c, std::vector<float>& out) { fedagg::aggregate(stateful{1}, c, out); }
#endif
