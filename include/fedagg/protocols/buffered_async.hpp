// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_BUFFERED_ASYNC_HPP
#define FEDAGG_PROTOCOLS_BUFFERED_ASYNC_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/core/staleness.hpp>
#include <fedagg/protocols/round/absorb.hpp>
#include <fedagg/protocols/round/gate.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The numbers of FedBuff. What an update counts by its age is `staleness`: 1 / sqrt(1 + age) unless said otherwise.
struct fedbuff {
  std::uint64_t buffer = 10;         ///< K: updates per step of the server
  std::uint64_t max_staleness = 100; ///< versions that an update may be behind
  fedagg::staleness staleness = {};

  static constexpr const char* name = "fedbuff";
  static constexpr auto fields() {
    return std::tuple{
        field{"buffer", &fedbuff::buffer, 1, any_count, "K: updates per step of the server"},
        field{"max_staleness", &fedbuff::max_staleness, 0, any_count, "versions that an update may be behind"}};
  }
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Buffered asynchronous aggregation (FedBuff: Nguyen et al. 2022, arXiv:2106.06639). Clients train on whichever
/// version of the model they were sent and answer when they are done; K answers make a step: x += eta_g / K sum_i
/// s(age_i) delta_i, divided by K and not by the weights' sum, so that old updates move the model less. The buffer is
/// an accumulator, in the memory of one model; `try_flush` gives the mean, and a server optimizer takes the step.
/// Updates that are too old, from the future, or there already are refused. No threads of its own: one call at a time.
template <class Accumulator>
class buffered_async : public impl::version_gate {
public:
  static constexpr const char* kind = "buffered_async";
  static constexpr unsigned version = 1;

  /// Takes an accumulator of the updates' layout; `first` is the version of the model to begin with. See `status()`.
  explicit buffered_async(Accumulator sum, const fedbuff& how = {}, std::uint64_t first = 0)
      : version_gate(how.max_staleness, first), how_(how), sum_(std::move(sum)) {
    sum_.clear();
  }

  /// `bad_parameter` if K is 0 or the staleness is impossible; the accumulator's own.
  errc status() const noexcept {
    if (how_.buffer == 0) return errc::bad_parameter;
    if (const errc rc = how_.staleness.status(); rc != errc::ok) return rc;
    return sum_.status();
  }
  const fedbuff& how() const noexcept { return how_; }

  /// What an update of this version counts now: s(age), on the accumulator's grid of weights if it has one; 0 for one
  /// that is not taken.
  double weight(std::uint64_t from) const noexcept {
    if (from > model_version() || from < oldest()) return 0;
    const double s = how_.staleness(model_version() - from);
    if constexpr (requires { double(sum_.how().rounded(s)); })
      return sum_.how().rounded(s);
    else
      return s;
  }

  /// Adds what a client made of a version of the model: delta = its model - that version. `value_range` for a version
  /// that is yet to come, `stale_client`, `duplicate_client` for a second update of one client from one version,
  /// `round_closed` while a full buffer waits to be flushed, `unknown_client` for an id beyond 1024 bytes, and whatever
  /// the accumulator finds (`client_layout`, `non_finite`, ...); nothing of it is added then, and it may be sent again.
  [[nodiscard]] errc try_receive(std::string_view client, std::uint64_t from, const model_view& delta,
                                 executor_ref executor = {}) noexcept {
    if (const errc rc = status(); rc != errc::ok) return rc;
    if (const errc rc = admit(client, from); rc != errc::ok) return refuse(rc);
    if (ready()) return refuse(errc::round_closed);
    if (const errc rc = impl::absorb_alone(sum_, delta, weight(from), executor); rc != errc::ok) return refuse(rc);
    take(client, from);
    return errc::ok;
  }

  /// Updates in the buffer; K make it ready.
  std::size_t received() const noexcept { return sum_.clients(); }
  bool ready() const noexcept { return received() >= how_.buffer; }

  /// Writes 1 / K sum_i s(age_i) delta_i, empties the buffer and begins the next version: the caller takes the step
  /// before it sends the model to anybody. `round_incomplete` with fewer than K, and whatever the accumulator's
  /// `try_finish` refuses (`layout_mismatch`, `overlapping_output`, `overflow`); the buffer is as it was then.
  [[nodiscard]] errc try_flush(const mutable_model_view& out) noexcept {
    if (const errc rc = status(); rc != errc::ok) return rc;
    if (!ready()) return errc::round_incomplete;
    if (const errc rc = sum_.try_finish(out, static_cast<double>(how_.buffer)); rc != errc::ok) return rc;
    sum_.clear();
    advance();
    return errc::ok;
  }
  /// The same, throwing fedagg::error.
  void flush(const mutable_model_view& out) {
    if (const errc rc = try_flush(out); rc != errc::ok) impl::raise(rc);
  }

  /// What is in the buffer, not counted yet.
  const Accumulator& sum() const noexcept { return sum_; }

  /// Buffer, version, and who has answered which version. Loading works on an object made for the same layout; its own
  /// parameters stay. `state_mismatch` for a buffer of more than its K.
  template <class Archive>
  errc archive(Archive& a) {
    if (const errc rc = archive_gate(a); rc != errc::ok) return rc;
    if (const errc rc = archive_part(a, "sum", sum_); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    // Everything in the buffer came since the last version but one began, so it is remembered.
    if (received() > remembered() || received() > taken()) return errc::file_format;
    return received() > how_.buffer ? errc::state_mismatch : errc::ok;
  }

private:
  fedbuff how_;
  Accumulator sum_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_BUFFERED_ASYNC_HPP
