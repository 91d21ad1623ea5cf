// SPDX-License-Identifier: MIT
#include <fedagg/kernels/parts/mix.hpp>

#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;

namespace {

constexpr std::size_t tile = impl::mix_kernel<impl::on_baseline>::mixed_tile;

/// A map in which client i has share[i] or none.
struct owned_map {
  std::vector<fedagg::map_entry> entries;
  std::vector<std::size_t> ends;
  std::vector<double> divisors;
  fedagg::affine_map map;

  void put(std::size_t i, double share) { entries.push_back({i, share}); }
  void end_row(double divisor) {
    ends.push_back(entries.size());
    divisors.push_back(divisor);
  }
  fedagg::affine_map& of(std::size_t in) {
    map.in = in;
    map.out = map.rows_done = ends.size();
    map.entries = entries;
    map.ends = ends;
    map.divisors = divisors;
    map.entries_done = entries.size();
    return map;
  }
};

/// What a map makes of n rows, by each instruction set in use and by a reference in long double.
template <class T>
struct tile_of_rows {
  std::vector<std::vector<T>> x;
  std::vector<T> base;
  owned_map owned;
  std::vector<double> shares;

  tile_of_rows(std::size_t n, std::size_t count, bool equal, std::mt19937_64& random) : shares(n) {
    for (std::size_t i = 0; i < n; ++i) {
      shares[i] = equal ? 1 : 0.25 + static_cast<double>(i) / 7;
      x.emplace_back(count);
      for (T& v : x[i]) v = static_cast<T>(uniform(random) * power(static_cast<int>(random() % 12)));
    }
    base.resize(count);
    for (T& v : base) v = static_cast<T>(uniform(random));
    for (std::size_t k = 0; k < n + 2; ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i)
        if (k == n || (k != n + 1 && random() % 4 != 0)) {
          owned.put(i, shares[i]);
          sum += shares[i];
        }
      owned.end_row(k % 2 || sum == 0 ? sum + 1 : sum);
    }
  }

  unsigned run(std::size_t begin, std::size_t count, bool with_base, std::vector<T>& out) {
    const fedagg::affine_map& map = owned.of(x.size());
    // A guard behind what the plan needs.
    std::vector<std::uint64_t> memory(impl::mix_plan::bytes(map) / 8 + 2, 0x5a5a5a5a5a5a5a5au);
    impl::mix_plan plan;
    REQUIRE(plan.fill(map, sizeof(T) < 8, memory.data()));
    CHECK(memory.back() == 0x5a5a5a5a5a5a5a5au);
    std::vector<const T*> rows;
    for (const auto& row : x) rows.push_back(row.data());
    out.assign(map.out * tile * 8 / sizeof(T), T(77));
    return impl::on_active_isa([&](auto tag) {
      using kernel = impl::mix_kernel<decltype(tag)>;
      std::vector<double> table(plan.groups * impl::mix_plan::subsets * kernel::subset_lanes + 1, 5);
      const unsigned seen = kernel::mix_subsets(plan, rows.data(), with_base ? base.data() : nullptr, begin, count,
                                                table.data(), out.data());
      CHECK(table.back() == 5);
      return seen;
    });
  }

  /// How many results differ from the reference by more than the roundings of n + 2 sums and products and one of T.
  std::size_t wrong(std::size_t begin, std::size_t count, bool with_base, const std::vector<T>& out) {
    std::size_t bad = 0;
    const fedagg::affine_map& map = owned.of(x.size());
    for (std::size_t k = 0; k < map.out; ++k) {
      const T* row = out.data() + k * tile * 8 / sizeof(T);
      for (std::size_t j = 0; j < count; ++j) {
        long double sum = 0, size = 0, rest = map.divisor(k);
        for (const fedagg::map_entry& e : map.row(k)) {
          const long double term = static_cast<long double>(e.share) * x[e.index][begin + j];
          sum += term;
          size += std::abs(term);
          rest -= e.share;
        }
        if (with_base) {
          sum += rest * base[begin + j];
          size += std::abs(rest * base[begin + j]);
        }
        const long double want = sum / map.divisor(k);
        const long double bound = static_cast<long double>(x.size() + 6) * 0x1p-52L * size / map.divisor(k) +
                                  std::abs(want) * (sizeof(T) == 8 ? 0x1p-53L : 0x1p-24L);
        bad += !(std::abs(row[j] - want) <= bound);
      }
      bad += count < tile * 8 / sizeof(T) && row[count] != T(77);
    }
    return bad;
  }
};

template <class T>
void check(std::size_t n, std::size_t begin, std::size_t count, bool equal, bool with_base, std::mt19937_64& random) {
  tile_of_rows<T> t(n, begin + count, equal, random);
  std::vector<T> out;
  INFO(n << " rows, [" << begin << ", +" << count << "), base " << with_base);
  CHECK(t.run(begin, count, with_base, out) == 0);
  CHECK(t.wrong(begin, count, with_base, out) == 0);
}

} // namespace

TEST_CASE("rows that are mixed from subsets are the sums of their clients") {
  standard_mode();
  std::mt19937_64 random(3);
  for (const std::size_t n : {1u, 2u, 3u, 4u, 5u, 8u, 13u, 20u, 33u})
    for (const bool equal : {true, false})
      for (const bool with_base : {false, true}) {
        check<float>(n, 0, tile, equal, with_base, random);
        check<float>(n, 3, 17, equal, with_base, random);
        check<double>(n, 1, tile - 1, equal, with_base, random);
      }
  for (std::size_t count = 1; count <= tile; ++count) {
    check<float>(6, count % 5, count, false, count % 2, random);
    check<double>(6, count % 5, count, false, count % 2, random);
  }
}

TEST_CASE("what is not finite shows where it has a share, and only there") {
  standard_mode();
  std::mt19937_64 random(4);
  const float infinity = std::bit_cast<float>(0x7f800000u);
  for (const std::size_t at : {0u, 15u, 16u, 126u, 127u}) {
    tile_of_rows<float> t(7, tile, false, random);
    std::vector<float> out;
    t.owned = {};
    for (std::size_t k = 0; k < 7; ++k) {
      for (std::size_t i = 0; i < 6; ++i)
        if (i != k) t.owned.put(i, t.shares[i]);
      t.owned.end_row(4);
    }
    t.x[6][at] = infinity; // has no share
    CHECK(t.run(0, tile, false, out) == 0);
    CHECK(t.wrong(0, tile, false, out) == 0);
    t.x[2][at] = -infinity;
    CHECK(t.run(0, tile, false, out) == impl::saw_non_finite);
    t.x[2][at] = std::bit_cast<float>(0x7f7fffffu);
    for (std::size_t i = 0; i < 6; ++i) t.x[i][at] = t.x[2][at];
    CHECK(t.run(0, tile, false, out) == 0);
    for (double& divisor : t.owned.divisors) divisor = 0.5;
    CHECK(t.run(0, tile, false, out) == impl::saw_overflow);
    for (std::size_t i = 0; i < 6; ++i) t.x[i][at] = 1;
    t.base[at] = infinity;
    CHECK(t.run(0, tile, true, out) == impl::saw_non_finite);
  }
}

TEST_CASE("shares that differ have no plan") {
  owned_map m;
  m.put(0, 1);
  m.put(1, 0); // a share of nothing is none
  m.end_row(1);
  m.put(0, 1);
  m.put(1, 2);
  m.end_row(3);
  std::vector<std::uint64_t> memory(impl::mix_plan::bytes(m.of(2)) / 8 + 1);
  impl::mix_plan plan;
  CHECK(plan.fill(m.of(2), true, memory.data()));
  CHECK((plan.picks[0] == 1 && plan.picks[1] == 3));
  CHECK((plan.rests[0] == 0 && plan.rests[1] == 0));
  m.put(1, 1);
  m.end_row(1);
  memory.resize(impl::mix_plan::bytes(m.of(2)) / 8 + 1);
  CHECK(!plan.fill(m.of(2), true, memory.data()));
}

TEST_CASE("subsets pay where most clients have a share in most rows") {
  const auto pays = [](std::size_t n, std::size_t out, std::size_t each) {
    owned_map m;
    for (std::size_t k = 0; k < out; ++k) {
      for (std::size_t i = 0; i < each; ++i) m.put(i, 1);
      m.end_row(static_cast<double>(each));
    }
    return impl::mix_plan::pays(m.of(n));
  };
  CHECK(pays(20, 20, 16)); // nnm
  CHECK(pays(20, 20, 11));
  CHECK(pays(100, 100, 80));
  CHECK(!pays(20, 10, 2)); // bucketing
  CHECK(!pays(20, 20, 1)); // clipping
  CHECK(!pays(3, 3, 2));
}
