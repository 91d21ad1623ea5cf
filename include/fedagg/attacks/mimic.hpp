// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ATTACKS_MIMIC_HPP
#define FEDAGG_ATTACKS_MIMIC_HPP

#include <cstddef>
#include <cstdint>
#include <tuple>

#include <fedagg/core/attack.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// A copy of one honest client's row, so that this client counts more than the others (Karimireddy, He, Jaggi 2022,
/// arXiv:2006.09365). Nothing tells it from an honest row; it harms where clients differ. Needs to know that row. O(d).
struct mimic {
  std::int64_t client = 0; ///< index of the row in what the attacker sees

  static constexpr const char* name = "mimic";
  static constexpr auto fields() {
    return std::tuple{field{"client", &mimic::client, 0, any_count, "index of the honest row that is copied"}};
  }

  /// `out` becomes the row that every hostile client sends.
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out, attack_workspace& space) const {
    space.begin();
    if (!detail::parameters_in_range(*this)) return errc::bad_parameter;
    if (const errc rc = detail::check_knowledge<T>(k, out); rc != errc::ok) return rc;
    if (static_cast<std::uint64_t>(client) >= k.honest.size()) return errc::bad_parameter;
    const auto row = k.honest[static_cast<std::size_t>(client)];
    for (std::size_t j = 0; j < row.size(); ++j) out[j] = row[j];
    return errc::ok;
  }
  template <class T>
  errc craft(const knowledge<T>& k, detail::crafted<T> out) const {
    attack_workspace space;
    return craft(k, out, space);
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ATTACKS_MIMIC_HPP
