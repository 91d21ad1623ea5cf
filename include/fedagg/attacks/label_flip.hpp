// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_LABEL_FLIP_HPP
#define FEDAGG_ATTACKS_LABEL_FLIP_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>

#include <fedagg/core/attack.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Trains on wrong labels: y becomes classes - 1 - y (Fang et al. 2020, arXiv:1911.11815).
/// Not an attack on rows: the hostile client flips its own labels, then trains and sends as an honest one does. Needs
/// to know nothing. Flipping twice gives the labels back. O(labels).
struct label_flip {
  std::int64_t classes = unset; ///< labels are 0 to classes - 1

  static constexpr const char* name = "label_flip";
  static constexpr auto fields() {
    return std::tuple{field{"classes", &label_flip::classes, unset, any_count, "labels are 0 to classes - 1"}};
  }

  /// In place. `bad_parameter`, with nothing written, without classes and for a label outside of them.
  template <std::integral Label>
  errc apply(std::span<Label> labels) const noexcept {
    static_assert(!std::is_same_v<Label, bool>, "labels are numbers");
    if (!detail::parameters_in_range(*this) || classes < 1) return errc::bad_parameter;
    if (labels.data() == nullptr && !labels.empty()) return errc::null_data;
    for (const Label y : labels) {
      if constexpr (std::is_signed_v<Label>)
        if (y < 0) return errc::bad_parameter;
      if (static_cast<std::uint64_t>(y) >= static_cast<std::uint64_t>(classes)) return errc::bad_parameter;
    }
    // The type may hold the labels there are, but not classes - 1.
    for (const Label y : labels)
      if (!holds<Label>(static_cast<std::uint64_t>(classes) - 1 - static_cast<std::uint64_t>(y)))
        return errc::bad_parameter;
    for (Label& y : labels)
      y = static_cast<Label>(static_cast<std::uint64_t>(classes) - 1 - static_cast<std::uint64_t>(y));
    return errc::ok;
  }

private:
  template <class Label>
  static constexpr bool holds(std::uint64_t y) noexcept {
    return static_cast<std::uint64_t>(static_cast<Label>(y)) == y && !(static_cast<Label>(y) < Label{0});
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_LABEL_FLIP_HPP
