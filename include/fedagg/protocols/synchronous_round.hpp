// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_SYNCHRONOUS_ROUND_HPP
#define FEDAGG_PROTOCOLS_SYNCHRONOUS_ROUND_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/passes/inspect.hpp>
#include <fedagg/protocols/round/report.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A round over models that stay where they are: it keeps views, and any rule may run on them. It asks more clients
/// than it needs, waits until a deadline and takes the first that are enough; a client that is late, silent, unknown,
/// doubled or sends what cannot be used is refused and named, and never ends the round (Bonawitz et al. 2019,
/// arXiv:1902.01046). No clock and no transport of its own: the caller says what time it is and hands in views, whose
/// memory it keeps until the round is finished. The result does not depend on the order of arrival.
class synchronous_round : public impl::round_report {
public:
  /// The names, element types and shapes of what clients will send.
  explicit synchronous_round(const model_view& layout) : layout_(layout) {}

  /// Starts a round with a range of ids (strings of any kind, copied). `bad_parameter` for a plan that cannot be
  /// fulfilled or a round that is not above the last one, `duplicate_client`, `empty_cohort`; `round_incomplete` while
  /// one is open. Nothing has changed then. Allocates nothing once it has seen a round of this size.
  template <class Ids>
  [[nodiscard]] errc try_begin(const round_plan& plan, const Ids& ids) noexcept {
    if (layout_.status() != errc::ok) return layout_.status();
#if FEDAGG_EXCEPTIONS
    try {
#endif
      std::size_t n = 0;
      for (const std::string_view id : ids) n += 1 + 0 * id.size();
      if (models_.size() < n) models_.resize(n);
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      return errc::out_of_memory;
    }
#endif
    return book_.try_begin(plan, ids);
  }
  [[nodiscard]] errc try_begin(const round_plan& plan, std::initializer_list<std::string_view> ids) noexcept {
    return try_begin<std::initializer_list<std::string_view>>(plan, ids);
  }

  /// Takes a client's model, whose memory must live until the round is finished. What is wrong with it is returned and
  /// noted: `stale_client` or `value_range` for another round, `unknown_client`, `duplicate_client` (the first counts),
  /// `late_client`, `round_closed`, `invalid_weight`, `client_layout`, `non_finite`, `integer_range`. A client whose
  /// update was refused for its contents may send another one. One read of the model.
  [[nodiscard]] errc try_receive(const delivery& from, const model_view& model, executor_ref executor = {}) noexcept {
    std::size_t who = 0;
    if (const errc rc = book_.admit(from, who); rc != errc::ok) return rc;
    errc rc = detail::valid_weight(from.weight) ? try_inspect(model, layout_, executor) : errc::invalid_weight;
#if FEDAGG_EXCEPTIONS
    try {
#endif
      if (rc == errc::ok) models_[who] = model;
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      rc = errc::out_of_memory;
    }
#endif
    return book_.settle(who, from, rc);
  }

  /// Aggregates what was received into `out`, in the order in which the clients were named. `round_incomplete` with
  /// fewer than the minimum, or while there is something to wait for; then, and after any error of the rule's, the
  /// round goes on: it may be extended or abandoned. `prepare(cohort&)` adds what else the rule needs: a base, a
  /// trusted row. Clients that the aggregation rejects are noted as well; `space.result()` is its outcome. Unless `how`
  /// says how many it may reject, as many as leave the minimum.
  template <rule_value Rule, class Prepare>
  [[nodiscard]] errc try_finish(const Rule& rule, const mutable_model_view& out, workspace& space, std::int64_t now,
                                const options& how, const Prepare& prepare) noexcept {
    if (const errc rc = book_.may_finish(now); rc != errc::ok) return rc;
    if (layout_.matches(out) != errc::ok) return errc::layout_mismatch;
    options o = how;
    if (o.max_rejected == options::automatic) o.max_rejected = received() - plan().minimum;
    errc rc = errc::ok;
#if FEDAGG_EXCEPTIONS
    try {
#endif
      clients_.clear();
      for (std::size_t i = 0; i < size(); ++i)
        if (const client_record r = record(i); r.standing == standing::received)
          clients_.add(models_[i], {r.weight, r.id});
      prepare(clients_);
      rc = try_aggregate(rule, clients_, out, space, o);
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      return errc::out_of_memory;
    }
#endif
    // Rows of the cohort are those that are received: from the last one, so that none of them moves.
    const auto& rejected = space.result().rejected;
    for (std::size_t i = size(), row = clients_.size(), k = rejected.size(); i-- > 0 && k > 0;)
      if (book_.state(i) == standing::received && --row == rejected[k - 1].client) book_.drop(i, rejected[--k].reason);
    if (rc == errc::ok) book_.finish();
    return rc;
  }
  template <rule_value Rule>
  [[nodiscard]] errc try_finish(const Rule& rule, const mutable_model_view& out, workspace& space, std::int64_t now,
                                const options& how = {}) noexcept {
    return try_finish(rule, out, space, now, how, [](cohort&) {});
  }

  /// Gives the round up; what was received is forgotten.
  void abandon() noexcept { book_.abandon(); }

  /// The same calls, throwing fedagg::error. Whatever a client can cause comes as a code only.
  template <class Ids>
  void begin(const round_plan& plan, const Ids& ids) {
    if (const errc rc = try_begin(plan, ids); rc != errc::ok) impl::raise(rc);
  }
  void begin(const round_plan& plan, std::initializer_list<std::string_view> ids) {
    begin<std::initializer_list<std::string_view>>(plan, ids);
  }
  template <rule_value Rule, class... More>
  void finish(const Rule& rule, const mutable_model_view& out, workspace& space, std::int64_t now,
              const More&... more) {
    if (const errc rc = try_finish(rule, out, space, now, more...); rc != errc::ok) impl::raise(rc);
  }

private:
  model_layout layout_;
  std::vector<model_view> models_; // of each client that is received
  cohort clients_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_SYNCHRONOUS_ROUND_HPP
