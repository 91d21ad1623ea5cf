// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_STRATEGY_SECURE_SETTINGS_HPP
#define FEDAGG_ADAPTERS_STRATEGY_SECURE_SETTINGS_HPP

#include <cstdint>
#include <tuple>

#include <fedagg/core/rule.hpp>
#include <fedagg/secure/ring_parameters.hpp>
#include <fedagg/secure/secure_setup.hpp>

namespace fedagg::inline FEDAGG_ABI {

inline constexpr const char* threat_model_names[] = {"curious", "semi_malicious", "malicious"};
constexpr name_list value_names(threat_model) noexcept { return {threat_model_names, 3}; }
inline constexpr const char* ring_clip_names[] = {"range", "norm"};
constexpr name_list value_names(ring_clip) noexcept { return {ring_clip_names, 2}; }

/// Secure aggregation in a strategy: how strong, and what the sum must hold. The roster, session and round are not here:
/// they come from whoever vouches for the clients.
struct secure_settings {
  threat_model model = threat_model::malicious;
  std::int64_t colluding = 0;
  std::int64_t dropouts = 0;
  std::int64_t threshold = 0;
  std::int64_t degree = 0;
  std::int64_t minimum_inputs = 0;
  std::int64_t bits = 32;
  double clip = unset; ///< must be given: what it should be depends on the model
  ring_clip clip_by = ring_clip::norm;
  double scale = 0;
  std::int64_t max_weight = 1;

  static constexpr const char* name = "secure";
  static constexpr auto fields() {
    using s = secure_settings;
    return std::tuple{field{"model", &s::model, 0, 2, "against whom"},
                      field{"colluding", &s::colluding, 0, 999999, "clients that may work together"},
                      field{"dropouts", &s::dropouts, 0, 999999, "clients that may stop answering"},
                      field{"threshold", &s::threshold, 0, 1000000, "shares that open a secret; 0: what dropouts leave"},
                      field{"degree", &s::degree, 0, 999999, "clients each one shares masks with; 0: all"},
                      field{"minimum_inputs", &s::minimum_inputs, 0, 1000000, "least inputs of a sum; 0: colluding + 2"},
                      field{"bits", &s::bits, 8, 64, "of the ring"},
                      field{"clip", &s::clip, unset, 0x1p+300, "the largest value, or norm, that is sent"},
                      field{"clip_by", &s::clip_by, 0, 1, "what clip bounds: each value's range, or the norm"},
                      field{"scale", &s::scale, 0, 0x1p+300, "steps of the ring in 1; 0: the most that is safe"},
                      field{"max_weight", &s::max_weight, 1, any_count, "the largest weight of a client"}};
  }

  /// `bad_parameter` without "clip".
  errc check() const noexcept { return clip > 0 ? errc::ok : errc::bad_parameter; }

  secure_parameters parameters() const noexcept {
    const auto u = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
    return {model, u(colluding), u(dropouts), u(threshold), u(degree), u(minimum_inputs)};
  }
  /// For a roster of so many clients.
  ring_parameters ring(std::uint32_t clients, ring_content content) const {
    ring_parameters r;
    r.max_clients = clients;
    r.max_weight = static_cast<std::uint64_t>(max_weight);
    r.bits = static_cast<unsigned>(bits);
    r.clip = clip;
    r.clip_by = clip_by;
    r.scale = scale;
    r.content = content;
    return r;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ADAPTERS_STRATEGY_SECURE_SETTINGS_HPP
