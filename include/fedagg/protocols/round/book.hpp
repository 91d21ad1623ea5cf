// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_BOOK_HPP
#define FEDAGG_PROTOCOLS_ROUND_BOOK_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/protocols/round/log.hpp>
#include <fedagg/protocols/round/plan.hpp>
#include <fedagg/protocols/round/roster.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Who of a round's clients has done what, and what may still happen: everything about a round but its numbers.
class round_book {
public:
  template <class Ids>
  errc try_begin(const round_plan& plan, const Ids& ids) noexcept {
#if FEDAGG_EXCEPTIONS
    try {
#endif
      if (phase_ == round_phase::open) return errc::round_incomplete;
      if (phase_ != round_phase::idle && plan.round <= plan_.round) return errc::bad_parameter;
      if (const errc rc = next_.assign(ids); rc != errc::ok) return rc;
      const std::size_t n = next_.size();
      if (n == 0) return errc::empty_cohort;
      round_plan p = plan;
      if (p.needed == round_plan::automatic) p.needed = n;
      if (p.minimum == round_plan::automatic) p.minimum = p.needed;
      if (p.needed > n || p.minimum == 0 || p.minimum > p.needed) return errc::bad_parameter;
      entries_.reserve(n);
      log_.reserve(n);
      entries_.assign(n, {});
      std::swap(clients_, next_);
      plan_ = p;
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      return errc::out_of_memory;
    }
#endif
    for (std::size_t& c : counts_) c = 0;
    counts_[0] = clients_.size();
    log_.clear(clients_.size());
    refused_ = 0;
    closed_ = false;
    phase_ = round_phase::open;
    return errc::ok;
  }

  /// Whether an update may count, before it is looked at; `who` is the client's index then.
  errc admit(const delivery& d, std::size_t& who) noexcept {
    if (phase_ == round_phase::idle) return errc::round_closed;
    tick(d.now);
    who = clients_.find(d.client);
    if (d.round != plan_.round) return refuse(who, d, d.round < plan_.round ? errc::stale_client : errc::value_range);
    if (who == roster::nobody) return refuse(who, d, errc::unknown_client);
    if (entries_[who].state == standing::received) return refuse(who, d, errc::duplicate_client);
    if (clock_ >= plan_.deadline) {
      move(who, standing::late);
      return refuse(who, d, errc::late_client);
    }
    if (phase_ != round_phase::open || closed_ || received() >= plan_.needed) {
      move(who, standing::surplus);
      return refuse(who, d, errc::round_closed);
    }
    return errc::ok;
  }

  /// What came of looking at it. The machine's faults are not the client's.
  errc settle(std::size_t who, const delivery& d, errc found) noexcept {
    if (found != errc::ok) {
      if (found != errc::out_of_memory && found != errc::executor_failed) move(who, standing::rejected);
      return refuse(who, d, found);
    }
    entry& e = entries_[who];
    move(who, standing::received);
    e.weight = d.weight;
    e.when = clock_;
    e.reason = errc::ok;
    return errc::ok;
  }

  errc try_fail(std::string_view id, errc reason, std::int64_t now) noexcept {
    if (phase_ != round_phase::open) return errc::round_closed;
    if (reason == errc::ok) return errc::bad_parameter;
    const std::size_t who = clients_.find(id);
    if (who == roster::nobody) return errc::unknown_client;
    if (entries_[who].state == standing::received) return errc::duplicate_client;
    tick(now);
    move(who, standing::failed);
    entries_[who].reason = reason;
    entries_[who].when = clock_;
    return errc::ok;
  }

  bool ready(std::int64_t now) const noexcept {
    return phase_ == round_phase::open && (received() >= plan_.needed || closed_ || count(standing::missing) == 0 ||
                                           (now > clock_ ? now : clock_) >= plan_.deadline);
  }

  /// `ok` if there is enough for a result and nothing to wait for.
  errc may_finish(std::int64_t now) noexcept {
    if (phase_ != round_phase::open) return errc::round_closed;
    tick(now);
    return ready(now) && received() >= plan_.minimum ? errc::ok : errc::round_incomplete;
  }
  void finish() noexcept { phase_ = round_phase::finished; }

  /// A client that was received and is left out by the aggregation.
  void drop(std::size_t who, errc reason) noexcept {
    move(who, standing::rejected);
    entries_[who].weight = 0;
    refuse(who, {clients_[who], plan_.round, clock_, 0}, reason);
  }

  errc try_extend(std::int64_t deadline) noexcept {
    if (phase_ != round_phase::open) return errc::round_closed;
    if (deadline <= clock_) return errc::bad_parameter;
    plan_.deadline = deadline;
    closed_ = false;
    return errc::ok;
  }
  errc try_close() noexcept {
    if (phase_ != round_phase::open) return errc::round_closed;
    closed_ = true;
    return errc::ok;
  }
  void abandon() noexcept {
    if (phase_ == round_phase::open) phase_ = round_phase::abandoned;
  }

  const round_plan& plan() const noexcept { return plan_; }
  round_phase phase() const noexcept { return phase_; }
  std::size_t size() const noexcept { return clients_.size(); }
  std::size_t find(std::string_view id) const noexcept { return clients_.find(id); }
  standing state(std::size_t i) const noexcept { return entries_[i].state; }
  std::size_t count(standing s) const noexcept { return counts_[static_cast<std::size_t>(s)]; }
  std::size_t received() const noexcept { return count(standing::received); }
  client_record record(std::size_t i) const noexcept {
    const entry& e = entries_[i];
    return {clients_[i], e.state, e.reason, e.when, e.weight, e.refused};
  }
  std::uint64_t refused() const noexcept { return refused_; }
  std::size_t logged() const noexcept { return log_.size(); }
  refusal logged(std::size_t i) const noexcept { return log_.at(i, clients_); }

  template <class Archive>
  errc archive(Archive& a) {
    std::uint64_t phase = static_cast<std::uint64_t>(phase_), needed = plan_.needed, minimum = plan_.minimum;
    std::vector<std::uint8_t> states;
    std::vector<std::uint32_t> reasons;
    std::vector<std::int64_t> times;
    std::vector<double> weights;
    std::vector<std::uint64_t> refused;
    for (const entry& e : entries_) {
      states.push_back(static_cast<std::uint8_t>(e.state));
      reasons.push_back(static_cast<std::uint32_t>(e.reason));
      times.push_back(e.when);
      weights.push_back(e.weight);
      refused.push_back(e.refused);
    }
    if (const errc rc = a.value("round", plan_.round); rc != errc::ok) return rc;
    if (const errc rc = a.value("deadline", plan_.deadline); rc != errc::ok) return rc;
    if (const errc rc = a.value("needed", needed); rc != errc::ok) return rc;
    if (const errc rc = a.value("minimum", minimum); rc != errc::ok) return rc;
    if (const errc rc = a.value("phase", phase); rc != errc::ok) return rc;
    if (const errc rc = a.value("closed", closed_); rc != errc::ok) return rc;
    if (const errc rc = a.value("refusals", refused_); rc != errc::ok) return rc;
    if (const errc rc = archive_part(a, "clients", clients_); rc != errc::ok) return rc;
    if (const errc rc = a.array("standing", states); rc != errc::ok) return rc;
    if (const errc rc = a.array("reasons", reasons); rc != errc::ok) return rc;
    if (const errc rc = a.array("times", times); rc != errc::ok) return rc;
    if (const errc rc = a.array("weights", weights); rc != errc::ok) return rc;
    if (const errc rc = a.array("refused", refused); rc != errc::ok) return rc;
    if (a.loading())
      if (const errc rc = take(phase, needed, minimum, states, reasons, times, weights, refused); rc != errc::ok)
        return rc;
    return log_.archive(a, clients_.size());
  }

private:
  struct entry {
    standing state = standing::missing;
    errc reason = errc::ok;
    std::int64_t when = 0;
    double weight = 0;
    std::size_t refused = 0;
  };

  /// A clock that is set back does not reopen a round.
  void tick(std::int64_t now) noexcept {
    if (now > clock_) clock_ = now;
  }

  void move(std::size_t who, standing to) noexcept {
    --counts_[static_cast<std::size_t>(entries_[who].state)];
    ++counts_[static_cast<std::size_t>(to)];
    entries_[who].state = to;
  }

  errc refuse(std::size_t who, const delivery& d, errc reason) noexcept {
    ++refused_;
    if (who != roster::nobody) {
      ++entries_[who].refused;
      // What stands stays explained: an update that counts is not made doubtful by its copies.
      if (entries_[who].state != standing::received) {
        entries_[who].reason = reason;
        entries_[who].when = clock_;
      }
    }
    log_.add(who, d.client, reason, clock_, d.round);
    return reason;
  }

  errc take(std::uint64_t phase, std::uint64_t needed, std::uint64_t minimum, const std::vector<std::uint8_t>& states,
            const std::vector<std::uint32_t>& reasons, const std::vector<std::int64_t>& times,
            const std::vector<double>& weights, const std::vector<std::uint64_t>& refused) {
    const std::size_t n = clients_.size();
    if (phase > static_cast<std::uint64_t>(round_phase::abandoned) || states.size() != n || reasons.size() != n ||
        times.size() != n || weights.size() != n || refused.size() != n)
      return errc::file_format;
    phase_ = static_cast<round_phase>(phase);
    if (phase_ == round_phase::idle ? n != 0 : n == 0 || needed > n || minimum == 0 || minimum > needed)
      return errc::file_format;
    plan_.needed = static_cast<std::size_t>(needed);
    plan_.minimum = static_cast<std::size_t>(minimum);
    entries_.reserve(n);
    entries_.clear();
    for (std::size_t& c : counts_) c = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (states[i] >= standings || !valid_reason(reasons[i]) || !detail::valid_weight(weights[i]))
        return errc::file_format;
      ++counts_[states[i]];
      entries_.push_back({static_cast<standing>(states[i]), static_cast<errc>(reasons[i]), times[i], weights[i],
                          static_cast<std::size_t>(refused[i])});
    }
    return received() <= (phase_ == round_phase::idle ? 0 : plan_.needed) ? errc::ok : errc::file_format;
  }

  roster clients_, next_;
  std::vector<entry> entries_;
  refusal_log log_;
  round_plan plan_;
  std::size_t counts_[standings] = {};
  std::uint64_t refused_ = 0;
  std::int64_t clock_ = INT64_MIN;
  round_phase phase_ = round_phase::idle;
  bool closed_ = false;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_ROUND_BOOK_HPP
