// SPDX-License-Identifier: MIT
#include <fedagg/protocols/metrics.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "support/allocations.hpp"
#include "support/numeric.hpp"

using namespace numeric;
using fedagg::errc;
using fedagg::metric;
using fedagg::metric_mean;
using fedagg::metric_means;

namespace {

const double infinity = std::bit_cast<double>(std::uint64_t{0x7ff0000000000000});
const double nan_value = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});

using report = std::vector<metric>;

/// Added in the worst floating-point mode.
errc add(metric_means& m, std::string_view id, const report& r) {
  const mode callers(worst);
  return m.try_add(id, r);
}

/// An archive in memory: the bytes of each name.
struct memory {
  bool reading = false;
  std::map<std::string, std::vector<char>> kept;
  bool loading() const { return reading; }
  template <class T>
  errc value(std::string_view name, T& x) {
    if constexpr (std::is_arithmetic_v<T>) {
      std::vector<T> one{x};
      if constexpr (std::is_same_v<T, bool>) {
        std::vector<std::uint8_t> flag{x};
        const errc rc = array(name, flag);
        x = flag.at(0) != 0;
        return rc;
      } else {
        const errc rc = array(name, one);
        x = one.at(0);
        return rc;
      }
    } else {
      return array(name, x);
    }
  }
  template <class T>
  errc array(std::string_view name, std::vector<T>& x) {
    std::vector<char>& bytes = kept[std::string(name)];
    if (reading) {
      x.resize(bytes.size() / sizeof(T));
      if (!x.empty()) std::memcpy(x.data(), bytes.data(), x.size() * sizeof(T));
    } else {
      bytes.resize(x.size() * sizeof(T));
      if (!x.empty()) std::memcpy(bytes.data(), x.data(), bytes.size());
    }
    return errc::ok;
  }
};

bool same(const std::vector<metric_mean>& a, const std::vector<metric_mean>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const metric_mean& x, const metric_mean& y) {
    return x.key == y.key && bits_of(x.value) == bits_of(y.value) && bits_of(x.weight) == bits_of(y.weight) &&
           x.clients == y.clients && x.code == y.code;
  });
}

} // namespace

TEST_CASE("a key's denominator is the weight of the clients that report it") {
  standard_mode();
  metric_means m;
  REQUIRE(add(m, "north", {{"loss", 0.5, 100}, {"accuracy", 0.75, 100}}) == errc::ok);
  REQUIRE(add(m, "east", {{"loss", 1.0, 300}}) == errc::ok);
  REQUIRE(add(m, "south", {{"dice", 0.5, 7}, {"accuracy", 0.25, 300}}) == errc::ok);
  const auto r = m.results();
  REQUIRE(r.size() == 3);
  CHECK(r[0].key == "accuracy");
  CHECK(r[0].value == 0.375);
  CHECK(r[0].weight == 400);
  CHECK(r[0].clients == 2);
  CHECK(r[1].key == "dice");
  CHECK(r[1].value == 0.5);
  CHECK(r[1].clients == 1);
  CHECK(r[2].key == "loss");
  CHECK(r[2].value == 0.875);
  CHECK(m.reports() == 3);
  CHECK(m.rejected().empty());
}

TEST_CASE("weighted means agree with quadruple precision, and arrival and trees change no bit") {
  standard_mode();
  std::mt19937_64 random(1);
  const std::string_view names[] = {"a", "b", "accuracy", "accuracy.val", "loss", "z", ""};
  for (int round = 0; round < 20; ++round) {
    std::vector<report> all(40);
    std::map<std::string_view, std::pair<quad, quad>> want;
    for (report& r : all)
      for (const std::string_view key : names) {
        if (random() % 3 == 0) continue;
        const metric one{key, uniform(random) * power(static_cast<int>(random() % 40)), static_cast<double>(random() % 5000)};
        r.push_back(one);
        want[key].first = add(want[key].first, multiply(one.value, one.weight));
        want[key].second = add(want[key].second, one.weight);
      }
    metric_means straight, turned, left, right, tree;
    for (const report& r : all) REQUIRE(::add(straight, "x", r) == errc::ok);
    std::shuffle(all.begin(), all.end(), random);
    for (std::size_t k = 0; k < all.size(); ++k) {
      std::shuffle(all[k].begin(), all[k].end(), random);
      REQUIRE(::add(turned, "y", all[k]) == errc::ok);
      REQUIRE(::add(k % 3 ? left : right, "z", all[k]) == errc::ok);
    }
    REQUIRE(tree.try_merge(left) == errc::ok);
    REQUIRE(tree.try_merge(right) == errc::ok);
    const auto got = straight.results();
    REQUIRE(got.size() == want.size());
    for (const metric_mean& m : got) {
      const quad exact = divide(want[m.key].first, want[m.key].second);
      CHECK(magnitude(quad(m.value) - exact) <= 3 * half_ulp<double>(exact));
      CHECK(quad(m.weight) == want[m.key].second);
    }
    CHECK(same(got, turned.results()));
    CHECK(same(got, tree.results()));
    CHECK(tree.reports() == 40);
  }
}

TEST_CASE("what cancels in doubles does not cancel here") {
  standard_mode();
  metric_means m;
  for (const metric& one : report{{"m", 1e300, 1e8}, {"m", 3, 1}, {"m", -1e300, 1e8}, {"m", 0x1p-1074, 0x1p-1000}})
    REQUIRE(add(m, "c", {one}) == errc::ok);
  CHECK(m.results()[0].value == Approx(3 / (2e8 + 1)).epsilon(1e-15));
  metric_means huge;
  const double most = fedagg::detail::largest_double;
  REQUIRE(add(huge, "a", {{"m", most, most}}) == errc::ok);
  REQUIRE(add(huge, "b", {{"m", most, most}}) == errc::ok);
  CHECK(huge.results()[0].value == most);
  CHECK(huge.results()[0].weight == most);
  metric_means tiny;
  REQUIRE(add(tiny, "a", {{"m", 5, 0x1p-1074}}) == errc::ok);
  CHECK(tiny.results()[0].value == 5);
}

TEST_CASE("bad entries are left out one by one, and named") {
  standard_mode();
  metric_means m;
  REQUIRE(add(m, "ok", {{"loss", 2, 1}, {"acc", 1, 1}}) == errc::ok);
  REQUIRE(add(m, "mallory",
              {{"loss", nan_value, 5}, {"acc", 0.5, 1}, {"f1", 1, -1}, {"auc", -infinity, 1}, {"iou", 1, nan_value}, {"kappa", 1, infinity}}) ==
          errc::ok);
  REQUIRE(add(m, "alice", {{"acc", 1, 1}, {"loss", 100, 1}, {"acc", 0, 1}}) == errc::ok);
  const auto r = m.results();
  REQUIRE(r.size() == 2);
  CHECK(r[0].key == "acc");
  CHECK(r[0].value == 0.75);
  CHECK(r[1].value == 51);
  const auto bad = m.rejected();
  REQUIRE(bad.size() == 7);
  CHECK(bad[0].id == "alice");
  CHECK(bad[0].key == "acc");
  CHECK(bad[0].reason == errc::duplicate_client);
  CHECK(bad[1].reason == errc::duplicate_client);
  CHECK(bad[2].id == "mallory");
  CHECK(bad[2].key == "auc");
  CHECK(bad[2].reason == errc::non_finite);
  CHECK(bad[3].key == "f1");
  CHECK(bad[3].reason == errc::invalid_weight);
  CHECK(bad[4].reason == errc::invalid_weight);
  CHECK(bad[5].reason == errc::invalid_weight);
  CHECK(bad[6].key == "loss");
  CHECK(bad[6].reason == errc::non_finite);
}

TEST_CASE("declared keys are the only ones, and all of them have a result") {
  const std::string_view keys[] = {"loss", "acc", "loss"};
  metric_means m(keys);
  REQUIRE(add(m, "a", {{"loss", 1, 0}, {"spam", 1, 1}}) == errc::ok);
  auto r = m.results();
  REQUIRE(r.size() == 2);
  CHECK(r[0].key == "acc");
  CHECK(r[0].code == errc::zero_weight_sum);
  CHECK(r[0].clients == 0);
  CHECK(r[1].key == "loss");
  CHECK(r[1].code == errc::zero_weight_sum);
  CHECK(r[1].clients == 1);
  CHECK(r[1].value == 0);
  REQUIRE(m.rejected().size() == 1);
  CHECK(m.rejected()[0].key == "spam");
  CHECK(m.rejected()[0].reason == errc::client_layout);
  REQUIRE(add(m, "b", {{"loss", 3, 2}}) == errc::ok);
  r = m.results();
  CHECK(r[1].code == errc::ok);
  CHECK(r[1].value == 3);
  metric_means edge;
  REQUIRE(add(edge, "c", {{"spam", 1, 1}, {"acc", 1, 1}}) == errc::ok);
  REQUIRE(m.try_merge(edge) == errc::ok);
  CHECK(m.results()[0].value == 1);
  CHECK(m.results().size() == 2);
  CHECK(m.rejected().size() == 2);
  m.clear();
  CHECK(m.results().size() == 2);
  CHECK(m.results()[1].clients == 0);
  CHECK(m.rejected().empty());
  edge.clear();
  CHECK(edge.results().empty());
}

TEST_CASE("keys and ids are copied") {
  metric_means m;
  {
    std::string key = "a key that is longer than any small buffer of a string", id = "client";
    REQUIRE(add(m, id, {{key, 1, 1}, {"x", nan_value, 1}}) == errc::ok);
    key.assign(key.size(), '#');
    id.assign(id.size(), '#');
  }
  CHECK(m.results()[0].key == "a key that is longer than any small buffer of a string");
  CHECK(m.rejected()[0].id == "client");
}

TEST_CASE("saved and loaded, half of the reports before and half after") {
  const std::string_view keys[] = {"loss", "acc"};
  for (const bool declared : {false, true}) {
    metric_means whole = declared ? metric_means(keys) : metric_means(), first = whole;
    const std::vector<report> all{{{"loss", 0.1, 3}, {"acc", -0.7, 1e300}}, {{"spam", 1, 1}, {"acc", nan_value, 1}}, {{"loss", 1e-300, 7}}};
    for (const report& r : all) REQUIRE(add(whole, "id", r) == errc::ok);
    REQUIRE(add(first, "id", all[1]) == errc::ok);
    REQUIRE(add(first, "id", all[0]) == errc::ok);
    memory m;
    REQUIRE(first.archive(m) == errc::ok);
    m.reading = true;
    metric_means second;
    REQUIRE(second.archive(m) == errc::ok);
    CHECK(second.reports() == 2);
    REQUIRE(add(second, "id", all[2]) == errc::ok);
    CHECK(same(second.results(), whole.results()));
    REQUIRE(second.rejected().size() == whole.rejected().size());
    CHECK(second.rejected()[0].key == "acc");
    CHECK(second.rejected()[0].id == "id");
    // The order of arrival is not in the file.
    memory one, other;
    REQUIRE(second.archive(one) == errc::ok);
    REQUIRE(whole.archive(other) == errc::ok);
    CHECK(one.kept == other.kept);
  }
}

TEST_CASE("a spoiled file is refused") {
  metric_means m;
  REQUIRE(add(m, "id", {{"loss", 1, 3}, {"acc", 1, 1}, {"bad", nan_value, 1}}) == errc::ok);
  memory good;
  REQUIRE(m.archive(good) == errc::ok);
  good.reading = true;
  const auto refused = [&](const char* name, auto change) {
    memory bad = good;
    change(bad.kept[name]);
    metric_means fresh;
    INFO(name);
    CHECK(fresh.archive(bad) == errc::file_format);
  };
  refused("names", [](auto& b) { b.pop_back(); });
  refused("names", [](auto& b) { b.push_back('x'); });
  refused("names", [](auto& b) { b[0] = 'z'; }); // out of order
  refused("name_sizes", [](auto& b) { b.resize(b.size() - 8); });
  refused("name_sizes", [](auto& b) { b[7] = 127; });
  refused("clients", [](auto& b) { b.resize(b.size() - 8); });
  refused("clients", [](auto& b) { b.resize(b.size() + 64); });
  refused("sums", [](auto& b) { b.resize(b.size() - 8); });
  refused("sums", [](auto& b) { b.resize(b.size() * 2); });
  refused("sums", [](auto& b) { b.back() = static_cast<char>(0x80); }); // a negative weight
  refused("fault_reasons", [](auto& b) { b[0] = 1; });
  refused("fault_reasons", [](auto& b) { b.resize(0); });
  metric_means fresh;
  CHECK(fresh.archive(good) == errc::ok);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("without memory for a report nothing of it is in") {
  const report r{{"loss", 1, 1}, {"acc", nan_value, 1}, {"f1", 1, 1}};
  std::size_t refused = 0;
  for (std::size_t allowed = 0; allowed < 60; ++allowed) {
    metric_means m;
    REQUIRE(m.try_add("before", report{{"acc", 1, 1}}) == errc::ok);
    errc rc = errc::ok;
    {
      const allocations::limit few(allowed);
      rc = m.try_add("client", r);
    }
    if (rc == errc::ok) break;
    ++refused;
    CHECK(rc == errc::out_of_memory);
    CHECK(m.results().size() == 1);
    CHECK(m.rejected().empty());
    CHECK(m.reports() == 1);
    REQUIRE(m.try_add("client", r) == errc::ok);
    CHECK(m.results().size() == 3);
  }
  CHECK(refused > 3);
  CHECK(refused < 59);
}
#endif
