// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GEOMETRIC_MEASURE_HPP
#define FEDAGG_PASSES_GEOMETRIC_MEASURE_HPP

#include <cstddef>
#include <span>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/passes/coordinate_pass.hpp>
#include <fedagg/passes/geometric/call.hpp>
#include <fedagg/passes/gram_pass.hpp>
#include <fedagg/passes/rows.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// The geometry of the clients in use, by the cheapest pass that gives what is needed, and the memory for it.
class measuring {
public:
  /// The pass for a rule, or for a chain that ends in it; null where nothing need be known.
  template <class Rule, geometry_needs Needs>
  static constexpr measure_call of() noexcept {
    if constexpr (sampling_rule<Rule>)
      return [](measuring& m, const measure_request& r, geometry& g) { return m.by_samples(r, g); };
    else if constexpr (Needs == geometry_needs::distances)
      return [](measuring& m, const measure_request& r, geometry& g) { return m.by_products(r, g); };
    else if constexpr (Needs != geometry_needs::nothing || needs_signs<Rule>())
      return [](measuring& m, const measure_request& r, geometry& g) { return m.by_norms(r, g); };
    else
      return nullptr;
  }

  /// Reads of the cohort that the last run took.
  std::size_t passes() const noexcept { return passes_; }

  /// A copy of a list of clients that is about to be replaced.
  const detail::list<std::size_t>& keep(const detail::list<std::size_t>& present) {
    kept_ = present;
    return kept_;
  }

private:
  void server_row(const cohort& clients) {
    trusted_.clear();
    for (const named_tensor& e : clients.trusted_row()) trusted_.add(e.name, e.tensor, e.policy);
  }

  /// All distances, and the inner products where there is an origin.
  template <class Void = void>
  findings by_products(const measure_request& r, geometry& g) {
    const cohort& rows = r.call.rule.on_history ? *r.clients.history() : r.clients;
    server_row(rows);
    lay_out(rows, r.out, r.how, r.b);
    gram_query query;
    query.trusted = rows.has_trusted() ? &trusted_ : nullptr;
    query.first_tensor = r.first;
    query.last_tensor = r.last;
    const findings f = gram_pass<Void>(rows, r.out, r.how, query, r.b, gram_).run();
    passes_ = gram_.passes();
    g = gram_.view();
    return f;
  }

  /// Norms about the origin and, if asked for, inner products with the trusted row, and signs.
  template <class Void = void>
  findings by_norms(const measure_request& r, geometry& g) {
    const cohort& clients = r.clients;
    const options& how = r.how;
    round_buffers& b = r.b;
    const geometry_needs needs = r.call.needs;
    server_row(clients);
    lay_out(clients, r.out, how, b);
    rows_request request, alone;
    request.counts = r.call.rule.needs_signs;
    alone.first_tensor = request.first_tensor = r.first;
    alone.last_tensor = request.last_tensor = r.last;
    findings f;
    const std::size_t n = b.present.size();
    const bool with = needs == geometry_needs::trusted && clients.has_trusted();
    if (with) request.others = {&trusted_, 1};
    passes_ = 1;
    if (f.code = rows_pass<Void>(clients, request, rows_, how, b.present).run(); f.code != errc::ok) return f;
    norms_.assign(n + 1, 0.0);
    products_.assign(n + 1, 0.0);
    signs_.assign(request.counts ? n : 0, {});
    for (std::size_t k = 0; k < n; ++k) {
      norms_[k] = rows_.rows()[b.present[k]].squared_norm;
      if (with) products_[k] = rows_.inner(b.present[k], 0);
      if (!is_finite(norms_[k]) || !is_finite(products_[k])) f.bad_client = true;
    }
    if (with) {
      server_.clear();
      server_.add(trusted_);
      if (clients.has_base()) {
        base_.clear();
        for (const named_tensor& e : clients.base_row()) base_.add(e.name, e.tensor, e.policy);
        server_.base(base_);
      }
      if (f.code = rows_pass<Void>(server_, alone, own_, how).run(); f.code != errc::ok) return f;
      norms_[n] = products_[n] = own_.rows()[0].squared_norm;
      if (!is_finite(norms_[n])) {
        const std::size_t place = fault_of<Void>(b, how, clients.trusted_row());
        f.code = static_cast<errc>(place % fault_reasons);
        f.tensor = place / fault_reasons;
        return f;
      }
    }
    if (f.bad_client) blame<Void>(clients, how, b, f);
    std::size_t left = 0;
    for (std::size_t k = 0; k < n; ++k)
      if (is_finite(norms_[k]) && is_finite(products_[k])) {
        norms_[left] = norms_[k];
        products_[left] = products_[k];
        if (request.counts) signs_[left] = signs_of(rows_.rows()[b.present[k]]);
        ++left;
      }
    norms_[left] = norms_[n];
    products_[left] = products_[n];
    g = {};
    g.rows = left;
    g.has_origin = clients.has_origin();
    g.has_trusted = with;
    g.known = needs;
    if (g.has_origin) g.square_norms = detail::span_of(norms_.data(), g.order());
    if (request.counts) g.signs = {signs_.data(), left};
    if (g.has_origin && with) g.with_trusted = detail::span_of(products_.data(), g.order());
    return f;
  }

  static row_signs signs_of(const row_summary& row) noexcept {
    if (row.elements == 0) return {};
    const auto all = static_cast<double>(row.elements);
    return {detail::quotient(static_cast<double>(row.positive), all),
            detail::quotient(static_cast<double>(row.negative), all),
            detail::quotient(static_cast<double>(row.zero), all)};
  }

  /// The distances over each of a rule's samples, of the clients that are without fault in all of them.
  template <class Void = void>
  findings by_samples(const measure_request& r, geometry& g) {
    const rule_call& rule = r.call.rule;
    round_buffers& b = r.b;
    gram_query query;
    query.first_tensor = r.first;
    query.last_tensor = r.last;
    findings all;
    std::size_t coordinates = 0;
    for (const segment& s : b.segments.each())
      if (s.position >= query.first_tensor && s.position < query.last_tensor && is_floating(s.type))
        coordinates += s.size;
    const std::size_t samples = rule.samples(rule.self);
    passes_ = 0;
    for (bool again = true; again;) {
      again = false;
      sampled_.clear();
      for (std::size_t k = 0; k < samples; ++k) {
        lay_out(r.clients, r.out, r.how, b);
        query.sample = rule.sample(rule.self, k, coordinates, r.memory);
        const findings f = gram_pass<Void>(r.clients, r.out, r.how, query, b, gram_).run();
        passes_ += gram_.passes();
        if (f.code != errc::ok) return f;
        again = again || f.bad_client;
        sampled_.append(gram_.distances().data(), gram_.distances().size());
      }
      if (!again) break;
      all.bad_client = true;
      std::size_t left = 0;
      for (const std::size_t i : b.present.each())
        if (b.fault_place[i] == static_cast<std::size_t>(-1)) b.present[left++] = i;
      b.present.resize(left);
      again = left > 0;
    }
    g = {};
    g.rows = b.present.size();
    g.known = geometry_needs::nothing;
    g.sampled = detail::span_of(sampled_.data(), sampled_.size());
    return all;
  }

  /// The first tensor of a row with a NaN or Inf and the reason, as a place; `client_range`, because of its norm, if
  /// there is none.
  template <class Void = void>
  static std::size_t fault_of(const round_buffers& b, const options& how, detail::slice<const named_tensor> row) {
    std::size_t at = 0;
    for (const segment& s : b.segments.each()) {
      while (!how.where.contains(row[at].name)) ++at;
      const any_tensor& t = row[at++].tensor;
      if (!is_floating(s.type)) continue;
      const errc reason = coordinate_pass<Void>::look(t, s.type, 0, s.size);
      if (reason != errc::ok) return s.tensor * fault_reasons + static_cast<std::size_t>(reason);
    }
    return b.segments[0].tensor * fault_reasons + static_cast<std::size_t>(errc::client_range);
  }

  /// Whose fault it is: the base's, which every difference is taken from, or that of single clients.
  template <class Void = void>
  void blame(const cohort& clients, const options& how, round_buffers& b, findings& f) {
    if (clients.has_base()) {
      const std::size_t place = fault_of<Void>(b, how, clients.base_row());
      if (static_cast<errc>(place % fault_reasons) == errc::non_finite) {
        f.code = errc::non_finite;
        f.tensor = place / fault_reasons;
        return;
      }
    }
    for (std::size_t k = 0; k < b.present.size(); ++k)
      if (!is_finite(norms_[k]) || !is_finite(products_[k]))
        b.fault_place[b.present[k]] = fault_of<Void>(b, how, clients.row(b.present[k]));
  }

  gram_table gram_;
  row_table rows_, own_;
  cohort server_;
  model_view trusted_, base_;
  detail::list<double> norms_, products_, sampled_;
  detail::list<row_signs> signs_;
  detail::list<std::size_t> kept_;
  std::size_t passes_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GEOMETRIC_MEASURE_HPP
