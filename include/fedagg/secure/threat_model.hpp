// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_THREAT_MODEL_HPP
#define FEDAGG_SECURE_THREAT_MODEL_HPP

#include <cstdint>

#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Against whom a round of secure aggregation keeps single inputs secret (Bonawitz et al. 2017,
/// doi:10.1145/3133956.3133982; Bell et al. 2020, doi:10.1145/3372297.3417885). In all of them up to c clients pool
/// what they know with the server.
///
/// n clients, each secret shared with k holders of whom t together reconstruct it. On the complete graph every client
/// holds a share of every secret, its own included: k = n, and at most c holders collude. On a sparse graph the holders
/// of a client's secrets are its k neighbours, and the number of those who collude is a matter of chance: `graph_risk`
/// bounds it. Always t <= k - the holders that may drop out.
enum class threat_model : std::uint8_t {
  curious,        ///< the server follows the protocol and tries to learn from what it sees: t > colluding holders
  semi_malicious, ///< it is honest until keys and graph are fixed, then does as it likes: 2t > k + colluding holders
  malicious,      ///< it does as it likes from the first message on: 2t > n + c, and only the complete graph
};

/// Whether a mask graph can have this degree: n - 1, where everyone is everyone's neighbour, or an even number from 2
/// on below it.
constexpr bool is_mask_degree(std::uint32_t clients, std::uint32_t degree) noexcept {
  if (clients == 0) return false;
  return degree == clients - 1 || (degree >= 2 && degree % 2 == 0 && degree < clients);
}

/// The conditions on the complete graph: every client holds a share of every secret. `insecure_parameters` unless
/// 1 <= t <= n - dropouts and, with c < n colluding, t > c (`curious`) or 2t > n + c (the others).
[[nodiscard]] constexpr errc check_complete(std::uint32_t clients, std::uint32_t threshold, std::uint32_t colluding,
                                            std::uint32_t dropouts, threat_model model) noexcept {
  if (clients == 0 || threshold == 0 || colluding >= clients || dropouts >= clients) return errc::insecure_parameters;
  if (threshold > clients - dropouts) return errc::insecure_parameters;
  switch (model) {
  case threat_model::curious:
    return threshold > colluding ? errc::ok : errc::insecure_parameters;
  case threat_model::semi_malicious:
  case threat_model::malicious:
    return 2 * std::uint64_t{threshold} > std::uint64_t{clients} + colluding ? errc::ok : errc::insecure_parameters;
  }
  return errc::insecure_parameters;
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_SECURE_THREAT_MODEL_HPP
