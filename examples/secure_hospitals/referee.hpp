// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_REFEREE_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_REFEREE_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include "patients.hpp"
#include "work.hpp"

namespace secure_hospitals {

/// A round that ended with a sum, as it looks from outside.
struct ended_round {
  std::vector<std::size_t> accepted; ///< whose answers are in the sum
  std::vector<bytes> inputs;         ///< what each hospital encoded, packed
  bytes sum;                         ///< what the server opened, packed
  task next;                         ///< what it made of it
};

/// What the referee found.
struct verdict {
  bool exact = false;     ///< the sum is that of the accepted inputs, bit for bit
  bool counts = false;    ///< so are the hospitals, the patients, and those sorted rightly at home
  bool same_step = false; ///< the server made of the sum what anybody would
  double deviation = 0;   ///< of the decoded mean from the mean in the clear, in the worst coordinate
  double bound = 0;       ///< what the codec promises for that

  std::uint64_t patients = 0, right_at_home = 0;  ///< of the accepted; rightly by the model that the round began with
  Eigen::Index right = 0, right_in_the_clear = 0; ///< held-out patients, after the round
  /// Held-out patients so near to the border that the two models, as far apart as they can be, may disagree on them.
  Eigen::Index undecided = 0;
  bool same_decisions = false; ///< on all others

  bool holds() const { return exact && counts && same_step && deviation <= bound && same_decisions; }
};

/// Knows every patient, which no hospital and no server does, and does the same rounds in the clear: FedAvg over the
/// hospitals that were accepted.
class referee {
public:
  explicit referee(const hospitals::split& data) : data_(data) {}

  verdict judge(const ended_round& r);

private:
  fedagg::ring_totals compare_answers(const ended_round& r, const fedagg::ring_vector& sum, verdict& v) const;
  void train_in_the_clear(const ended_round& r);
  void compare_decisions(verdict& v) const;

  const hospitals::split& data_;
  task secure_, clear_;
  /// How far apart the two models can be: each round adds what its sum, and the roundings to float, can be off by.
  /// Training does not widen the gap, which is looked at where the learning rate meets the patients.
  double gap_ = 0;
};

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_REFEREE_HPP
