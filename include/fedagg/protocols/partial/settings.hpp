// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_PARTIAL_SETTINGS_HPP
#define FEDAGG_PROTOCOLS_PARTIAL_SETTINGS_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/core/workspace.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// How clients that send some of the model's tensors are aggregated.
struct partial_models {
  std::int64_t min_clients = 1; ///< a tensor that fewer clients without fault have sent keeps its global value

  static constexpr const char* name = "partial_models";
  static constexpr auto fields() {
    return std::tuple{field{"min_clients", &partial_models::min_clients, 1, any_count,
                            "a tensor that fewer clients have sent keeps its global value"}};
  }
};

/// What became of one tensor. The name is borrowed from the output.
struct tensor_outcome {
  std::string_view name;
  std::size_t tensor = 0;    ///< its index in the output
  bool aggregated = false;   ///< otherwise it has kept its global value
  errc reason = errc::ok;    ///< why it has kept it, although clients have sent it
  std::size_t sent = 0;      ///< clients that have sent a tensor of this name
  std::size_t used = 0;      ///< clients that stand behind the result
  std::size_t breakdown = 0; ///< as in `outcome`
  double breakdown_mass = 0;
};

/// Memory that a caller keeps between rounds, and what came out of the last one.
class partial_workspace {
public:
  /// Of the whole round: `rejected` names the clients that were left out; `coefficients`, tensor after tensor, the
  /// share of each client; `breakdown` is that of the weakest tensor.
  const outcome& result() const noexcept { return whole.result(); }
  /// One entry for each tensor in scope, in the output's order.
  std::span<const tensor_outcome> tensors() const noexcept { return outcomes; }

  // The library's own.
  workspace whole, part;
  std::vector<tensor_outcome> outcomes;
  std::vector<std::size_t> names, places, senders;
  std::vector<errc> fault;
  std::vector<std::size_t> fault_tensor;
  cohort sent;
  model_view one, one_base, one_trusted;
  mutable_model_view target;
  std::vector<std::byte> staged;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_PROTOCOLS_PARTIAL_SETTINGS_HPP
