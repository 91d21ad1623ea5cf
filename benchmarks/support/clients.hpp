// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_SUPPORT_CLIENTS_HPP
#define FEDAGG_BENCHMARKS_SUPPORT_CLIENTS_HPP

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <type_traits>
#include <vector>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/element.hpp>

namespace bench {

struct freed {
  void operator()(void* block) const noexcept { std::free(block); }
};

/// Memory of its own for each client, as a trainer has it: aligned to a cache line, then moved by `offset` bytes.
template <class T>
class row {
public:
  row(std::size_t size, std::size_t offset)
      : block_(std::aligned_alloc(64, (size * sizeof(T) + offset + 127) / 64 * 64)), offset_(offset), size_(size) {
    if (!block_) throw std::bad_alloc();
  }
  T* data() const noexcept { return reinterpret_cast<T*>(static_cast<std::byte*>(block_.get()) + offset_); }
  std::span<T> values() const noexcept { return {data(), size_}; }

private:
  std::unique_ptr<void, freed> block_;
  std::size_t offset_;
  std::size_t size_;
};

/// Standard normals; drawn once, then each row starts elsewhere in them, so that filling costs one copy.
template <class T>
const std::vector<T>& normals() {
  static const std::vector<T> pool = [] {
    std::mt19937_64 engine(20260101);
    std::normal_distribution<double> normal;
    std::vector<T> values(std::size_t{1} << 21);
    for (T& x : values) {
      if constexpr (std::is_same_v<T, fedagg::float16>)
        x = fedagg::to_float16(normal(engine));
      else if constexpr (std::is_same_v<T, fedagg::bfloat16>)
        x = fedagg::to_bfloat16(normal(engine));
      else
        x = static_cast<T>(normal(engine));
    }
    return values;
  }();
  return pool;
}

/// n clients of d random normals with sample counts for weights, the cohort over them, and an output; all touched.
template <class T>
class clients {
public:
  clients(std::size_t n, std::size_t d, std::size_t offset = 0) : d_(d), out_(d, offset) {
    const auto& pool = normals<T>();
    for (std::size_t i = 0; i < n; ++i) {
      rows_.emplace_back(d, offset);
      pointers_.push_back(rows_.back().data());
      std::size_t from = i * 7919 * 131 % pool.size();
      for (std::size_t at = 0; at < d;) {
        const std::size_t left = pool.size() - from, count = d - at < left ? d - at : left;
        std::memcpy(rows_.back().data() + at, pool.data() + from, count * sizeof(T));
        at += count;
        // A shift that is odd in the pool's length: no two rows run in step for more than one copy.
        from = (from + count + i * 2 + 1) % pool.size();
      }
      cohort_.add(std::span<const T>(rows_.back().values()), {.weight = static_cast<double>(100 + 37 * i % 101)});
    }
    std::memset(static_cast<void*>(out_.data()), 0, d * sizeof(T));
  }

  std::size_t size() const noexcept { return rows_.size(); }
  std::size_t dimension() const noexcept { return d_; }
  const fedagg::cohort& cohort() const noexcept { return cohort_; }
  std::span<T> out() const noexcept { return out_.values(); }
  const T* const* rows() const noexcept { return pointers_.data(); }
  double input_bytes() const noexcept { return static_cast<double>(size() * d_ * sizeof(T)); }
  double output_bytes() const noexcept { return static_cast<double>(d_ * sizeof(T)); }

private:
  std::size_t d_;
  std::vector<row<T>> rows_;
  std::vector<const T*> pointers_;
  row<T> out_;
  fedagg::cohort cohort_;
};

} // namespace bench

#endif // FEDAGG_BENCHMARKS_SUPPORT_CLIENTS_HPP
