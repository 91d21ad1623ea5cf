// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_ONLY_SUMS_HPP
#define FEDAGG_SECURE_PROTOCOL_ONLY_SUMS_HPP

#include <fedagg/secure/ring_vector.hpp>

namespace fedagg::inline FEDAGG_ABI {

namespace detail {

template <class>
inline constexpr bool only_the_sum_is_known = false;

} // namespace detail

/// What does not exist: a rule on the sum of secure aggregation. Such a call does not compile, and says why.
template <class Rule, class... Rest>
errc try_aggregate(const Rule&, const ring_vector&, Rest&&...) noexcept {
  static_assert(detail::only_the_sum_is_known<Rule>,
                "secure aggregation opens the sum alone, and a rule needs each client's update: decode the weighted mean "
                "with ring_codec, and bound what a client can do by clipping");
  return errc::bad_parameter;
}
template <class Rule, class... Rest>
void aggregate(const Rule&, const ring_vector&, Rest&&...) {
  static_assert(detail::only_the_sum_is_known<Rule>,
                "secure aggregation opens the sum alone, and a rule needs each client's update: decode the weighted mean "
                "with ring_codec, and bound what a client can do by clipping");
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_PROTOCOL_ONLY_SUMS_HPP
