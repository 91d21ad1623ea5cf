// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_STREAMS_HPP
#define FEDAGG_TESTS_SUPPORT_STREAMS_HPP

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include <fedagg/core/model_view.hpp>
#include <fedagg/passes/accumulator/basic.hpp>

#include "support/memory_archive.hpp"
#include "support/numeric.hpp"

/// Ways in which clients come to an accumulator: orders, trees, threads, executors; and what a saved one must survive.
namespace streams {

using fedagg::errc;

/// A client: values of one tensor, weight.
template <class T>
struct arrival {
  std::span<const T> values;
  double weight;
};

template <class T>
std::vector<arrival<T>> arrivals(const numeric::matrix<T>& x, const std::vector<double>& w) {
  std::vector<arrival<T>> all;
  for (std::size_t i = 0; i < x.n; ++i) all.push_back({x.row(i), w[i]});
  return all;
}

template <class Sums, class T>
bool absorb_all(Sums& sums, const std::vector<arrival<T>>& all, fedagg::executor_ref executor = {}) {
  bool added = true;
  for (const auto& a : all) {
    const fedagg::model_view client(a.values);
    const numeric::mode callers(numeric::worst);
    added = sums.try_absorb(client, a.weight, executor) == errc::ok && added;
  }
  return added;
}

/// Threads take clients from a queue, all adding to one accumulator.
template <class Sums, class T>
std::size_t absorb_at_once(Sums& sums, const std::vector<arrival<T>>& all, std::size_t threads) {
  std::atomic<std::size_t> next{0}, added{0};
  std::vector<std::thread> pool;
  for (std::size_t t = 0; t < threads; ++t)
    pool.emplace_back([&] {
      for (std::size_t i; (i = next.fetch_add(1)) < all.size();)
        added += sums.try_absorb(fedagg::model_view(all[i].values), all[i].weight) == errc::ok;
    });
  for (auto& t : pool) t.join();
  return added;
}

/// A random tree: clients in random order to random leaves, pairs of which merge until one is left.
template <class Sums, class T>
bool absorb_as_tree(Sums& root, std::vector<arrival<T>> all, std::mt19937_64& random) {
  std::shuffle(all.begin(), all.end(), random);
  std::vector<Sums> nodes(1 + random() % 4, root);
  bool added = true;
  for (const auto& a : all)
    added = nodes[random() % nodes.size()].try_absorb(fedagg::model_view(a.values), a.weight) == errc::ok && added;
  while (nodes.size() > 1) {
    const std::size_t from = random() % (nodes.size() - 1);
    added = nodes[from].try_merge(nodes.back()) == errc::ok && added;
    nodes.pop_back();
  }
  return root.try_merge(nodes[0]) == errc::ok && added;
}

template <class T, class Sums>
std::vector<T> finished(const Sums& sums, std::size_t d) {
  std::vector<T> out(d);
  errc rc = errc::ok;
  {
    const fedagg::mutable_model_view view(out);
    const numeric::mode callers(numeric::worst);
    rc = sums.try_finish(view);
  }
  if (rc != errc::ok) out.clear();
  return out;
}

/// Calls f(name, accumulator) for an empty accumulator filled in each way.
template <class Sums, class T, class F>
void each_way(const Sums& empty, const std::vector<arrival<T>>& all, std::uint64_t seed, const F& f) {
  std::mt19937_64 random(seed);
  numeric::on_each_isa([&](fedagg::isa which) {
    Sums sums = empty;
    CHECK(absorb_all(sums, all));
    f(fedagg::name_of(which), sums);
  });
  auto shuffled = all;
  for (int again = 0; again < 3; ++again) {
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    Sums sums = empty;
    CHECK(absorb_all(sums, shuffled));
    f("shuffled", sums);
    sums = empty;
    CHECK(absorb_as_tree(sums, all, random));
    f("tree", sums);
    sums = empty;
    CHECK(absorb_at_once(sums, all, 4) == all.size());
    f("threads", sums);
  }
  Sums sums = empty;
  numeric::threads pool{3};
  CHECK(absorb_all(sums, all, pool));
  f("executor", sums);
  // Edges of one root, each on a thread, that hand up what they have at once.
  sums = empty;
  std::vector<std::thread> edges;
  std::atomic<int> failed{0};
  for (std::size_t e = 0; e < 3; ++e)
    edges.emplace_back([&, e] {
      Sums edge = empty;
      for (std::size_t i = e; i < all.size(); i += 3)
        failed += edge.try_absorb(fedagg::model_view(all[i].values), all[i].weight) != errc::ok;
      failed += sums.try_merge(edge) != errc::ok;
    });
  for (auto& e : edges) e.join();
  CHECK(failed == 0);
  f("edges", sums);
}

/// What is saved loads into an accumulator without tensors and into one of the same layout, and nothing is lost.
template <class T, class Sums>
void check_saved(Sums& sums, const Sums& empty, std::size_t d) {
  fedagg_test::memory_archive archive;
  REQUIRE(archive.save(sums) == errc::ok);
  CHECK(archive.twice.empty());
  const auto want = finished<T>(sums, d);
  for (Sums loaded : {Sums(), empty}) {
    REQUIRE(archive.load(loaded) == errc::ok);
    CHECK(loaded.clients() == sums.clients());
    CHECK(numeric::bits_of(loaded.weight()) == numeric::bits_of(sums.weight()));
    CHECK(numeric::same_bits(want, finished<T>(loaded, d)));
    CHECK(loaded.try_merge(sums) == errc::ok);
    CHECK(numeric::same_bits(want, finished<T>(loaded, d)));
    fedagg_test::memory_archive again;
    CHECK(again.save(sums) == errc::ok);
    CHECK(again.items == archive.items);
  }
  // Each part too short, too long, missing, or of another type.
  for (const auto& [name, item] : archive.items) {
    INFO(name);
    for (int how = 0; how < 4; ++how) {
      auto spoilt = archive;
      auto& part = spoilt.items.find(name)->second;
      if (how == 0) part.bytes.resize(part.bytes.size() < 8 ? 0 : part.bytes.size() - 8);
      else if (how == 1) part.bytes.resize(part.bytes.size() + 8);
      else if (how == 2) part.type = '?';
      else spoilt.items.erase(name);
      Sums loaded;
      if (how == 0 && item.bytes.empty()) continue;
      CHECK(spoilt.load(loaded) == errc::file_format);
    }
  }
}

/// The archive of `sums` with the first element of `name` overwritten does not load.
template <class Sums, class T>
void check_refused(Sums& sums, const char* name, T value, errc want = errc::file_format, Sums loaded = {}) {
  fedagg_test::memory_archive archive;
  REQUIRE(archive.save(sums) == errc::ok);
  const auto found = archive.items.find(name);
  REQUIRE(found != archive.items.end());
  REQUIRE(found->second.bytes.size() >= sizeof value);
  std::memcpy(found->second.bytes.data(), &value, sizeof value);
  INFO(name);
  CHECK(archive.load(loaded) == want);
}

} // namespace streams

#endif // FEDAGG_TESTS_SUPPORT_STREAMS_HPP
