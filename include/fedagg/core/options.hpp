// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_OPTIONS_HPP
#define FEDAGG_CORE_OPTIONS_HPP

#include <cstddef>

#include <fedagg/core/executor.hpp>
#include <fedagg/core/scope.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What becomes of a client with a NaN or Inf, another layout, or an impossible weight.
enum class bad_client : unsigned char {
  reject,    ///< it is left out and named in the outcome
  fail,      ///< the call fails with the client's code
  propagate, ///< linear rules only: NaN and Inf flow into the result; other faults fail the call
};

/// When the output is written.
enum class write : unsigned char {
  direct, ///< while the inputs are checked; at most two passes
  atomic, ///< only when nothing can go wrong any more: a refused round leaves the output untouched
};

/// How a round is run; the rule says what is computed.
struct options {
  static constexpr std::size_t automatic = static_cast<std::size_t>(-1);

  bad_client on_bad_client = bad_client::reject;
  fedagg::write write = fedagg::write::direct;
  executor_ref executor = {};
  scope where = {};
  /// Clients that a round may lose. Automatic: the rule's own condition on those left decides, and a rule without one
  /// may lose floor((n - 1) / 2).
  std::size_t max_rejected = automatic;
  /// Coordinates per task, 0 for a choice by size. Never changes a bit of the result.
  std::size_t grain = 0;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_OPTIONS_HPP
