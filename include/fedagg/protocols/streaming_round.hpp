// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_STREAMING_ROUND_HPP
#define FEDAGG_PROTOCOLS_STREAMING_ROUND_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/protocols/round/absorb.hpp>
#include <fedagg/protocols/round/report.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A round whose updates are added up as they come, in the memory of one: `Accumulator` is mean_accumulator or whatever
/// else absorbs, merges and finishes (`try_absorb(model, weight, executor)`, `try_merge(accumulator)`,
/// `try_finish(out)`, `clear()`, `clients()`). Otherwise as synchronous_round; a client is looked at as a whole before
/// any of it is added, and one that cannot be used is refused and named. Rounds are also the edges of a tree: what an
/// edge's round has added up is handed to the round of the server above. The result depends on the order of arrival as
/// far as the accumulator's does: not at all for sums of fixed point.
template <class Accumulator>
class streaming_round : public impl::round_report {
public:
  static constexpr const char* kind = "streaming_round";
  static constexpr unsigned version = 1;

  /// Takes an accumulator of the layout that clients will send.
  explicit streaming_round(Accumulator sum) : sum_(std::move(sum)) { sum_.clear(); }

  /// Starts a round with a range of ids (strings of any kind, copied): the clients', or the edges'. `bad_parameter` for
  /// a plan that cannot be fulfilled or a round that is not above the last one, `duplicate_client`, `empty_cohort`;
  /// `round_incomplete` while one is open; the accumulator's own status. Nothing has changed then. Allocates nothing
  /// once it has seen a round of this size.
  template <class Ids>
  [[nodiscard]] errc try_begin(const round_plan& plan, const Ids& ids) noexcept {
    if (const errc rc = sum_.status(); rc != errc::ok) return rc;
    if (const errc rc = book_.try_begin(plan, ids); rc != errc::ok) return rc;
    sum_.clear();
    return errc::ok;
  }
  [[nodiscard]] errc try_begin(const round_plan& plan, std::initializer_list<std::string_view> ids) noexcept {
    return try_begin<std::initializer_list<std::string_view>>(plan, ids);
  }

  /// Adds a client's model, which is not needed any more afterwards. What is wrong with it is returned and noted:
  /// `stale_client` or `value_range` for another round, `unknown_client`, `duplicate_client` (the first counts),
  /// `late_client`, `round_closed`, and whatever the accumulator finds. A client whose update was refused for its
  /// contents may send another one.
  [[nodiscard]] errc try_receive(const delivery& from, const model_view& model, executor_ref executor = {}) noexcept {
    std::size_t who = 0;
    if (const errc rc = book_.admit(from, who); rc != errc::ok) return rc;
    return book_.settle(who, from, impl::absorb_alone(sum_, model, from.weight, executor));
  }

  /// Adds what an edge has summed up; its weight is the sum's own. An edge is a client of this round: one of another
  /// round, unknown, late or handed up twice is refused as a client is. `client_layout` for a sum of another layout,
  /// `empty_cohort` for one of no client.
  [[nodiscard]] errc try_receive(delivery from, const Accumulator& sum) noexcept {
    if constexpr (requires { double(sum.weight()); }) from.weight = double(sum.weight());
    std::size_t who = 0;
    if (const errc rc = book_.admit(from, who); rc != errc::ok) return rc;
    const errc rc = sum.clients() == 0 ? errc::empty_cohort : sum_.try_merge(sum);
    return book_.settle(who, from, rc == errc::layout_mismatch ? errc::client_layout : rc);
  }
  /// The same from the edge's round itself, whose number is taken instead of `from.round`. `round_incomplete` unless it
  /// is finished: it has fewer than its own minimum, or still waits.
  [[nodiscard]] errc try_receive(delivery from, const streaming_round& edge) noexcept {
    from.round = edge.number();
    std::size_t who = 0;
    if (const errc rc = book_.admit(from, who); rc != errc::ok) return rc;
    if (edge.phase() != round_phase::finished) return book_.settle(who, from, errc::round_incomplete);
    return try_receive(from, edge.sum_);
  }

  /// Writes the result. `round_incomplete` with fewer than the minimum, or while there is something to wait for; then,
  /// and after any error of the accumulator's (`layout_mismatch`, `overflow`, ...), the round goes on: it may be
  /// extended or abandoned. Whatever else is passed goes to the accumulator's `try_finish`.
  template <class... More>
  [[nodiscard]] errc try_finish(const mutable_model_view& out, std::int64_t now, const More&... more) noexcept {
    if (const errc rc = book_.may_finish(now); rc != errc::ok) return rc;
    const errc rc = sum_.try_finish(out, more...);
    if (rc == errc::ok) book_.finish();
    return rc;
  }
  /// Ends an edge's round without a result of its own: `sum()`, or the round itself, is handed up.
  [[nodiscard]] errc try_finish(std::int64_t now) noexcept {
    const errc rc = book_.may_finish(now);
    if (rc == errc::ok) book_.finish();
    return rc;
  }

  /// What was received so far, until the next round begins.
  const Accumulator& sum() const noexcept { return sum_; }
  /// How many clients are in it, those of the edges counted one by one.
  std::size_t clients() const noexcept { return sum_.clients(); }

  /// Gives the round up and forgets what was received.
  void abandon() noexcept {
    if (phase() != round_phase::open) return;
    book_.abandon();
    sum_.clear();
  }

  /// The same calls, throwing fedagg::error. Whatever a client can cause comes as a code only.
  template <class Ids>
  void begin(const round_plan& plan, const Ids& ids) {
    if (const errc rc = try_begin(plan, ids); rc != errc::ok) impl::raise(rc);
  }
  void begin(const round_plan& plan, std::initializer_list<std::string_view> ids) {
    begin<std::initializer_list<std::string_view>>(plan, ids);
  }
  void finish(const mutable_model_view& out, std::int64_t now) {
    if (const errc rc = try_finish(out, now); rc != errc::ok) impl::raise(rc);
  }

  /// The round as it stands, its sum included; not what time it was, because clocks start anew. Loading works on an
  /// object made for the same layout.
  template <class Archive>
  errc archive(Archive& a) {
    if (const errc rc = archive_part(a, "round", book_); rc != errc::ok) return rc;
    if (const errc rc = archive_part(a, "sum", sum_); rc != errc::ok) return rc;
    if (!a.loading() || phase() == round_phase::abandoned) return errc::ok;
    const bool same = received() == 0 ? clients() == 0 : clients() >= received();
    return same ? errc::ok : errc::file_format;
  }

private:
  Accumulator sum_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_STREAMING_ROUND_HPP
