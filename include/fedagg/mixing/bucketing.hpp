// SPDX-License-Identifier: MIT
#ifndef FEDAGG_MIXING_BUCKETING_HPP
#define FEDAGG_MIXING_BUCKETING_HPP

#include <cstddef>
#include <cstdint>

#include <fedagg/core/geometry.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The means of random buckets of `size` rows, the last one smaller if they do not divide evenly (Karimireddy, He,
/// Jaggi 2022, arXiv:2006.09365). ceil(n / size) rows are left; f hostile rows spoil up to f of them. The seed must be
/// new in every round and unknown to the clients: who knows it chooses the buckets. No cost in d.
struct bucketing {
  std::int64_t size = unset; ///< rows per bucket
  std::int64_t seed = unset; ///< of this round's random order

  static constexpr const char* name = "bucketing";
  static constexpr geometry_needs needs = geometry_needs::nothing;
  static constexpr auto fields() {
    return field_list{field{"size", &bucketing::size, unset, any_count, "rows per bucket"},
                      field{"seed", &bucketing::seed, unset, any_count, "seed of this round's random order"}};
  }

  errc mix(const geometry& g, arena& memory, affine_map& map) const {
    if (size < 1 || seed < 0) return errc::bad_parameter;
    const std::size_t n = g.rows;
    if (n == 0) return errc::too_few_clients;
    const std::size_t bucket = static_cast<std::uint64_t>(size) < n ? static_cast<std::size_t>(size) : n;
    const std::size_t buckets = (n - 1) / bucket + 1;
    map.start(memory, buckets, n, n);
    map.whole = true;
    const auto order = memory.room<std::size_t>(n), into = memory.room<std::size_t>(n);
    random_stream(static_cast<std::uint64_t>(seed), name).permutation(order);
    for (std::size_t k = 0; k < n; ++k) into[order[k]] = k / bucket;
    // Row by row, each where its bucket's next one belongs: ascending in every bucket.
    const auto sorted = memory.room<std::size_t>(n), next = memory.room<std::size_t>(buckets);
    for (std::size_t b = 0; b < buckets; ++b) next[b] = b * bucket;
    for (std::size_t i = 0; i < n; ++i) sorted[next[into[i]]++] = i;
    for (std::size_t b = 0; b < buckets; ++b) {
      const std::size_t first = b * bucket, count = n - first < bucket ? n - first : bucket;
      const double share = detail::mean_share(count);
      for (const std::size_t i : sorted.subspan(first, count)) map.put(i, share);
      map.end_row(detail::times(static_cast<double>(count), share));
    }
    return errc::ok;
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_MIXING_BUCKETING_HPP
