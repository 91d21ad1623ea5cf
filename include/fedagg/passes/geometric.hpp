// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GEOMETRIC_HPP
#define FEDAGG_PASSES_GEOMETRIC_HPP

#include <cstddef>
#include <span>
#include <string_view>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/passes/combine.hpp>
#include <fedagg/passes/geometric/call.hpp>
#include <fedagg/passes/geometric/measure.hpp>
#include <fedagg/passes/round/base.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// What is to be done with the clients' tensors, once their geometry is known.
struct geometric_plan {
  affine_map map = {}; ///< of all stages, from the clients in use
  detail::slice<double> shares = {};
  detail::slice<std::size_t> rows = {}; ///< the clients whose shares these are, and the trusted row
  double divisor = 1;
  bool with_base = false;   ///< the last share is the base's
  std::size_t selected = 0; ///< of a selecting rule: rows, and what becomes of their columns
  nearest_values second = {};
};

/// What rounds of geometric rules keep between them.
struct geometric_memory {
  measuring measured;
  arena memory;
  detail::list<geometric_plan> plans;
};

/// One call of a rule that needs the clients' geometry, or of a chain: it is measured, the stages and the rule answer
/// in n dimensions, and one sweep combines what they chose. Nobody with a NaN or Inf gets so far.
template <class Void = void>
class geometric_round : round_base {
public:
  geometric_round(const geometric_call& call, const cohort& clients, detail::slice<const basic_named_tensor<void>> out,
                  const options& how, round_buffers& b)
      : round_base(clients, out, how, b), call_(call), m_(b.more.get<geometric_memory>()) {}

  errc run() {
    if (!call_.in_range || how_.on_bad_client == bad_client::propagate) return errc::bad_parameter;
    bool in_place = false;
    if (const errc rc = admit(in_place); rc != errc::ok) return rc;
    if (call_.needs_origin && !clients_.has_origin()) return errc::missing_origin;
    // Counters alone have no geometry: all clients would be tied, and the first one's taken.
    if (const segment* s = averaged_integers(); s && measures() && how_.where.each())
      return refuse(o_, errc::unsupported_element, s->tensor, out_[s->tensor]);
    if (const errc rc = admit_clients(); rc != errc::ok) return rc;
    if (const errc rc = admit_trusted(); rc != errc::ok) return rc;
    if (const errc rc = admit_history(); rc != errc::ok) return rc;
    if (const errc rc = take_present(most_lost()); rc != errc::ok) return rc;
    // Samples and a history tell nothing of the other values.
    bool checked = call_.needs == geometry_needs::nothing || call_.rule.on_history;
    bool again = true;
    while (again) {
      again = false;
      if (const errc rc = decide(); rc != errc::ok) return rc;
      // A tile written over the base cannot be computed again from it. What was measured is finite, but integers are
      // not measured.
      const bool atomic = how_.write == write::atomic || (in_place && (checked || averaged_integers()));
      if (!atomic) o_.state = output::unspecified;
      findings f = sweep(checked, !atomic);
      if (f.code != errc::ok) return f.code;
      if (f.bad_client) {
        again = true;
        checked = false;
        if (const errc rc = drop(); rc != errc::ok) return rc;
      } else if (atomic) {
        o_.state = output::unspecified;
        f = sweep(false, true);
        if (f.code != errc::ok) return f.code;
      }
    }
    o_.state = output::written;
    return errc::ok;
  }

private:
  /// The server's own row: what is wrong with it is the caller's error.
  errc admit_trusted() {
    if (!clients_.has_trusted()) return errc::ok;
    std::size_t tensor = 0;
    std::string_view name;
    const errc fault = client_fault(clients_, clients_.size(), out_, how_, b_, tensor, name);
    if (fault == errc::ok) return fault;
    o_.tensor = tensor;
    o_.tensor_name = name;
    return fault == errc::client_layout ? errc::layout_mismatch : fault;
  }

  /// What the rule judges instead of the clients' own rows: the caller's, one row for each of them.
  errc admit_history() {
    if (!call_.rule.on_history) return errc::ok;
    const cohort* h = clients_.history();
    if (!h || !h->has_origin() || h->has_base()) return errc::missing_history;
    if (h->size() != clients_.size()) return errc::layout_mismatch;
    for (std::size_t i = 0; i < h->size(); ++i) {
      std::string_view name;
      const errc fault = client_fault(*h, i, out_, how_, b_, o_.tensor, name);
      o_.tensor_name = name;
      if (fault != errc::ok) return fault == errc::client_layout ? errc::layout_mismatch : fault;
    }
    return errc::ok;
  }

  bool measures() const noexcept { return call_.needs != geometry_needs::nothing || call_.rule.sample; }

  /// Where a part knows how many rows may be hostile, its own condition decides how many clients a round may lose.
  std::size_t most_lost() const noexcept { return call_.has_budget ? clients_.size() : (clients_.size() - 1) / 2; }

  errc drop() {
    // An integer of the server's own row that no double holds is no client's fault.
    if (const std::size_t place = b_.fault_place[clients_.size()]; place != nowhere) {
      o_.tensor = place / fault_reasons;
      o_.tensor_name = out_[o_.tensor].name;
      return static_cast<errc>(place % fault_reasons);
    }
    if (const errc rc = drop_bad(); rc != errc::ok) return rc;
    return take_present(most_lost());
  }

  /// Segments [first, last) are one problem: all of them, or each by itself.
  std::size_t problems() const noexcept { return how_.where.each() ? b_.segments.size() : 1; }

  /// Measures the clients and lets the rule choose, without those whose values turn out to be at fault.
  errc decide() {
    const std::size_t count = problems();
    for (bool again = true; again;) {
      again = false;
      m_.memory.reset();
      m_.plans.clear();
      o_.coefficients.clear();
      o_.scores.clear();
      errc refused = errc::ok;
      std::size_t passes = 0;
      for (std::size_t p = 0; p < count; ++p) {
        geometry g;
        g.rows = b_.present.size();
        bool bad = false;
        if (measures()) {
          const bool each = how_.where.each();
          const findings f = call_.measure(
              m_.measured, {call_, clients_, out_, how_, b_, m_.memory, each ? p : 0, each ? p + 1 : nowhere}, g);
          // Problems are parts of the cohort: together they are read once, or twice.
          if (m_.measured.passes() > passes) {
            o_.passes += m_.measured.passes() - passes;
            passes = m_.measured.passes();
          }
          blame(f);
          if (f.code != errc::ok) return f.code;
          bad = f.bad_client;
        }
        if (bad && count == 1) {
          // What was measured is about those that are left.
          if (const errc rc = drop(); rc != errc::ok) return rc;
          bad = false;
        }
        again = again || bad;
        // Once a client is bad, the other tensors are only looked at, to find the others.
        if (again || refused != errc::ok) continue;
        g.weights = detail::span_of(b_.weights.data(), b_.weights.size());
        g.clients = detail::span_of(b_.present.data(), b_.present.size());
        refused = plan(g);
      }
      if (!again) return refused;
      if (const errc rc = drop(); rc != errc::ok) return rc;
    }
    return errc::ok;
  }

  errc plan(geometry g) {
    geometric_plan p;
    bool mixed = false;
    if (call_.chain)
      if (const errc rc = call_.chain->mix(call_.stages, g, m_.memory, p.map, mixed); rc != errc::ok) return rc;
    // Claims of clients say nothing of rows that several of them make up.
    if (mixed && call_.rule.trusts_weights) return errc::bad_parameter;
    errc rc = errc::ok;
    if (call_.rule.decide) {
      // As many of the cohort's clients as would have become a row each.
      const std::size_t n = b_.present.size(), declared = (clients_.size() * g.rows + n - 1) / n;
      if (call_.rule.trusts_weights) return errc::bad_parameter;
      rc = call_.rule.decide(call_.rule.self, call_.rule.columns, declared, g.rows, o_);
    } else {
      rc = choose(g, p, mixed);
    }
    m_.plans.push_back(p);
    return rc;
  }

  /// The rule's coefficients of its rows, and what they are of the clients.
  errc choose(const geometry& g, geometric_plan& p, bool mixed) {
    solution s;
    s.coefficients = m_.memory.take<double>(g.order());
    s.scores = m_.memory.take<double>(g.rows);
    errc rc = errc::ok;
    if (call_.rule.combine) {
      const auto equal = m_.memory.room<double>(g.rows);
      for (double& w : equal) w = 1;
      o_.weights_used = !mixed;
      const detail::slice<const double> weights = g.weights;
      rc = call_.rule.combine(call_.rule.self, mixed ? equal : weights, {s.coefficients.data(), g.rows}, s.divisor);
    } else {
      rc = call_.rule.coefficients(call_.rule.self, g, m_.memory, s);
      o_.weights_used = call_.rule.trusts_weights;
      for (std::size_t k = 0; k < s.scores.size(); ++k) o_.scores.push_back(s.scores[k]);
      if (s.iterations > o_.iterations) o_.iterations = s.iterations;
      if (s.gap > o_.gap) o_.gap = s.gap;
      o_.breakdown = s.breakdown;
      o_.breakdown_mass = s.breakdown_mass;
      o_.no_trust = o_.no_trust || s.no_trust;
    }
    if (rc != errc::ok && rc != errc::search_limit) return rc;
    if (!s.whole && !clients_.has_origin()) return errc::missing_origin;
    const std::size_t n = b_.present.size();
    detail::slice<double> shares = s.coefficients;
    bool whole = s.whole;
    if (call_.chain) {
      // Back through the stages: a_i = sum_k c_k m_ki.
      shares = m_.memory.room<double>(n + 1);
      s.divisor = detail::times(s.divisor, call_.chain->spread(p.map, s.coefficients, shares));
      whole = whole && p.map.whole;
    }
    const std::size_t first = o_.coefficients.size();
    o_.coefficients.resize(first + clients_.size(), 0.0);
    for (std::size_t k = 0; k < n; ++k) o_.coefficients[first + b_.present[k]] = shares[k] / s.divisor;
    if (rc != errc::ok) return rc;
    if (call_.rule.second) {
      for (std::size_t k = 0; k < g.rows; ++k) p.selected += s.coefficients[k] != 0;
      if (rc = call_.rule.second(call_.rule.self, p.selected, p.second); rc != errc::ok) return rc;
      if (call_.chain) p.map = call_.chain->rows_of(p.map, s.coefficients, m_.memory);
    }
    // Rows without a share are not read.
    p.shares = m_.memory.room<double>(n + 2);
    p.rows = m_.memory.room<std::size_t>(n + 1);
    std::size_t used = 0;
    double rest = s.divisor;
    for (std::size_t k = 0; k <= n; ++k) {
      if (k == n && !g.has_trusted) break;
      rest = detail::plus(rest, -shares[k]);
      if (shares[k] == 0) continue;
      p.rows[used] = k < n ? b_.present[k] : clients_.size();
      p.shares[used++] = shares[k];
    }
    p.with_base = !whole && clients_.has_base();
    p.shares[used] = rest;
    p.shares = p.shares.first(used + (p.with_base ? 1 : 0));
    p.rows = p.rows.first(used);
    p.divisor = s.divisor;
    return errc::ok;
  }

  /// One sweep for each problem; the other problems' segments idle meanwhile.
  findings sweep(bool checked, bool writes) {
    findings all;
    const std::size_t passes = o_.passes;
    for (std::size_t p = 0; p < problems(); ++p) {
      for (segment& s : b_.segments.each()) s.idle = how_.where.each() && s.position != p;
      const findings f = sweep_one(m_.plans[p], checked, writes);
      o_.passes = passes + 1;
      all.bad_client = all.bad_client || f.bad_client;
      if (f.code != errc::ok) return f;
    }
    return all;
  }

  findings sweep_one(const geometric_plan& p, bool checked, bool writes) {
    if (call_.rule.sums()) return sweep_rows(erase(combine_pass(p.shares, p.divisor, p.with_base)), p, checked, writes);
    user mine{*this, p, checked, writes};
    const kernel_user columns{&mine, [](void* self, const tile_kernel& kernel) {
                                const user& u = *static_cast<user*>(self);
                                return u.round.sweep_columns(kernel, u);
                              }};
    if (call_.rule.second) return call_.rule.with_second(p.selected, p.second, columns);
    return call_.rule.with(call_.rule.self, call_.rule.columns, p.map.out, columns);
  }

  /// Who sweeps with a kernel once it is there, and how.
  struct user {
    geometric_round& round;
    const geometric_plan& p;
    bool checked, writes;
  };

  /// A rule on the columns of what the stages make of the clients, or of the clients that were selected.
  findings sweep_columns(const tile_kernel& kernel, const user& how) {
    if (!call_.chain) return sweep_rows(kernel, how.p, how.checked, how.writes);
    user mine = how;
    const kernel_user with{&mine, [](void* self, const tile_kernel& mixed) {
                             const user& u = *static_cast<user*>(self);
                             coordinate_pass over(mixed, u.round.clients_, u.round.out_, u.round.how_, u.round.b_);
                             return u.round.look(over, u.checked, u.writes);
                           }};
    return call_.chain->with_mixed(kernel, how.p.map, with);
  }

  /// A kernel on the rows of a plan alone: what is read for the result need not be all that was measured.
  findings sweep_rows(const tile_kernel& kernel, const geometric_plan& p, bool checked, bool writes) {
    const detail::list<std::size_t>& kept = m_.measured.keep(b_.present);
    b_.present.assign(p.rows.data(), p.rows.size());
    findings f;
    {
      coordinate_pass over(kernel, clients_, out_, how_, b_);
      f = look(over, checked, writes);
    }
    b_.present = kept;
    return f;
  }

  const geometric_call& call_;
  geometric_memory& m_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GEOMETRIC_HPP
