// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GRAM_HPP
#define FEDAGG_PASSES_GRAM_HPP

#include <cstddef>
#include <new>
#include <span>
#include <string_view>

#include <fedagg/core/error.hpp>
#include <fedagg/passes/gram_pass.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// A round without an output: admits the clients of a cohort, then runs the pass over them.
template <class Void = void>
class gram_call {
public:
  gram_call(const cohort& clients, const gram_query& query, const options& how, gram_table& t) noexcept
      : clients_(clients), query_(query), how_(how), t_(t), b_(t.buffers_) {}

  errc run() {
    b_.result.clear();
    t_.clients_.clear();
    t_.distances_.clear();
    t_.products_.clear();
    t_.square_norms_.clear();
    t_.order_ = 0;
    const std::size_t n = clients_.size();
    b_.fault.assign(n, errc::ok);
    b_.fault_place.assign(n, static_cast<std::size_t>(-1));
    b_.present.clear();
    if (n == 0) return errc::empty_cohort;
    if (clients_.status() != errc::ok) return clients_.status();
    if (const errc rc = plan(); rc != errc::ok) return rc;
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t tensor = 0;
      std::string_view name;
      b_.fault[i] = client_fault(clients_, i, t_.layout_, how_, b_, tensor, name);
      // What no client can cause: a view of the caller's that points nowhere.
      if (b_.fault[i] == errc::ok)
        b_.present.push_back(i);
      else if (b_.fault[i] != errc::client_layout && b_.fault[i] != errc::invalid_weight)
        return b_.result.tensor_name = name, b_.fault[i];
    }
    lay_out(clients_, t_.layout_, how_, b_);
    const findings f = gram_pass<Void>(clients_, t_.layout_, how_, query_, b_, t_).run();
    if (f.tensor < t_.layout_.size()) b_.result.tensor_name = t_.layout_[f.tensor].name;
    for (std::size_t i = 0; i < n; ++i)
      if (b_.fault_place[i] != static_cast<std::size_t>(-1))
        b_.fault[i] = static_cast<errc>(b_.fault_place[i] % fault_reasons);
    return f.code;
  }

private:
  /// The layout as if it were an output's, and its segments; nothing is ever written to it.
  errc plan() {
    const auto model = clients_.has_base() ? clients_.base_row()
                       : query_.trusted    ? query_.trusted->each()
                                           : clients_.row(0);
    t_.layout_.clear();
    b_.segments.clear();
    b_.base_views.clear();
    for (const named_tensor& e : model) {
      const any_tensor& t = e.tensor;
      segment s;
      s.tensor = t_.layout_.size();
      s.position = b_.segments.size();
      s.size = t.size();
      s.type = t.type();
      t_.layout_.push_back(
          {e.name, any_mutable_tensor(t.type(), const_cast<void*>(t.data()), t.shape(), t.strides()), e.policy});
      if (!how_.where.contains(e.name)) continue;
      if (t.status() != errc::ok) return b_.result.tensor_name = e.name, t.status();
      b_.segments.push_back(s);
      b_.base_views.push_back(clients_.has_base() ? &t : nullptr);
    }
    return b_.segments.empty() && !model.empty() ? errc::empty_scope : errc::ok;
  }

  const cohort& clients_;
  const gram_query& query_;
  const options& how_;
  gram_table& t_;
  round_buffers& b_;
};

} // namespace impl

/// Computes the squared distances and inner products of a cohort's rows; never throws, and allocates nothing once the
/// table has seen a cohort of this size. Clients whose values or layout are at fault are left out, whatever the policy,
/// and named in `table.faults()`. The layout is the base's, else the trusted row's, else the first client's.
template <class Void = void>
[[nodiscard]] errc try_gram(const cohort& clients, gram_table& table, const gram_query& query = {},
                            const options& how = {}) noexcept {
#if FEDAGG_EXCEPTIONS
  try {
    return impl::gram_call<Void>(clients, query, how, table).run();
  } catch (const std::bad_alloc&) {
    return errc::out_of_memory;
  } catch (...) {
    return errc::executor_failed;
  }
#else
  return impl::gram_call<Void>(clients, query, how, table).run();
#endif
}

/// The same with its own table; throws fedagg::error.
template <class Void = void>
gram_table gram(const cohort& clients, const gram_query& query = {}, const options& how = {}) {
  gram_table table;
  if (const errc rc = try_gram<Void>(clients, table, query, how); rc != errc::ok) impl::raise(rc, table.tensor_name());
  return table;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_GRAM_HPP
