// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_FEDERATION_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_FEDERATION_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "patients.hpp"
#include "strategy.hpp"

namespace hospitals {

/// What one hospital does. `model_flip` makes a difference to SCAFFOLD alone: the control variate's change is honest.
enum class conduct { honest, sign_flip, not_a_number, model_flip };

inline constexpr std::array conducts{conduct::honest, conduct::sign_flip, conduct::not_a_number};
const char* name_of(conduct c);

/// The hospital that cheats, where one does.
inline constexpr std::size_t cheat = 3;

struct plan {
  std::uint64_t seed = 1;
  int rounds = 20;
  /// Where the first split's last rounds are written; nothing is if it is empty.
  std::string out = {};
  /// Called after every piece of work: pieces done, pieces in all.
  std::function<void(int, int)> progress = {};
};

/// Accuracies in per cent of all patients, each decided upon by a model that had not seen the patient.
struct run {
  strategy how;
  conduct cheat;
  std::vector<double> accuracy; ///< before the first round, and after each
  int rejections = 0;           ///< clients left out, over all splits and rounds

  double last() const { return accuracy.back(); }
};

struct results {
  double central = 0;
  std::vector<double> alone; ///< one per hospital
  std::vector<run> runs;     ///< every strategy under every conduct

  const run& of(const strategy& how, conduct c) const;
};

/// Every strategy under every conduct of `conducts`.
results federate(const patients& all, const plan& how);
/// One of them alone; its files, if any, are the same.
run federate(const std::vector<split>& cuts, const plan& how, const strategy& which, conduct c,
             const std::function<void()>& advance = {});

/// The folder of a run's files under `plan::out`.
std::string folder_of(const std::string& out, const strategy& how, conduct c);

/// The command that aggregates that folder's files again with the program `fedagg`; the result goes to
/// by-hand.safetensors.
std::string command_for(const std::string& program, const std::string& folder, rule how);

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_FEDERATION_HPP
