// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_GRAM_PASS_HPP
#define FEDAGG_PASSES_GRAM_PASS_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/options.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/coordinate_pass.hpp>
#include <fedagg/passes/gram/table.hpp>
#include <fedagg/passes/gram_tiles.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Pass gram over clients that are admitted and laid out (`lay_out`): every squared distance to 1e-5 of itself whatever
/// any row holds. Products are summed over tiles in index order and chunks of them are merged by index, so the bits
/// depend on neither instruction set, nor threads, nor grain. O(n^2 d), one read; a second one, by difference, of the
/// rows whose distance is below 2^-8 of their squared norms. A template so that a program that never runs it does not
/// compile its kernels.
template <class Void = void>
class gram_pass {
public:
  gram_pass(const cohort& clients, detail::slice<const basic_named_tensor<void>> out, const options& how,
            const gram_query& query, round_buffers& b, gram_table& table)
      : clients_(clients), out_(out), how_(how), query_(query), b_(b), t_(table) {}

  /// Marks clients whose values are at fault in `fault_place`; the table is then about the others.
  findings run() {
    findings f;
    const fp_guard guard;
    t_.passes_ = 0;
    f.code = plan(f);
    if (f.code == errc::ok) f.code = sweep(false);
    if (bad_own_ != none) f.code = static_cast<errc>(bad_own_ % fault_reasons), f.tensor = bad_own_ / fault_reasons;
    if (f.code != errc::ok) return f;
    keep_sound();
    f.bad_client = t_.clients_.size() < n_;
    fill();
    if (any_close_ && (f.code = sweep(true)) == errc::ok) fill_close();
    return f;
  }

private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  errc match_trusted(findings& f) {
    t_.trusted_.clear();
    if (!query_.trusted) return errc::ok;
    const auto entries = query_.trusted->entries();
    std::size_t i = 0;
    for (const segment& s : b_.segments.each()) {
      f.tensor = s.tensor;
      while (i < entries.size() && !how_.where.contains(entries[i].name)) ++i;
      if (i == entries.size()) return errc::layout_mismatch;
      const named_tensor& e = entries[i++];
      const any_tensor want(out_[s.tensor].tensor);
      if (e.name != out_[s.tensor].name || e.tensor.type() != want.type() || !same_shape(e.tensor, want))
        return errc::layout_mismatch;
      if (e.tensor.status() != errc::ok) return e.tensor.status();
      t_.trusted_.push_back(&e.tensor);
    }
    while (i < entries.size() && !how_.where.contains(entries[i].name)) ++i;
    if (i < entries.size()) return errc::layout_mismatch;
    f.tensor = none;
    return errc::ok;
  }

  errc plan(findings& f) {
    if (const errc rc = match_trusted(f); rc != errc::ok) return rc;
    n_ = b_.present.size();
    source_.order = n_ + (query_.trusted ? 1 : 0);
    source_.sample = query_.sample;
    using centring = gram_source::centring;
    source_.centre = clients_.has_base()     ? centring::base
                     : clients_.has_origin() ? centring::none
                     : query_.trusted        ? centring::last_row
                                             : centring::middle_row;
    t_.parts_.clear();
    t_.views_.clear();
    std::size_t sampled = 0, coordinate = 0;
    const std::span<const std::size_t> sample = query_.sample;
    for (const segment& s : b_.segments.each()) {
      if (s.position < query_.first_tensor || s.position >= query_.last_tensor || !is_floating(s.type)) continue;
      gram_part p{&s, s.size, source_.tiles, sampled, coordinate, s.direct};
      coordinate += s.size;
      if (!sample.empty()) {
        while (sampled < sample.size() && sample[sampled] < coordinate) ++sampled;
        p.count = sampled - p.first_sample;
      }
      if (p.count == 0) continue;
      source_.tiles += (p.count - 1) / source_.block(s.type) + 1;
      const any_tensor* const* row = b_.views.data() + s.position * n_;
      t_.views_.append(row, n_);
      if (query_.trusted) {
        t_.views_.push_back(t_.trusted_[s.position]);
        p.direct = p.direct && same_order(*t_.trusted_[s.position], any_tensor(out_[s.tensor].tensor));
      }
      t_.views_.push_back(b_.base_views[s.position]);
      t_.parts_.push_back(p);
    }
    for (std::size_t i = 1; i < sample.size(); ++i)
      if (sample[i] <= sample[i - 1]) return errc::bad_parameter;
    if (sampled < sample.size()) return errc::bad_parameter;
    source_.parts = t_.parts_;
    source_.views = t_.views_.data();
    source_.cut();
    reserve();
    return errc::ok;
  }

  void reserve() {
    const std::size_t chunks = source_.chunks, threads = how_.executor.concurrency();
    pairs_ = gram_pair(source_.order, 0);
    rows_bytes_ = gram_tiles<Void>::bytes(source_);
    // Flags of rows and of register blocks, whose side is three at least.
    slot_bytes_ = (rows_bytes_ + source_.order + gram_pair(source_.order / 3 + 1, 0) + 63) / 64 * 64;
    b_.slots.assign(threads < chunks ? threads : chunks, 0);
    b_.scratch.resize_for_overwrite(b_.slots.size() * slot_bytes_ + 64);
  }

  /// Adds up all chunks' triangles: of products, or of differences where `close_` asks for them.
  errc sweep(bool close) {
    by_difference_ = close;
    done_ = 0;
    t_.partial_.assign(source_.chunks * pairs_, 0.0);
    how_.executor(source_.chunks,
                  task(this, [](void* self, std::size_t i) noexcept { static_cast<gram_pass*>(self)->chunk(i); }));
    if (done_ != detail::all_tickets(source_.chunks)) return errc::executor_failed;
    ++t_.passes_;
    merge();
    return errc::ok;
  }

  void chunk(std::size_t index) noexcept {
    const fp_guard guard;
    if (index < source_.chunks) {
      std::size_t slot = 0;
      while (!detail::try_take(b_.slots[slot])) slot = slot + 1 < b_.slots.size() ? slot + 1 : 0;
      std::byte* memory = b_.scratch.data() + slot * slot_bytes_;
      memory += (64 - reinterpret_cast<std::uintptr_t>(memory) % 64) % 64;
      add_chunk(index, memory);
      detail::give_back(b_.slots[slot]);
    }
    detail::fetch_add(done_, detail::ticket(index));
  }

  void add_chunk(std::size_t index, std::byte* memory) noexcept {
    gram_tiles<Void> tiles(source_, memory);
    auto* rows = reinterpret_cast<unsigned char*>(memory + rows_bytes_);
    auto* blocks = rows + source_.order;
    if (by_difference_) mark_blocks(tiles.differences().panel, rows, blocks);
    double* into = t_.partial_.data() + index * pairs_;
    const std::size_t begin = index * source_.tiles_per_chunk;
    const std::size_t left = source_.tiles - begin;
    const std::size_t end = begin + (left < source_.tiles_per_chunk ? left : source_.tiles_per_chunk);
    std::size_t part = source_.part_of(begin);
    for (std::size_t tile = begin; tile < end; ++tile) {
      if (part + 1 < t_.parts_.size() && t_.parts_[part + 1].first_tile == tile) ++part;
      const gram_part& p = t_.parts_[part];
      const std::size_t block = source_.block(p.from->type), from = (tile - p.first_tile) * block;
      const std::size_t count = p.count - from < block ? p.count - from : block;
      if (by_difference_) {
        gram_tile t = tiles.load(part, from, count, rows);
        t.wanted = blocks;
        add_tile(tiles.differences(), t, into);
        continue;
      }
      if (tile == begin && source_.centre == gram_source::centring::middle_row) tiles.choose_middle(part, from, count);
      if (!tiles.centre(part, from, count)) return blame(n_, p, errc::non_finite);
      add_tile(tiles.products(part), tiles.load(part, from, count, nullptr), into);
      for (std::size_t k = 0; k < source_.order; ++k)
        if (too_large(into[gram_pair(k, k)])) {
          into[gram_pair(k, k)] = 0;
          blame(k, p, tiles.non_finite(part, k, from, count) ? errc::non_finite : errc::client_range);
        }
    }
  }

  /// Register blocks with a pair to be computed, and their rows.
  void mark_blocks(std::size_t panel, unsigned char* rows, unsigned char* blocks) const noexcept {
    const std::size_t order = source_.order, panels = (order + panel - 1) / panel;
    std::memset(rows, 0, order);
    std::memset(blocks, 0, gram_pair(panels, 0));
    for (std::size_t i = 0; i < order; ++i)
      for (std::size_t k = 0; k < i; ++k)
        if (t_.close_[gram_pair(i, k)]) rows[i] = rows[k] = blocks[gram_pair(i / panel, k / panel)] = 1;
  }

  /// A squared norm whose distances could overflow, Inf, or NaN.
  static bool too_large(double g) noexcept {
    return (std::bit_cast<std::uint64_t>(g) & INT64_MAX) >= std::bit_cast<std::uint64_t>(0x1p1021);
  }

  /// The first tensor decides, and with it the reason, whichever thread comes first. Rows from n_ on are the caller's.
  void blame(std::size_t row, const gram_part& p, errc reason) noexcept {
    std::size_t& place = row < n_ ? b_.fault_place[b_.present[row]] : bad_own_;
    detail::lower_to(place, p.from->tensor * fault_reasons + static_cast<std::size_t>(reason));
  }

  void merge() {
    FEDAGG_FP_IN_ORDER
    t_.sums_.assign(pairs_, 0.0);
    for (std::size_t c = 0; c < source_.chunks; ++c) {
      const double* from = t_.partial_.data() + c * pairs_;
      for (std::size_t i = 0; i < pairs_; ++i) t_.sums_[i] = FEDAGG_FP_KEEP(t_.sums_[i] + from[i]);
      // Rows that are not computed by difference hold whatever was there before.
      for (std::size_t k = 0; k < source_.order && !by_difference_; ++k)
        if (too_large(t_.sums_[gram_pair(k, k)])) {
          t_.sums_[gram_pair(k, k)] = 0;
          blame(k, t_.parts_[source_.part_of(c * source_.tiles_per_chunk)], errc::client_range);
        }
    }
  }

  void keep_sound() {
    t_.clients_.clear();
    t_.kept_.clear();
    for (std::size_t k = 0; k < n_; ++k)
      if (b_.fault_place[b_.present[k]] == none) {
        t_.clients_.push_back(b_.present[k]);
        t_.kept_.push_back(k);
      }
    if (query_.trusted) t_.kept_.push_back(n_);
    t_.order_ = t_.kept_.size();
  }

  void fill() {
    FEDAGG_FP_IN_ORDER
    const std::size_t order = t_.order_;
    t_.distances_.assign(order * order, 0.0);
    t_.products_.assign(clients_.has_origin() ? order * order : 0, 0.0);
    t_.square_norms_.assign(clients_.has_origin() ? order : 0, 0.0);
    t_.close_.assign(pairs_, 0);
    any_close_ = false;
    for (std::size_t i = 0; i < order; ++i) {
      const std::size_t row = t_.kept_[i];
      const double square = t_.sums_[gram_pair(row, row)];
      if (clients_.has_origin()) t_.square_norms_[i] = t_.products_[i * order + i] = square;
      for (std::size_t k = 0; k < i; ++k) {
        const std::size_t pair = gram_pair(row, t_.kept_[k]);
        const double product = t_.sums_[pair], both = square + t_.sums_[gram_pair(t_.kept_[k], t_.kept_[k])];
        if (clients_.has_origin()) t_.products_[i * order + k] = t_.products_[k * order + i] = product;
        const double distance = FEDAGG_FP_KEEP(both - 2 * product);
        t_.distances_[i * order + k] = t_.distances_[k * order + i] = distance;
        if (both > 0 && distance < both * 0x1p-8) t_.close_[pair] = any_close_ = true;
      }
    }
  }

  void fill_close() noexcept {
    const std::size_t order = t_.order_;
    for (std::size_t i = 0; i < order; ++i)
      for (std::size_t k = 0; k < i; ++k) {
        const std::size_t pair = gram_pair(t_.kept_[i], t_.kept_[k]);
        if (t_.close_[pair]) t_.distances_[i * order + k] = t_.distances_[k * order + i] = t_.sums_[pair];
      }
  }

  const cohort& clients_;
  detail::slice<const basic_named_tensor<void>> out_;
  const options& how_;
  const gram_query& query_;
  round_buffers& b_;
  gram_table& t_;
  gram_source source_;
  std::size_t n_ = 0, pairs_ = 0, rows_bytes_ = 0, slot_bytes_ = 0, done_ = 0;
  std::size_t bad_own_ = none; ///< of the base or the trusted row, as a place in `fault_place`
  bool by_difference_ = false, any_close_ = false;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_GRAM_PASS_HPP
