// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GRAM_TILES_HPP
#define FEDAGG_PASSES_GRAM_TILES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <fedagg/core/workspace.hpp>
#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

using detail::segment;

/// The coordinates of one floating-point tensor that take part, cut into tiles.
struct gram_part {
  const segment* from = nullptr;
  std::size_t count = 0;
  std::size_t first_tile = 0;
  std::size_t first_sample = 0;     ///< where its coordinates stand in the sample
  std::size_t first_coordinate = 0; ///< its first coordinate among all
  bool direct = false;              ///< all views are dense in the same order: pointers suffice
};

/// Place of pair (i, k), k <= i, in a lower triangle; with k = 0 the pairs of i rows.
constexpr std::size_t gram_pair(std::size_t i, std::size_t k) noexcept { return i * (i + 1) / 2 + k; }

/// The rows of a Gram matrix in memory, how they are centred and cut into tiles and chunks of tiles.
struct gram_source {
  enum class centring : unsigned char { none, base, last_row, middle_row };

  detail::slice<const gram_part> parts = {};
  const any_tensor* const* views = nullptr; ///< part by part: `order` rows, then the base or null
  std::span<const std::size_t> sample = {}; ///< ascending coordinates; empty for all
  std::size_t order = 0;
  centring centre = centring::none;
  std::size_t tiles = 0;
  std::size_t tiles_per_chunk = 0;
  std::size_t chunks = 0;

  /// Coordinates of a tile: 4 KiB of each row, so that a register block's rows fit the first-level cache and memory is
  /// read in long pieces; half of that of many rows of floats, for the second one. Of order and type alone.
  std::size_t block(dtype type = dtype::f32) const noexcept { return order <= 128 && type != dtype::f64 ? 1024 : 512; }
  const any_tensor& view(std::size_t part, std::size_t row) const noexcept { return *views[part * (order + 1) + row]; }

  /// A chunk is a task and has a triangle of its own: at most so many, of at least so many coordinates. By the shape of
  /// the problem alone.
  void cut() noexcept {
    constexpr std::size_t most_chunks = 256, least_chunks = 16, triangles = std::size_t{1} << 22, coordinates = 16384;
    std::size_t most = triangles / (gram_pair(order, 0) + 1);
    most = most < least_chunks ? least_chunks : most > most_chunks ? most_chunks : most;
    tiles_per_chunk = coordinates / block();
    if (tiles / most >= tiles_per_chunk) tiles_per_chunk = tiles / most + 1;
    chunks = (tiles + tiles_per_chunk - 1) / tiles_per_chunk;
  }

  /// The last part whose first tile is not beyond the tile.
  std::size_t part_of(std::size_t tile) const noexcept {
    std::size_t low = 0, high = parts.size();
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      (parts[middle].first_tile <= tile ? low : high) = middle;
    }
    return low;
  }
};

/// Tiles of rows: where they lie if they can be used as they are, else in one task's memory. Differences from a centre
/// of floats are rounded to float, so that their products are exact in double: 2^-24 of a difference is all that a
/// squared distance can lose.
template <class Void = void>
class gram_tiles {
public:
  static std::size_t bytes(const gram_source& s) noexcept {
    return s.order * pitch(s, sizeof(double)) + 5 * s.block() * sizeof(double) +
           (3 * s.order + most_made_up) * sizeof(double);
  }

  /// `memory` is aligned to 64 bytes.
  gram_tiles(const gram_source& source, std::byte* memory) noexcept : s_(source), own_(memory) {
    const std::size_t block = s_.block();
    doubles_ = reinterpret_cast<double*>(own_ + s_.order * pitch(s_, sizeof(double)));
    row_ = doubles_ + block;
    packed_centre_ = reinterpret_cast<std::byte*>(row_ + block);
    packed_row_ = packed_centre_ + block * sizeof(double);
    floats_ = reinterpret_cast<float*>(packed_row_ + block * sizeof(double));
    norms_ = reinterpret_cast<double*>(floats_ + 2 * block);
    ahead_ = reinterpret_cast<const std::byte**>(norms_ + s_.order);
    rows_ = reinterpret_cast<const void**>(ahead_ + s_.order);
  }

  /// Where models have no origin, any row near the others makes their differences small: that of the lower middle norm
  /// over a few coordinates, so that a minority of rows far away is not chosen. A row chosen badly costs time only.
  void choose_middle(std::size_t part, std::size_t at, std::size_t count) noexcept {
    if (count > 64) count = 64;
    std::size_t finite = 0;
    for (std::size_t k = 0; k < s_.order; ++k) {
      row_partial seen;
      to_doubles(type_of(part), fetch(part, s_.view(part, k), at, count, packed_row_), count, row_);
      square_kernel<on_baseline>::squares<false>(static_cast<const double*>(row_), static_cast<const double*>(nullptr),
                                                 count, seen);
      norms_[k] = is_finite(seen.square) ? seen.square : -1;
      finite += is_finite(seen.square);
    }
    middle_ = s_.order;
    for (std::size_t k = 0; k < s_.order && middle_ == s_.order; ++k) {
      if (norms_[k] < 0) continue;
      std::size_t before = 0;
      for (std::size_t i = 0; i < s_.order; ++i)
        before += norms_[i] >= 0 && (norms_[i] < norms_[k] || (norms_[i] == norms_[k] && i < k));
      if (before == (finite - 1) / 2) middle_ = k;
    }
  }

  /// Centres the next tile; false if the base is not finite there.
  bool centre(std::size_t part, std::size_t at, std::size_t count) noexcept {
    singles_ = nullptr;
    centre_ = nullptr;
    const std::size_t row = s_.centre == gram_source::centring::middle_row ? middle_ : s_.order - 1;
    if (s_.centre == gram_source::centring::none) return true;
    const bool origin = s_.centre == gram_source::centring::base;
    if (!origin && row >= s_.order) return true;
    const any_tensor& view = origin ? s_.view(part, s_.order) : s_.view(part, row);
    const void* x = fetch(part, view, at, count, packed_centre_);
    if (type_of(part) == dtype::f64) {
      const auto* c = static_cast<const double*>(x);
      // A row may leave no other row without finite squares, so one beyond 2^400 is no centre.
      if (origin ? !scan_kernel<on_baseline>::non_finite(c, count) : !gram_kernel<on_baseline>::far(c, count))
        centre_ = c;
      return centre_ || !origin;
    }
    if (type_of(part) == dtype::f32) {
      singles_ = static_cast<const float*>(x);
    } else {
      widen_halves<Void>(type_of(part), x, count, floats_);
      singles_ = floats_;
    }
    if (!gram_kernel<on_baseline>::far(singles_, count)) return true;
    // Differences from it could overflow a float.
    const bool finite = !scan_kernel<on_baseline>::non_finite(singles_, count);
    if (origin && finite) {
      to_doubles(dtype::f32, singles_, count, doubles_);
      centre_ = doubles_;
    }
    singles_ = nullptr;
    return finite || !origin;
  }

  /// The tile's rows, all or those that are `wanted` because their differences are.
  gram_tile load(std::size_t part, std::size_t at, std::size_t count, const unsigned char* wanted) noexcept {
    const gram_part& p = s_.parts[part];
    const dtype type = type_of(part);
    const std::size_t size = size_of(type), next = at + s_.block(type);
    const bool exact = !wanted && singles(part);
    const std::size_t pitch = gram_tiles::pitch(s_, exact ? calls_.float_size : sizeof(double));
    gram_tile t;
    t.ahead_bytes = s_.block(type) * size;
    const void* any = nullptr;
    for (std::size_t k = 0; k < s_.order; ++k) {
      if (wanted && !wanted[k]) continue;
      const any_tensor& view = s_.view(part, k);
      rows_[k] = any = stage(type, exact, fetch(part, view, at, count, packed_row_), count, own_ + k * pitch);
      if (next < p.count && s_.sample.empty() && (p.direct || view.contiguous())) {
        // What is asked for in one go lies in one page; what is before it was asked for with the tile before.
        const auto* ahead = static_cast<const std::byte*>(view.data()) + next * size;
        ahead_[t.ahead_rows++] = ahead + (0 - reinterpret_cast<std::uintptr_t>(ahead)) % t.ahead_bytes;
      }
    }
    // Others in the place of rows that are not there: what comes of them is not used.
    for (std::size_t k = 0; k < s_.order + most_made_up; ++k)
      if (k >= s_.order || (wanted && !wanted[k])) rows_[k] = any;
    t.rows = rows_;
    t.order = s_.order;
    t.count = (count + gram_lanes - 1) / gram_lanes * gram_lanes;
    t.ahead = ahead_;
    return t;
  }

  /// How the tile's rows are to be summed.
  const gram_blocks& products(std::size_t part) const noexcept {
    return calls_.blocks[static_cast<int>(singles(part) ? gram_kind::exact : gram_kind::rounded)];
  }
  const gram_blocks& differences() const noexcept { return calls_.blocks[static_cast<int>(gram_kind::differences)]; }

  /// True if a row's part of the tile holds NaN or Inf.
  bool non_finite(std::size_t part, std::size_t row, std::size_t at, std::size_t count) const noexcept {
    return scan_kernel<on_baseline>::non_finite(type_of(part), fetch(part, s_.view(part, row), at, count, packed_row_),
                                                count);
  }

private:
  /// Rows behind the last one: fewer than a register block's.
  static constexpr std::size_t most_made_up = gram_panel - 1;

  /// Bytes from row to row: a line more than a power of two, or all rows would share a few places of the cache.
  static std::size_t pitch(const gram_source& s, std::size_t size) noexcept { return s.block() * size + 64; }

  dtype type_of(std::size_t part) const noexcept { return s_.parts[part].from->type; }

  /// True if the tile's rows are floats, or doubles whose products are as exact.
  bool singles(std::size_t part) const noexcept { return type_of(part) != dtype::f64 && !centre_; }

  /// For few elements.
  void to_doubles(dtype type, const void* x, std::size_t count, double* to) const noexcept {
    if (type == dtype::f64) return static_cast<void>(std::memcpy(to, x, count * sizeof(double)));
    if (type != dtype::f32) widen_halves<Void>(type, x, count, floats_ + s_.block());
    const void* from = type == dtype::f32 ? x : floats_ + s_.block();
    for (std::size_t j = 0; j < count; ++j) {
      float single;
      std::memcpy(&single, static_cast<const std::byte*>(from) + j * sizeof single, sizeof single);
      to[j] = static_cast<double>(single);
    }
  }

  /// The elements where they lie, or packed into `to`.
  const void* fetch(std::size_t part, const any_tensor& view, std::size_t at, std::size_t count,
                    std::byte* to) const noexcept {
    const gram_part& p = s_.parts[part];
    const std::size_t size = size_of(view.type());
    const auto* data = static_cast<const std::byte*>(view.data());
    if (s_.sample.empty()) {
      if (p.direct || view.contiguous()) return data + at * size;
      gather(view, at, count, to);
      return to;
    }
    for (std::size_t j = 0; j < count; ++j) {
      const std::size_t index = s_.sample[p.first_sample + at + j] - p.first_coordinate;
      if (view.contiguous())
        std::memcpy(to + j * size, data + index * size, size);
      else
        gather(view, index, 1, to + j * size);
    }
    return to;
  }

  /// The row as it is if it can be used so, else what is made of it in `own`: floats for exact products, or doubles.
  const void* stage(dtype type, bool exact, const void* x, std::size_t count, std::byte* own) const noexcept {
    const bool alone = !centre_ && !singles_ && x != packed_row_ && count % gram_lanes == 0;
    // Of vectors of doubles each would lie in two lines, which is felt where a row is read many times.
    const bool even = s_.order <= 64 || reinterpret_cast<std::uintptr_t>(x) % 64 == 0;
    if (alone && (type == dtype::f64 ? even : type == dtype::f32 && exact && calls_.float_size == sizeof(float)))
      return x;
    if (type == dtype::f64 || centre_) {
      if (type != dtype::f64) to_doubles(type, x, count, row_);
      calls_.doubles(type == dtype::f64 ? static_cast<const double*>(x) : row_, centre_, count, own);
      return own;
    }
    if (type != dtype::f32) widen_halves<Void>(type, x, count, floats_ + s_.block());
    const auto* floats = type == dtype::f32 ? static_cast<const float*>(x) : floats_ + s_.block();
    (exact ? calls_.floats : calls_.widened)(floats, singles_, count, own);
    return own;
  }

  const gram_source& s_;
  const gram_calls& calls_ =
      on_active_isa([](auto tag) -> const gram_calls& { return gram_kernel<decltype(tag)>::template calls<Void>(); });
  std::byte* own_;
  double* doubles_; // a centre of floats whose differences do not fit a float
  double* row_;     // and a row
  std::byte* packed_centre_;
  std::byte* packed_row_;
  float* floats_; // halves as floats: the centre, then a row
  double* norms_;
  const std::byte** ahead_;
  const void** rows_;
  const float* singles_ = nullptr; // the centre of this tile, one or none of the two
  const double* centre_ = nullptr;
  std::size_t middle_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GRAM_TILES_HPP
