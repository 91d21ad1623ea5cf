// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_FIXED_POINT_ACCUMULATOR_HPP
#define FEDAGG_PASSES_FIXED_POINT_ACCUMULATOR_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/binned.hpp>
#include <fedagg/passes/accumulator/basic.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a fixed-point sum has to hold, and how finely. Nothing is assumed: clients beyond it are refused.
struct fixed_point {
  double largest = 0;        ///< of |weight x|, for floating tensors
  double grid = 0;           ///< weight x is rounded to a multiple of it; a power of two
  double largest_weight = 1; ///< of a client
  double weight_grid = 1;    ///< every weight is a multiple of it; a power of two, 1 for sample counts
  std::uint64_t clients = 0; ///< the most that add up

  /// The finest grid for values up to `largest_value` and these weights and clients.
  static constexpr fixed_point finest(double largest_value, double largest_weight, std::uint64_t clients,
                                      double weight_grid = 1) noexcept {
    fixed_point f{largest_value * largest_weight, 0, largest_weight, weight_grid, clients};
    if (!is_finite(f.largest) || !(f.largest > 0)) return f;
    int e = detail::exponent_of(f.largest) - 51;
    for (e = e < -least_exponent ? -least_exponent : e; e <= least_exponent; ++e) {
      f.grid = detail::power_of_two(e);
      if (f.status() != errc::bad_parameter) break;
    }
    return f;
  }

  /// `bad_parameter` if a range is not finite and positive, a grid is not a power of two between 2^-400 and 2^400, a
  /// range is more than 2^51 multiples of its grid, or `clients` times that could be more than 63 bits hold.
  constexpr errc status() const noexcept {
    return clients > 0 && fits(largest, grid) && fits(largest_weight, weight_grid) ? errc::ok : errc::bad_parameter;
  }

  /// The multiple of the weight grid next to a weight, the even one of two: what a weight such as 1 / sqrt(2) must be
  /// rounded to before it is used.
  constexpr double rounded(double weight) const noexcept {
    const double v = weight / weight_grid;
    if (!(v < 0x1p+52 && v > -0x1p+52)) return weight;
    auto whole = static_cast<std::int64_t>(v);
    const double rest = v - static_cast<double>(whole), away = rest < 0 ? -rest : rest;
    if (away > 0.5 || (away == 0.5 && (whole & 1) != 0)) whole += rest < 0 ? -1 : 1;
    return static_cast<double>(whole) * weight_grid;
  }

  friend constexpr bool operator==(const fixed_point&, const fixed_point&) = default;

  /// Multiples of the grid that a client adds at most.
  static constexpr std::int64_t steps(double range, double grid) noexcept {
    const double v = range / grid;
    const auto whole = static_cast<std::int64_t>(v);
    return whole + (static_cast<double>(whole) < v ? 1 : 0);
  }
  static constexpr double most_steps = 0x1p+51;

private:
  static constexpr int least_exponent = 400;

  constexpr bool fits(double range, double unit) const noexcept {
    if (!is_finite(range) || !is_finite(unit) || !(range > 0) || !(unit > 0)) return false;
    const int e = detail::exponent_of(unit);
    if (e < -least_exponent || e > least_exponent || unit != detail::power_of_two(e)) return false;
    if (!(range / unit <= most_steps)) return false;
    return clients <= static_cast<std::uint64_t>(INT64_MAX) / static_cast<std::uint64_t>(steps(range, unit));
  }
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// Sums of integers. A client is added and looked at in one read; if it cannot be used, the same integers are
/// subtracted again, which leaves no trace.
template <class Void>
class fixed_sums {
public:
  static constexpr const char* kind = "fixed_point_accumulator";
  static constexpr unsigned version = 1;
  static constexpr bool takes_back = true;
  static constexpr bool notes = false;
  using settings = fixed_point;
  using divisor = scaled_double;

  struct kind_of_term {
    double factor = 0; ///< weight over the grid
    double limit = 0;
  };
  struct term {
    kind_of_term floating, integer;
    std::int64_t weight = 0; ///< multiples of the weight grid
    const kind_of_term& of(dtype type) const noexcept { return is_integer(type) ? integer : floating; }
  };

  fixed_sums() = default;
  explicit fixed_sums(const fixed_point& how) noexcept : how_(how) {}

  const fixed_point& how() const noexcept { return how_; }
  errc status() const noexcept { return how_.status(); }
  void resize(std::size_t size) { sums_.assign(size, 0); }
  void clear() noexcept {
    for (std::int64_t& x : sums_) x = 0;
    weight_ = 0;
  }

  errc weigh(double weight, term& t) const noexcept {
    if (status() != errc::ok) return status();
    if (!(weight <= how_.largest_weight)) return errc::value_range;
    const double steps = weight / how_.weight_grid;
    t.weight = static_cast<std::int64_t>(steps);
    if (static_cast<double>(t.weight) != steps) return errc::value_range;
    t.floating = {weight / how_.grid, how_.largest / how_.grid};
    t.integer = {steps, static_cast<double>(integer_limit())};
    return errc::ok;
  }
  errc enter(const term& t, std::uint64_t clients) noexcept {
    if (clients > how_.clients) return errc::value_range;
    weight_ += t.weight;
    return errc::ok;
  }
  void leave(const term& t) noexcept { weight_ -= t.weight; }

  errc look(const term&, const any_tensor&, std::size_t, std::size_t) const noexcept { return errc::ok; }

  errc add(const term& t, const any_tensor& view, std::size_t begin, std::size_t end, std::size_t first) noexcept {
    bool beyond = false;
    const bool exact = each<false>(t, view, begin, end, first, beyond);
    if (beyond && look_for_non_finite(view, begin, end) == errc::non_finite) return errc::non_finite;
    return !exact ? errc::integer_range : beyond ? errc::value_range : errc::ok;
  }
  void take_back(const term& t, const any_tensor& view, std::size_t begin, std::size_t end,
                 std::size_t first) noexcept {
    bool beyond = false;
    each<true>(t, view, begin, end, first, beyond);
  }

  errc join(const fixed_sums& other, std::uint64_t clients) noexcept {
    if (!(how_ == other.how_)) return errc::state_mismatch;
    if (clients > how_.clients) return errc::value_range;
    weight_ += other.weight_;
    return errc::ok;
  }
  void merge(const fixed_sums& other, std::size_t first, std::size_t count) noexcept {
    for (std::size_t i = first; i < first + count; ++i) sums_[i] += other.sums_[i];
  }

  double weight() const noexcept { return static_cast<double>(weight_) * how_.weight_grid; }
  divisor total() const noexcept { return {static_cast<double>(weight_), detail::exponent_of(how_.weight_grid)}; }
  static divisor given(double by) noexcept { return scaled(by); }
  void means(bool integer, std::size_t first, std::size_t count, divisor by, double* out) const noexcept {
    const int e = detail::exponent_of(integer ? how_.weight_grid : how_.grid);
    for (std::size_t i = 0; i < count; ++i) out[i] = quotient({static_cast<double>(sums_[first + i]), e}, by);
  }

  template <class Archive>
  errc archive(Archive& a, const sum_places& places, std::uint64_t clients, bool fresh) {
    fixed_point how = how_;
    if (const errc rc = a.value("largest", how.largest); rc != errc::ok) return rc;
    if (const errc rc = a.value("grid", how.grid); rc != errc::ok) return rc;
    if (const errc rc = a.value("largest_weight", how.largest_weight); rc != errc::ok) return rc;
    if (const errc rc = a.value("weight_grid", how.weight_grid); rc != errc::ok) return rc;
    if (const errc rc = a.value("most_clients", how.clients); rc != errc::ok) return rc;
    if (const errc rc = a.value("weight", weight_); rc != errc::ok) return rc;
    if (a.loading()) {
      if (how.status() != errc::ok) return errc::file_format;
      if (!fresh && !(how == how_)) return errc::state_mismatch;
      how_ = how;
    }
    if (const errc rc = archive_sums(a, "sums", places, 1, 1, sums_); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    // More than the clients can have added could overflow before the declared number of them is in.
    if (clients > how_.clients || weight_ < 0 || weight_ > total_of(clients, weight_steps())) return errc::file_format;
    for (std::size_t k = 0; k < places.layout().size(); ++k) {
      if (places.kept(k)) continue;
      const std::int64_t most = total_of(
          clients, is_integer(places.layout().type(k)) ? integer_limit() : fixed_point::steps(how_.largest, how_.grid));
      for (std::size_t i = 0; i < places.layout().elements(k); ++i)
        if (sums_[places.first(k) + i] > most || sums_[places.first(k) + i] < -most) return errc::file_format;
    }
    return errc::ok;
  }

private:
  template <bool TakeBack>
  bool each(const term& t, const any_tensor& view, std::size_t begin, std::size_t end, std::size_t first,
            bool& beyond) noexcept {
    const kind_of_term& own = t.of(view.type());
    return for_each_part(view, begin, end, [&](const auto* x, std::size_t count, std::size_t at) {
      auto* sums = reinterpret_cast<std::uint64_t*>(sums_.data()) + first + (at - begin);
      const bool found = on_active_isa([&](auto tag) {
        return fixed_kernel<decltype(tag)>::template absorb<TakeBack>(x, own.factor, own.limit, count, sums);
      });
      beyond = beyond || found;
    });
  }

  /// Multiples of the weight grid that an integer tensor's w x may be: as many as fit.
  std::int64_t integer_limit() const noexcept {
    const auto each = static_cast<std::uint64_t>(INT64_MAX) / how_.clients;
    constexpr auto most = static_cast<std::uint64_t>(fixed_point::most_steps);
    return static_cast<std::int64_t>(each < most ? each : most);
  }
  std::int64_t weight_steps() const noexcept { return fixed_point::steps(how_.largest_weight, how_.weight_grid); }
  static std::int64_t total_of(std::uint64_t clients, std::int64_t each) noexcept {
    return static_cast<std::int64_t>(clients) * each;
  }

  fixed_point how_;
  std::vector<std::int64_t> sums_;
  std::int64_t weight_ = 0;
};

} // namespace impl

/// The weighted mean of clients in 64-bit fixed point: the same bits for every order of arrival, number of threads,
/// tree of merges, instruction set and flag of the build. One 64-bit integer per coordinate.
///
/// Each w x is rounded to double (exact for floats and halves where the weight has at most 29 bits) and then to the
/// grid, half to even; from there on the sum is exact. With n clients of total weight W the result is within
/// (n grid / 2 + 2^-53 sum |w x|) / W + 3 2^-53 |mean| of the exact mean, then rounded to the output's type. Weights
/// must be multiples of their grid; integer tensors, which are summed in multiples of that grid, are exact up to the
/// final rounding. A client with a value or a weight outside the declared ranges, or beyond the declared number, gets
/// `value_range`, and nothing of it is added.
using fixed_point_accumulator = basic_accumulator<impl::fixed_sums<void>>;

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_FIXED_POINT_ACCUMULATOR_HPP
