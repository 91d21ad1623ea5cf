// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_STALENESS_HPP
#define FEDAGG_CORE_STALENESS_HPP

#include <cstdint>
#include <tuple>

#include <fedagg/core/power.hpp>
#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How an update's weight falls with its age.
enum class aging : std::uint8_t {
  constant,            ///< 1
  inverse_square_root, ///< 1 / sqrt(1 + age), as FedBuff
  polynomial,          ///< (1 + age)^-a, as FedAsync
  hinge,               ///< 1 up to age b, then 1 / (1 + a (age - b)), as FedAsync
};

inline constexpr const char* aging_names[] = {"constant", "inverse_square_root", "polynomial", "hinge"};
constexpr name_list value_names(aging) noexcept { return {aging_names, 4}; }

/// What an update counts that started from a model `age` versions old: 1 if it is fresh, less the older it is, never
/// negative. FedBuff (Nguyen et al. 2022, arXiv:2106.06639), FedAsync (Xie et al. 2019, arXiv:1903.03934). The same
/// bits on every machine.
struct staleness {
  aging kind = aging::inverse_square_root;
  double a = unset; ///< of polynomial (0.5 in the paper) and hinge (10)
  double b = unset; ///< of hinge (4): as old is still fresh

  static constexpr const char* name = "staleness";
  static constexpr auto fields() {
    return std::tuple{field{"kind", &staleness::kind, 0, 3, "how an update's weight falls with its age"},
                      field{"a", &staleness::a, unset, any_count, "how fast, of polynomial and hinge"},
                      field{"b", &staleness::b, unset, any_count, "the last age that is fresh, of hinge"}};
  }

  /// `bad_parameter` unless the kind's parameters are given and in range.
  constexpr errc status() const noexcept {
    if (kind > aging::hinge) return errc::bad_parameter;
    const bool needs_a = kind == aging::polynomial || kind == aging::hinge, needs_b = kind == aging::hinge;
    const auto good = [](double x) { return is_finite(x) && x >= 0 && x <= any_count; };
    return (needs_a && !good(a)) || (needs_b && !good(b)) ? errc::bad_parameter : errc::ok;
  }

  /// The weight at this age, in [0, 1]; 0 where `status()` is not ok.
  double operator()(std::uint64_t age) const noexcept {
    if (status() != errc::ok) return 0;
    const double versions = detail::plus(static_cast<double>(age), 1);
    switch (kind) {
    case aging::constant:
      break;
    case aging::inverse_square_root:
      return detail::quotient(1, detail::square_root(versions));
    case aging::polynomial:
      return a == 1 ? detail::quotient(1, versions) : detail::power(versions, -a);
    case aging::hinge:
      if (!(static_cast<double>(age) > b)) break;
      return detail::quotient(1, detail::plus(1, detail::times(a, detail::plus(static_cast<double>(age), -b))));
    }
    return 1;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_STALENESS_HPP
