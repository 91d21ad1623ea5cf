// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_BINNED_ACCUMULATOR_HPP
#define FEDAGG_PASSES_BINNED_ACCUMULATOR_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include <fedagg/kernels/binned.hpp>
#include <fedagg/passes/accumulator/basic.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

/// Binned sums: three words of 64 bits and a level per coordinate.
template <class Void>
class binned_sums {
public:
  static constexpr const char* kind = "binned_accumulator";
  static constexpr unsigned version = 1;
  static constexpr bool takes_back = false; // digits that a hostile value pushes out do not come back
  static constexpr bool notes = false;
  struct settings {};
  using term = double;
  using divisor = scaled_double;

  binned_sums() = default;
  explicit binned_sums(settings) noexcept {}

  settings how() const noexcept { return {}; }
  errc status() const noexcept { return errc::ok; }
  void resize(std::size_t size) {
    words_.assign(bin_words * size, 0);
    levels_.assign(size, 0);
  }
  void clear() noexcept {
    for (std::int64_t& x : words_) x = 0;
    for (std::uint8_t& x : levels_) x = 0;
    weight_ = {};
  }

  errc weigh(double weight, term& t) const noexcept {
    t = weight;
    return errc::ok;
  }
  errc enter(term t, std::uint64_t clients) noexcept {
    if (clients > bin_terms) return errc::value_range;
    weight_.add(t);
    return errc::ok;
  }

  errc look(term t, const any_tensor& view, std::size_t begin, std::size_t end) const noexcept {
    const errc rc = look_for_non_finite(view, begin, end);
    const bool small = t <= 1 || (view.type() != dtype::f64 && t < 0x1p+800);
    if (rc != errc::ok || small) return rc;
    bool beyond = false;
    for_each_part(view, begin, end, [&](const auto* x, std::size_t count, std::size_t) {
      beyond = beyond || on_active_isa([&](auto tag) {
                 return fixed_kernel<decltype(tag)>::beyond(x, t, 0x1.fffffffffffffp+1023, count);
               });
    });
    return beyond ? errc::value_range : errc::ok;
  }

  errc add(term t, const any_tensor& view, std::size_t begin, std::size_t end, std::size_t first) noexcept {
    for_each_part(view, begin, end, [&](const auto* x, std::size_t count, std::size_t at) {
      const std::size_t to = first + (at - begin);
      on_active_isa([&](auto tag) {
        binned_kernel<decltype(tag)>::absorb(x, t, count, words_.data() + bin_words * to, levels_.data() + to);
      });
    });
    return errc::ok;
  }

  errc join(const binned_sums& other, std::uint64_t clients) noexcept {
    if (clients > bin_terms) return errc::value_range;
    weight_.add(other.weight_);
    return errc::ok;
  }
  void merge(const binned_sums& other, std::size_t first, std::size_t count) noexcept {
    for (std::size_t at = first; at < first + count; at += block) {
      if (std::memcmp(&levels_[at], &other.levels_[at], block) == 0) {
        for (std::size_t k = bin_words * at; k < bin_words * (at + block); ++k) words_[k] += other.words_[k];
        continue;
      }
      for (std::size_t i = at; i < at + block; ++i) {
        binned_sum sum = get(i);
        sum.add(other.get(i));
        for (std::size_t k = 0; k < bin_words; ++k) words_[place(i, k)] = sum.word[k];
        levels_[i] = static_cast<std::uint8_t>(sum.level);
      }
    }
  }

  double weight() const noexcept { return quotient(weight_.value(), {1, 0}); }
  divisor total() const noexcept { return weight_.value(); }
  static divisor given(double by) noexcept { return scaled(by); }
  void means(bool, std::size_t first, std::size_t count, divisor by, double* out) const noexcept {
    for (std::size_t i = 0; i < count; ++i) out[i] = quotient(get(first + i).value(), by);
  }

  template <class Archive>
  errc archive(Archive& a, const sum_places& places, std::uint64_t clients, bool) {
    std::uint64_t weight_level = weight_.level;
    if (const errc rc = a.value("weight.0", weight_.word[0]); rc != errc::ok) return rc;
    if (const errc rc = a.value("weight.1", weight_.word[1]); rc != errc::ok) return rc;
    if (const errc rc = a.value("weight.2", weight_.word[2]); rc != errc::ok) return rc;
    if (const errc rc = a.value("weight_level", weight_level); rc != errc::ok) return rc;
    if (const errc rc = archive_sums(a, "words", places, bin_words, block, words_); rc != errc::ok) return rc;
    if (const errc rc = archive_sums(a, "levels", places, 1, block, levels_); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    if (clients > bin_terms || weight_level > bin_top) return errc::file_format;
    weight_.level = static_cast<unsigned>(weight_level);
    // More than the clients can have added could overflow before all that may come are in.
    const std::int64_t most = static_cast<std::int64_t>(clients) << (bin_bits - 1);
    for (const std::int64_t w : weight_.word)
      if (w > most || w < -most) return errc::file_format;
    if (weight_.value().value < 0) return errc::file_format;
    for (const std::int64_t w : words_)
      if (w > most || w < -most) return errc::file_format;
    for (const std::uint8_t level : levels_)
      if (level > bin_top) return errc::file_format;
    return errc::ok;
  }

private:
  static constexpr std::size_t block = 8; // as the kernel lays them out

  static std::size_t place(std::size_t i, std::size_t word) noexcept {
    return bin_words * (i - i % block) + word * block + i % block;
  }
  binned_sum get(std::size_t i) const noexcept {
    return {{words_[place(i, 0)], words_[place(i, 1)], words_[place(i, 2)]}, levels_[i]};
  }

  std::vector<std::int64_t> words_;
  std::vector<std::uint8_t> levels_;
  binned_sum weight_;
};

} // namespace impl

/// The weighted mean of clients of any finite values: the same bits for every order of arrival, number of threads, tree
/// of merges, instruction set and flag of the build, and no range to declare (after Ahrens, Demmel and Nguyen 2020,
/// doi:10.1145/3389360). 25 bytes per coordinate, three times the plain mean's.
///
/// Each w x is rounded to double (exact for floats and halves where the weight has at most 29 bits) and then to a
/// multiple of less than 2^-79 times the largest |w x| of its coordinate; from there on the sum is exact. The weights
/// are summed in the same way. With n clients of total weight W the result is within (n 2^-80 max |w x| + 2^-53 sum |w
/// x|) / W + 4 2^-53 |mean| of the exact mean, then rounded to the output's type. A client whose w x overflows a double
/// gets `value_range`, and nothing of it is added; so does one beyond 2^24 - 1.
using binned_accumulator = basic_accumulator<impl::binned_sums<void>>;

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_BINNED_ACCUMULATOR_HPP
