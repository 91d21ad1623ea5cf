// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_AFL_HPP
#define FEDAGG_PROTOCOLS_AFL_HPP

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <tuple>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/exact_sum.hpp>
#include <fedagg/core/outcome.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/core/simplex_projection.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Agnostic federated learning (Mohri, Sivek, Suresh 2019, arXiv:1902.00146): the model is trained for the worst
/// mixture lambda of its clients. What is set; what is kept between rounds is an `afl_state`.
struct afl {
  double step = unset;                          ///< gamma of the ascent on lambda
  double largest_loss = detail::largest_double; ///< losses beyond it count as this much: they are claims

  static constexpr const char* name = "afl";
  static constexpr auto fields() {
    return std::tuple{
        field{"step", &afl::step, 0, detail::largest_double, "gamma of the ascent on lambda"},
        field{"largest_loss", &afl::largest_loss, 0, detail::largest_double, "losses beyond it count as this much"}};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// lambda, one share per client, at first 1 / n each: the weights of the next mean. After each round it follows the
/// losses of the model uphill and is projected on the simplex: lambda = P(lambda + step * losses). Where only the
/// clients S took part, their losses count n / |S| times and those of the others not at all, which is the gradient in
/// expectation if S was drawn uniformly. The same bits for every order of the participants.
class afl_state {
public:
  static constexpr const char* kind = "afl_state";
  static constexpr unsigned version = 1;

  /// For an archive to load into; no use before.
  afl_state() = default;
  /// n clients; throws std::bad_alloc.
  explicit afl_state(std::size_t clients)
      : lambda_(clients, clients ? detail::quotient(1, static_cast<double>(clients)) : 0) {
    prepare();
  }

  std::span<const double> lambda() const noexcept { return lambda_; }
  /// Updates so far.
  std::uint64_t rounds() const noexcept { return rounds_; }
  /// Whose losses the last update left out, and why; by client, not saved.
  std::span<const rejection> rejected() const noexcept { return rejected_; }

  /// The shares of these clients, for `cohort::weights`. `unknown_client`, `duplicate_client`; `zero_weight_sum` if
  /// lambda is zero on all of them, `weight_count`, `empty_cohort`.
  [[nodiscard]] errc try_weights(std::span<const std::size_t> participants, std::span<double> out) noexcept {
    if (out.size() != participants.size()) return errc::weight_count;
    if (const errc rc = known(participants); rc != errc::ok) return rc;
    bool any = false;
    for (const std::size_t i : participants) any = any || lambda_[i] > 0;
    if (!any) return errc::zero_weight_sum;
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = lambda_[participants[k]];
    return errc::ok;
  }

  /// One step of the ascent, from the participants' losses on the model. A loss that is NaN or Inf is left out, as if
  /// its client had not come, and named in `rejected()`; `too_few_clients` if none is left. Nothing has changed unless
  /// it is `ok`: `bad_parameter`, `weight_count` (one loss per participant), `unknown_client`, `duplicate_client`.
  [[nodiscard]] errc try_update(const afl& how, std::span<const std::size_t> participants,
                                std::span<const double> losses) noexcept {
    const impl::fp_guard guard;
    rejected_.clear();
    if (!is_finite(how.step) || how.step < 0 || !is_finite(how.largest_loss) || how.largest_loss < 0)
      return errc::bad_parameter;
    if (losses.size() != participants.size()) return errc::weight_count;
    if (const errc rc = known(participants); rc != errc::ok) return rc;
    for (std::size_t i = 0; i < seen_.size(); ++i) next_[i] = lambda_[i];
    std::size_t present = 0;
    for (const double f : losses) present += is_finite(f) ? 1 : 0;
    const double scale =
        present == 0 ? 0 : detail::quotient(static_cast<double>(lambda_.size()), static_cast<double>(present));
    for (std::size_t k = 0; k < losses.size(); ++k) {
      const std::size_t i = participants[k];
      if (!is_finite(losses[k])) {
        name_rejected(i);
        continue;
      }
      const double loss = losses[k] < how.largest_loss ? losses[k] : how.largest_loss;
      const double climb = detail::times(detail::times(how.step, scale), loss);
      const double to = detail::plus(next_[i], climb);
      next_[i] = is_finite(to) ? to : climb < 0 ? -detail::largest_double : detail::largest_double;
    }
    if (present == 0) return errc::too_few_clients;
    detail::project_onto_simplex(next_, order_);
    lambda_.swap(next_);
    ++rounds_;
    return errc::ok;
  }
  /// The same where everybody took part, in order.
  [[nodiscard]] errc try_update(const afl& how, std::span<const double> losses) noexcept {
    return try_update(how, everybody_, losses);
  }

  /// The same as vectors of their own; throw fedagg::error.
  std::vector<double> weights(std::span<const std::size_t> participants) {
    std::vector<double> out(participants.size());
    if (const errc rc = try_weights(participants, out); rc != errc::ok) impl::raise(rc);
    return out;
  }
  void update(const afl& how, std::span<const std::size_t> participants, std::span<const double> losses) {
    if (const errc rc = try_update(how, participants, losses); rc != errc::ok) impl::raise(rc);
  }
  void update(const afl& how, std::span<const double> losses) { update(how, everybody_, losses); }

  template <class Archive>
  errc archive(Archive& a) {
    if (const errc rc = a.value("rounds", rounds_); rc != errc::ok) return rc;
    if (const errc rc = a.array("lambda", lambda_); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    const impl::fp_guard guard;
    detail::exact_sum sum;
    for (const double x : lambda_) {
      if (!is_finite(x) || x < 0 || x > 1) return errc::file_format;
      sum.add(x);
    }
    const double total = sum.nearest();
    if (lambda_.empty() || !(total > 1 - 1e-9 && total < 1 + 1e-9)) return errc::file_format;
    prepare();
    return errc::ok;
  }

private:
  void prepare() {
    const std::size_t n = lambda_.size();
    next_.resize(n);
    order_.resize(n);
    seen_.assign(n, 0);
    everybody_.resize(n);
    for (std::size_t i = 0; i < n; ++i) everybody_[i] = i;
    rejected_.reserve(n);
  }

  /// Each is one of ours, and once.
  errc known(std::span<const std::size_t> participants) noexcept {
    if (participants.empty()) return errc::empty_cohort;
    errc rc = errc::ok;
    std::size_t marked = 0;
    for (; marked < participants.size() && rc == errc::ok; ++marked) {
      const std::size_t i = participants[marked];
      rc = i >= seen_.size() ? errc::unknown_client : seen_[i] ? errc::duplicate_client : errc::ok;
      if (rc != errc::ok) break;
      seen_[i] = 1;
    }
    for (std::size_t k = 0; k < marked; ++k) seen_[participants[k]] = 0;
    return rc;
  }

  void name_rejected(std::size_t client) noexcept {
    // Room for everybody has been taken.
    std::size_t at = rejected_.size();
    rejected_.push_back({client, {}, errc::non_finite, 0, {}});
    for (; at > 0 && rejected_[at - 1].client > client; --at) {
      const rejection other = rejected_[at - 1];
      rejected_[at - 1] = rejected_[at];
      rejected_[at] = other;
    }
  }

  std::vector<double> lambda_;
  std::uint64_t rounds_ = 0;
  std::vector<double> next_;
  std::vector<detail::ranked> order_;
  std::vector<unsigned char> seen_;
  std::vector<std::size_t> everybody_;
  std::vector<rejection> rejected_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_AFL_HPP
