// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <fedagg/core/workspace.hpp>

#include "compiled/rules.hpp"
#include "support/allocations.hpp"
#include "support/rounds.hpp"

using fedagg::errc;
using fedagg::output;
using fedagg::workspace;

TEST_CASE("a new workspace holds a new outcome") {
  const workspace space;
  CHECK(space.result().ok());
  CHECK(space.result().state == output::untouched);
  CHECK(space.result().clients == 0);
}

TEST_CASE("the outcome is that of the last call, whatever came before") {
  std::vector<float> a = {1, 2}, b = {3, 4}, out(2), wrong(3);
  fedagg::cohort good, bad, none;
  good.add(a).add(b);
  bad.add(a).add(b).add(wrong, {.id = "wrong"});
  workspace space;
  REQUIRE(fedagg::try_aggregate(fedagg::mean{}, bad, out, space) == errc::ok);
  CHECK(space.result().rejected.size() == 1);
  CHECK(space.result().coefficients.size() == 3);
  REQUIRE(fedagg::try_aggregate(fedagg::median{}, good, out, space) == errc::ok);
  CHECK(space.result().rejected.empty());
  CHECK(space.result().coefficients.empty());
  CHECK(space.result().clients == 2);
  CHECK(space.result().used == 2);
  CHECK_FALSE(space.result().weights_used);
  CHECK(fedagg::try_aggregate(fedagg::mean{}, none, out, space) == errc::empty_cohort);
  CHECK(space.result().code == errc::empty_cohort);
  CHECK(space.result().state == output::untouched);
  CHECK(space.result().clients == 0);
  CHECK(space.result().used == 0);
  CHECK(space.result().passes == 0);
}

TEST_CASE("one workspace serves rounds of all sizes, rules and types, in any order") {
  workspace space;
  for (const std::size_t n : {9u, 1u, 40u, 3u})
    for (const std::size_t d : {0u, 500u, 1u, 70000u}) {
      std::vector<std::vector<double>> rows(n, std::vector<double>(d));
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < d; ++j) rows[i][j] = static_cast<double>(i) + static_cast<double>(j);
      fedagg::cohort c;
      for (auto& r : rows) c.add(r);
      std::vector<double> kept(d), fresh(d);
      workspace other;
      REQUIRE(fedagg::try_aggregate(fedagg::median{}, c, kept, space) == errc::ok);
      REQUIRE(fedagg::try_aggregate(fedagg::median{}, c, fresh, other) == errc::ok);
      CHECK(kept == fresh);
      REQUIRE(fedagg::try_aggregate(fedagg::mean{}, c, kept, space) == errc::ok);
      // Halves of small integers: exact in every order.
      if (d > 0) CHECK(kept[d - 1] == static_cast<double>(d - 1) + static_cast<double>(n - 1) / 2);
    }
}

namespace {

/// Six clients of two tensors; one of them is spoiled, one has another layout.
struct bad_round {
  std::vector<std::vector<float>> rows = std::vector<std::vector<float>>(6, std::vector<float>(3000, 1.5f));
  std::vector<std::vector<std::int32_t>> counters =
      std::vector<std::vector<std::int32_t>>(6, std::vector<std::int32_t>(100, 3));
  rounds::guarded<float> out{3000};
  rounds::guarded<std::int32_t> whole{100};
  std::vector<fedagg::model_view> models;
  fedagg::mutable_model_view result;
  bad_round() {
    rounds::spoil(rows[4][2999], 0);
    rows[1].pop_back();
    for (std::size_t i = 0; i < 6; ++i) {
      fedagg::model_view m;
      m.add("w", rows[i]).add("n", counters[i]);
      models.push_back(m);
    }
    result.add("w", out.data).add("n", whole.data);
  }
  void fill(fedagg::cohort& c) const {
    c.clear();
    for (std::size_t i = 0; i < 6; ++i) c.add(models[i], {.weight = static_cast<double>(5 + i % 4), .id = "client"});
  }
};

} // namespace

TEST_CASE("a round like the last one allocates nothing, with rejections, in either mode, strided or not") {
  const bad_round r;
  rounds::on_each_rule([&](const auto& rule) {
    for (const rounds::mode m : {rounds::mode::direct, rounds::mode::atomic}) {
      fedagg::cohort clients;
      workspace space;
      for (int round = 0; round < 4; ++round) {
        const std::size_t before = allocations::count;
        r.fill(clients);
        const errc rc = fedagg::try_aggregate(rule, clients, r.result, space, {.write = m, .grain = 64});
        const std::size_t used = allocations::count - before;
        INFO(rule.name << " round " << round);
        REQUIRE(rc == errc::ok);
        CHECK(space.result().rejected.size() == 2);
        CHECK((used > 0) == (round == 0));
      }
    }
  });
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("wherever memory runs out, the call ends with a code, and works again when there is some") {
  rounds::on_each_rule([](const auto& rule) {
    for (const rounds::mode m : {rounds::mode::direct, rounds::mode::atomic}) {
      bad_round r;
      fedagg::cohort clients;
      r.fill(clients);
      std::size_t failures = 0;
      for (std::size_t more = 0;; ++more) {
        workspace space;
        r.out.reset();
        r.whole.reset();
        errc rc = errc::ok;
        {
          const allocations::limit none(more);
          rc = fedagg::try_aggregate(rule, clients, r.result, space, {.write = m});
        }
        if (rc == errc::ok) break;
        ++failures;
        const bool untouched = r.out.untouched() && r.whole.untouched();
        INFO(rule.name << " after " << more << " allocations");
        REQUIRE(rc == errc::out_of_memory);
        CHECK(space.result().code == errc::out_of_memory);
        if (m == rounds::mode::atomic || space.result().state == output::untouched) CHECK(untouched);
        REQUIRE(fedagg::try_aggregate(rule, clients, r.result, space, {.write = m}) == errc::ok);
      }
      CHECK(failures > 5);
    }
  });
}

TEST_CASE("the throwing call tells that memory ran out") {
  const bad_round r;
  fedagg::cohort clients;
  r.fill(clients);
  errc code = errc::ok;
  try {
    const allocations::limit none(3);
    fedagg::aggregate(fedagg::mean{}, clients, r.result);
  } catch (const fedagg::error& e) {
    code = e.code();
  }
  CHECK(code == errc::out_of_memory);
}

TEST_CASE("a cohort that could not take a client is as it was before") {
  const bad_round r;
  for (std::size_t more = 0;; ++more) {
    fedagg::cohort clients;
    for (int i = 0; i < 4; ++i) clients.add(r.models[0]);
    bool failed = false;
    try {
      const allocations::limit none(more);
      clients.add(r.models[2], {.weight = 7});
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    if (!failed) break;
    CHECK(clients.size() == 4);
    clients.add(r.models[3], {.weight = 8});
    REQUIRE(clients.size() == 5);
    CHECK(clients.weight(4) == 8);
    REQUIRE(clients.tensors(4).size() == 2);
    CHECK(clients.tensors(4)[0].tensor.data() == r.rows[3].data());
  }
}
#endif
