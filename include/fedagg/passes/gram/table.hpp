// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GRAM_TABLE_HPP
#define FEDAGG_PASSES_GRAM_TABLE_HPP

#include <cstddef>
#include <span>
#include <string_view>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/workspace.hpp>
#include <fedagg/passes/gram_tiles.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

namespace impl {
template <class>
class gram_pass;
template <class>
class gram_call;
} // namespace impl

/// What pass gram may be asked for besides all distances over all coordinates.
struct gram_query {
  const model_view* trusted = nullptr;      ///< one more row, of the clients' layout
  std::span<const std::size_t> sample = {}; ///< ascending coordinates over the floating tensors; empty: all
  std::size_t first_tensor = 0;             ///< of those in scope, only [first_tensor, last_tensor)
  std::size_t last_tensor = static_cast<std::size_t>(-1);
};

/// Results and memory of pass gram, kept by the caller.
class gram_table {
public:
  /// The clients that the matrices are about, ascending: those that sent finite values of the right layout.
  template <class Void = void>
  std::span<const std::size_t> clients() const noexcept {
    return detail::span_of(clients_.data(), clients_.size());
  }
  /// Clients and the trusted row.
  std::size_t order() const noexcept { return order_; }
  /// order() x order(), symmetric, zeros on the diagonal.
  template <class Void = void>
  std::span<const double> distances() const noexcept {
    return detail::span_of(distances_.data(), distances_.size());
  }
  /// order() x order() about the origin, and its diagonal; empty for models without a base.
  template <class Void = void>
  std::span<const double> products() const noexcept {
    return detail::span_of(products_.data(), products_.size());
  }
  template <class Void = void>
  std::span<const double> square_norms() const noexcept {
    return detail::span_of(square_norms_.data(), square_norms_.size());
  }
  /// Reads of the cohort: one, or two if some rows were too close together for their inner products.
  unsigned passes() const noexcept { return passes_; }
  /// Why clients were left out, one for each client of the cohort (`try_gram` only).
  detail::slice<const errc> faults() const noexcept { return buffers_.fault.each(); }
  /// For a refused call: the tensor it is about.
  std::string_view tensor_name() const noexcept { return buffers_.result.tensor_name; }

  /// The same as rules see it.
  template <class Void = void>
  geometry view() const noexcept {
    geometry g;
    g.rows = clients_.size();
    g.has_origin = !products_.empty();
    g.has_trusted = order_ > clients_.size();
    g.known = geometry_needs::distances;
    g.square_norms = square_norms();
    if (g.has_origin && g.has_trusted) g.with_trusted = detail::span_of(products_.data() + g.rows * order_, order_);
    g.distances = distances();
    g.products = products();
    return g;
  }

private:
  template <class>
  friend class impl::gram_pass;
  template <class>
  friend class impl::gram_call;

  detail::list<std::size_t> clients_, kept_;
  detail::list<double> distances_, products_, square_norms_;
  detail::list<double> sums_, partial_; // lower triangles, of all and of each chunk
  detail::list<unsigned char> close_;   // pairs to be computed by difference
  detail::list<impl::gram_part> parts_;
  detail::list<const any_tensor*> views_, trusted_;
  detail::list<basic_named_tensor<void>> layout_;
  detail::round_buffers buffers_; // of calls outside a round
  std::size_t order_ = 0;
  unsigned passes_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_GRAM_TABLE_HPP
