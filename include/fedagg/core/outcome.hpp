// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_OUTCOME_HPP
#define FEDAGG_CORE_OUTCOME_HPP

#include <cstddef>
#include <string_view>
#include <vector>

#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// A client that was left out, and why. Names are borrowed from the cohort.
struct rejection {
  std::size_t client = 0;
  std::string_view id = {};
  errc reason = errc::ok;
  std::size_t tensor = 0; ///< index of the first tensor at fault, where a tensor is
  std::string_view tensor_name = {};
};

/// What the output holds after a call.
enum class output : unsigned char {
  untouched,   ///< nothing was written
  written,     ///< the result
  unspecified, ///< a direct call that was refused after it had begun to write
};

/// What happened in a round.
struct outcome {
  errc code = errc::ok;
  output state = output::untouched;
  std::vector<rejection> rejected; ///< ascending by client
  std::size_t clients = 0;         ///< clients in the cohort
  std::size_t used = 0;            ///< clients that entered the result
  std::size_t passes = 0;          ///< passes over the cohort's memory
  bool weights_used = false;
  std::size_t breakdown = 0; ///< the most hostile clients, among those used, that cannot move the result at will
  double breakdown_mass = 0; ///< the same as a share of the weight, where weights are used
  std::size_t tensor = 0;    ///< for a caller's error: the tensor it is about, where there is one
  std::string_view tensor_name = {};
  /// Of linear and geometric rules: the share of each client in the result, 0 for the rejected. Tensor after tensor if
  /// the rule ran on each tensor by itself.
  std::vector<double> coefficients;
  std::vector<double> scores; ///< of geometric rules: by which rows were ranked, those of the clients in use or of what
                              ///< mixing made of them; smaller is better
  std::size_t iterations = 0; ///< of iterative rules; nodes of a search
  double gap = 0;             ///< how far an iterative rule or a search may be from its optimum, as distances tell
  bool no_trust = false;      ///< no client was trusted: the result is the origin

  bool ok() const noexcept { return code == errc::ok; }

  /// Forgets the last round and keeps the memory.
  void clear() noexcept {
    rejected.clear();
    coefficients.clear();
    scores.clear();
    code = errc::ok;
    state = output::untouched;
    clients = used = passes = breakdown = tensor = 0;
    iterations = 0;
    weights_used = no_trust = false;
    breakdown_mass = gap = 0;
    tensor_name = {};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_OUTCOME_HPP
