// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ROUND_COORDINATE_KERNEL_HPP
#define FEDAGG_PASSES_ROUND_COORDINATE_KERNEL_HPP

#include <concepts>
#include <cstddef>

#include <fedagg/core/outcome.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/passes/columns.hpp>
#include <fedagg/passes/nearest.hpp>
#include <fedagg/passes/windows.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// What a coordinate rule decides before its columns are looked at, and the kernel that does it without weights.
template <class Rule>
class coordinate_kernel {
public:
  /// `declared` rows in the cohort, of which `present` are left.
  errc decide(const Rule& rule, std::size_t declared, std::size_t present, outcome& o) noexcept {
    if constexpr (ordered_rule<Rule>) {
      if (const errc rc = rule.window(declared, present, window_); rc != errc::ok) return rc;
      o.breakdown = window_.first < present - window_.last ? window_.first : present - window_.last;
    } else if constexpr (nearest_rule<Rule>) {
      if (const errc rc = rule.nearest(declared, present, values_); rc != errc::ok) return rc;
      o.breakdown = values_.dropped;
    } else if constexpr (requires {
                           { rule.check(present, present) } -> std::same_as<errc>;
                         }) {
      return rule.check(declared, present);
    }
    return errc::ok;
  }

  /// Calls f with the kernel for n rows.
  template <class F>
  auto with(const Rule& rule, std::size_t n, const F& f) const {
    if constexpr (ordered_rule<Rule>)
      return f(window_pass(n, window_));
    else if constexpr (nearest_rule<Rule>)
      return f(nearest_pass(n, values_));
    else
      return f(column_pass<Rule>(rule, n));
  }

  const order_window& window() const noexcept { return window_; }

private:
  order_window window_{};
  nearest_values values_{};
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ROUND_COORDINATE_KERNEL_HPP
