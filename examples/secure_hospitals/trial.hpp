// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_TRIAL_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_TRIAL_HPP

#include <cstdint>
#include <string>

namespace secure_hospitals {

struct trial_options {
  std::string program; ///< this one
  std::string folder;  ///< for secrets and states
  std::uint64_t seed = 1;
  std::uint64_t rounds = 14;
};

/// Lets the hospitals train, kills some of them in turn, compares every round with the same round in the clear, and
/// prints what it found. True if everything is as it should be.
bool run_trial(const trial_options& how);

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_TRIAL_HPP
