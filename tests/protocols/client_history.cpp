// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fedagg/passes/aggregate.hpp>
#include <fedagg/protocols/client_history.hpp>
#include <fedagg/rules/foolsgold.hpp>

#include "compiled/rules.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/memory_archive.hpp"
#include "support/numeric.hpp"

using fedagg::client_history;
using fedagg::cohort;
using fedagg::dtype;
using fedagg::errc;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg_test::memory_archive;

namespace {

/// A client's update of every kind of tensor; longer than a tile.
struct update {
  std::vector<float> w = std::vector<float>(1100);
  std::vector<double> v = std::vector<double>(3);
  std::vector<fedagg::float16> h = std::vector<fedagg::float16>(5);
  std::vector<fedagg::bfloat16> b = std::vector<fedagg::bfloat16>(5);
  std::vector<std::int64_t> steps = {1};

  void fill(std::mt19937& random) {
    std::normal_distribution<double> normal;
    for (float& x : w) x = static_cast<float>(normal(random));
    for (double& x : v) x = normal(random);
    for (auto& x : h) x = fedagg::to_float16(normal(random));
    for (auto& x : b) x = fedagg::to_bfloat16(normal(random));
    steps[0] = static_cast<std::int64_t>(random());
  }
  model_view model() const {
    model_view m;
    m.add("w", w).add("v", v).add("h", h).add("b", b).add("steps", steps);
    return m;
  }
  /// x += y - base in doubles, each operation rounded for itself whatever the flags, and once to the element type.
  void add(const update& y, const update& base) {
    const auto sum = [](double x, double from, double to) { return numeric::kept(x + numeric::kept(to - from)); };
    for (std::size_t k = 0; k < w.size(); ++k) w[k] = static_cast<float>(sum(w[k], base.w[k], y.w[k]));
    for (std::size_t k = 0; k < v.size(); ++k) v[k] = sum(v[k], base.v[k], y.v[k]);
    for (std::size_t k = 0; k < h.size(); ++k)
      h[k] = fedagg::to_float16(sum(to_float(h[k]), to_float(base.h[k]), to_float(y.h[k])));
    for (std::size_t k = 0; k < b.size(); ++k)
      b[k] = fedagg::to_bfloat16(sum(to_float(b[k]), to_float(base.b[k]), to_float(y.b[k])));
  }
};

update zero() {
  update u;
  u.steps[0] = 0;
  return u;
}

template <class T>
bool holds(const fedagg::any_tensor& t, const std::vector<T>& expected) {
  if (t.size() != expected.size() || t.type() != fedagg::dtype_of<T>) return false;
  for (std::size_t k = 0; k < expected.size(); ++k)
    if (!(static_cast<const T*>(t.data())[k] == expected[k])) return false;
  return true;
}

bool holds(const cohort& sums, std::size_t i, const update& expected) {
  const auto t = sums.tensors(i);
  return t.size() == 5 && holds(t[0].tensor, expected.w) && holds(t[1].tensor, expected.v) &&
         holds(t[2].tensor, expected.h) && holds(t[3].tensor, expected.b) &&
         holds(t[4].tensor, std::vector<std::int64_t>{0});
}

} // namespace

TEST_CASE("sums follow clients by id, through any order and any absence") {
  std::mt19937 random(7);
  const std::vector<std::string> ids = {"north", "south", "west", "east"};
  client_history history{model_layout(update().model())};
  for (const auto& id : ids) REQUIRE(history.try_declare(id) == errc::ok);
  std::map<std::string, update> expected;
  for (const auto& id : ids) expected[id] = zero();
  for (int round = 0; round < 6; ++round) {
    std::vector<update> sent(3);
    update base = zero();
    const bool models = round % 2 == 1;
    if (models) base.fill(random);
    cohort clients, sums;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const std::string& id = ids[(i * 3 + static_cast<std::size_t>(round)) % ids.size()];
      sent[i].fill(random);
      clients.add(sent[i].model(), {.id = id});
      expected[id].add(sent[i], base);
    }
    if (models)
      clients.base(base.model());
    else
      clients.updates();
    std::vector<errc> faults(3, errc::late_client);
    REQUIRE(history.try_absorb(clients, faults) == errc::ok);
    CHECK(faults == std::vector<errc>(3));
    REQUIRE(history.try_view(clients, sums) == errc::ok);
    REQUIRE(sums.size() == 3);
    CHECK(sums.has_origin());
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(sums.id(i) == clients.id(i));
      CHECK(holds(sums, i, expected[std::string(clients.id(i))]));
    }
  }
  CHECK(history.bytes() >= 4 * update().w.size() * sizeof(float));
  CHECK(history.forget("north"));
  CHECK_FALSE(history.forget("nobody"));
  cohort one, sums;
  const update u;
  one.add(u.model(), {.id = "north"}).updates();
  REQUIRE(history.try_view(one, sums) == errc::ok);
  CHECK(holds(sums, 0, zero()));
}

TEST_CASE("foolsgold over rounds, against a history kept by hand") {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const std::vector<std::string> ids = {"0", "1", "2", "3", "4", "5"};
  const std::size_t d = 700;
  std::vector<float> goal(d), ours(d), theirs(d), none(d);
  for (float& x : goal) x = normal(random);
  client_history history{model_layout(model_view(goal))};
  for (const auto& id : ids) history.declare(id);
  std::vector<std::vector<float>> kept(ids.size(), std::vector<float>(d));
  for (int round = 0; round < 4; ++round) {
    // Clients 1 and 4 are one attacker's; who takes part changes.
    std::vector<std::vector<float>> sent;
    cohort by_hand, with, sums_by_hand, sums;
    std::vector<std::size_t> who;
    for (std::size_t i = 0; i < ids.size(); ++i)
      if ((i + static_cast<std::size_t>(round)) % 5 != 2) who.insert(who.begin(), i);
    for (const std::size_t i : who) {
      auto& x = sent.emplace_back(d);
      for (std::size_t k = 0; k < d; ++k) x[k] = (i == 1 || i == 4 ? goal[k] : 0) + 0.3f * normal(random);
      for (std::size_t k = 0; k < d; ++k) kept[i][k] += x[k];
    }
    for (std::size_t i = 0; i < who.size(); ++i) {
      by_hand.add(sent[i]);
      with.add(sent[i], {.id = ids[who[i]]});
      sums_by_hand.add(kept[who[i]]);
    }
    aggregate(fedagg::foolsgold{}, by_hand.updates().history(sums_by_hand.updates()), theirs);
    history.absorb(with.updates());
    history.view(with, sums);
    aggregate(fedagg::foolsgold{}, with.history(sums), ours);
    CHECK(ours == theirs);
    CHECK(ours != none);
  }
}

TEST_CASE("strided updates are read in their order") {
  std::vector<float> columns = {1, 2, 3, 4, 5, 6};
  const std::size_t shape[] = {3, 2};
  const std::ptrdiff_t strides[] = {1, 3};
  model_view m;
  m.add("w", fedagg::tensor_view<const float>(columns.data(), shape, strides));
  client_history history{model_layout(m)};
  history.declare("a");
  cohort round, sums;
  round.add(m, {.id = "a"}).updates();
  REQUIRE(history.try_absorb(round) == errc::ok);
  REQUIRE(history.try_view(round, sums) == errc::ok);
  CHECK(holds(sums.tensors(0)[0].tensor, std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST_CASE("a bad client leaves its sum alone and is named") {
  std::mt19937 random(9);
  client_history history{model_layout(update().model())};
  for (const char* id : {"a", "b", "c", "d", "e", "f"}) history.declare(id);
  update good, nan, inf, large, same;
  for (update* u : {&good, &nan, &inf, &large, &same}) u->fill(random);
  nan.w[1099] = std::numeric_limits<float>::quiet_NaN();
  inf.h[4] = fedagg::float16{0x7c00};
  large.h[4] = fedagg::to_float16(65000);
  std::vector<float> other(3);
  cohort round, sums;
  round.add(good.model(), {.id = "a"})
      .add(nan.model(), {.id = "b"})
      .add(inf.model(), {.id = "c"})
      .add(large.model(), {.id = "d"})
      .add(other, {.id = "e"})
      .add(good.model(), {.id = "nobody"})
      .add(same.model(), {.id = "a"})
      .add(good.model())
      .updates();
  std::vector<errc> faults(8);
  REQUIRE(history.try_absorb(round, faults) == errc::ok);
  CHECK(faults == std::vector<errc>{errc::ok, errc::non_finite, errc::non_finite, errc::ok, errc::client_layout,
                                    errc::unknown_client, errc::duplicate_client, errc::unknown_client});
  CHECK(history.try_view(round, sums) == errc::unknown_client);
  CHECK(sums.size() == 0);

  // The second time, the sum of a half would be infinite.
  round.clear();
  round.add(large.model(), {.id = "d"}).add(nan.model(), {.id = "b"}).add(good.model(), {.id = "a"}).updates();
  faults.resize(3);
  REQUIRE(history.try_absorb(round, faults) == errc::ok);
  CHECK(faults == std::vector<errc>{errc::overflow, errc::non_finite, errc::ok});
  REQUIRE(history.try_view(round, sums) == errc::ok);
  update once = zero(), two = zero();
  once.add(large, zero());
  two.add(good, zero());
  two.add(good, zero());
  CHECK(holds(sums, 0, once));
  CHECK(holds(sums, 1, zero()));
  CHECK(holds(sums, 2, two));

  round.add(good.model(), {.id = "a"});
  CHECK(history.try_view(round, sums) == errc::duplicate_client);
}

TEST_CASE("what is wrong with a call is said before the first write") {
  std::vector<float> w = {1, 2};
  client_history history{model_layout(model_view(w))};
  CHECK(history.try_declare("") == errc::bad_parameter);
  CHECK(history.try_declare("a") == errc::ok);
  CHECK(history.try_declare("a") == errc::duplicate_client);
  CHECK(history.clients().size() == 1);
  cohort round, sums;
  round.add(w, {.id = "a"});
  CHECK(history.try_absorb(round) == errc::missing_origin);
  std::vector<errc> faults(2);
  round.updates();
  CHECK(history.try_absorb(round, faults) == errc::bad_parameter);
  std::vector<float> three(3);
  round.base(three);
  CHECK(history.try_absorb(round) == errc::layout_mismatch);
  CHECK(history.bytes() == 0);

  const std::size_t shape[] = {2};
  client_history other{model_layout(model_view().add("x", fedagg::any_tensor(dtype::other, w.data(), shape)))};
  CHECK(other.status() == errc::unsupported_element);
  CHECK(other.try_absorb(round) == errc::unsupported_element);
  CHECK(other.try_view(round, sums) == errc::unsupported_element);
  const std::size_t huge[] = {static_cast<std::size_t>(-1) / 2, 9};
  model_layout too_large;
  too_large.add("x", dtype::f32, huge);
  CHECK(client_history{too_large}.status() == errc::size_overflow);
#if FEDAGG_EXCEPTIONS
  CHECK_THROWS_AS(history.absorb(round), fedagg::error);
  CHECK_THROWS_AS(history.declare("a"), fedagg::error);
  CHECK_THROWS_AS(other.view(round, sums), fedagg::error);
#endif
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("without memory nothing is added") {
  std::vector<float> w = {1, 2};
  client_history history{model_layout(model_view(w))};
  history.declare("a");
  history.declare("b");
  cohort round, sums;
  round.add(w, {.id = "a"}).add(w, {.id = "b"}).updates();
  std::size_t failures = 0;
  for (errc rc = errc::out_of_memory; rc != errc::ok; ++failures) {
    {
      const allocations::limit none(failures);
      rc = history.try_absorb(round);
    }
    if (rc == errc::ok) break;
    REQUIRE(rc == errc::out_of_memory);
    CHECK(history.bytes() == 0);
  }
  CHECK(failures >= 4);
  errc rc = errc::ok;
  {
    const allocations::limit none(2);
    rc = history.try_view(round, sums);
  }
  CHECK(rc == errc::out_of_memory);
  CHECK(sums.size() == 0);
  REQUIRE(history.try_view(round, sums) == errc::ok);
  CHECK(holds(sums.tensors(1)[0].tensor, w));
  {
    const allocations::limit none(0);
    rc = history.try_declare("a client with a long name");
  }
  CHECK(rc == errc::out_of_memory);
  CHECK(history.clients().size() == 2);
}
#endif

TEST_CASE("a history is saved and loaded") {
  std::mt19937 random(2);
  client_history history{model_layout(update().model())};
  for (const char* id : {"a", "silent", "b"}) history.declare(id);
  update one, two;
  one.fill(random);
  two.fill(random);
  cohort round, sums;
  round.add(two.model(), {.id = "b"}).add(one.model(), {.id = "a"}).updates();
  history.absorb(round);
  memory_archive a;
  REQUIRE(a.save(history) == errc::ok);
  CHECK(a.twice.empty());
  client_history loaded;
  REQUIRE(a.load(loaded) == errc::ok);
  CHECK(loaded.bytes() == history.bytes());
  CHECK(loaded.clients() == history.clients());
  REQUIRE(loaded.try_view(round, sums) == errc::ok);
  update first = zero(), second = zero();
  first.add(one, zero());
  second.add(two, zero());
  CHECK(holds(sums, 0, second));
  CHECK(holds(sums, 1, first));
  // Both go on alike.
  history.absorb(round);
  loaded.absorb(round);
  memory_archive b, c;
  REQUIRE(b.save(history) == errc::ok);
  REQUIRE(c.save(loaded) == errc::ok);
  CHECK(b.items == c.items);

  const auto refused = [](memory_archive file) {
    client_history into;
    return file.load(into) == errc::file_format;
  };
  for (const auto& [name, item] : a.items) {
    INFO(name);
    memory_archive bad = a;
    bad.items.erase(name);
    CHECK(refused(bad));
    bad = a;
    bad.items[name].bytes.resize(item.bytes.size() - (item.type == 'u' ? 8 : 1));
    CHECK(refused(bad));
  }
  memory_archive bad = a;
  bad.items["seen"].bytes[0] = std::byte{2};
  CHECK(refused(bad));
  bad = a;
  bad.items["seen"].bytes[1] = std::byte{1};
  CHECK(refused(bad));
  bad = a;
  for (std::size_t k = 0; k < 4; ++k) bad.items["row.0"].bytes[k] = std::byte{0xff}; // NaN
  CHECK(refused(bad));
  bad = a;
  bad.items["row.0"].bytes[bad.items["row.0"].bytes.size() - 64] = std::byte{1}; // the counter's place
  CHECK(refused(bad));

  client_history none;
  REQUIRE(a.save(none) == errc::ok);
  CHECK(a.load(loaded) == errc::ok);
  CHECK(loaded.clients().size() == 0);
}
