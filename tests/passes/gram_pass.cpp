// SPDX-License-Identifier: MIT
#include <fedagg/passes/gram_pass.hpp>

#include "support/allocations.hpp"
#include "support/rounds.hpp"

using fedagg::errc;
using numeric::matrix;

namespace {

/// Five clients of three tensors, admitted and laid out as a round does it.
struct admitted {
  static constexpr std::size_t n = 5, none = static_cast<std::size_t>(-1);
  matrix<float> a = numeric::sample<float>(numeric::kind::normal, n, 40000, 1);
  matrix<double> b = numeric::sample<double>(numeric::kind::normal, n, 900, 2);
  matrix<fedagg::bfloat16> c = numeric::sample<fedagg::bfloat16>(numeric::kind::normal, n, 33, 3);
  std::vector<float> out_a = std::vector<float>(40000);
  std::vector<double> out_b = std::vector<double>(900);
  std::vector<fedagg::bfloat16> out_c = std::vector<fedagg::bfloat16>(33);
  fedagg::cohort clients;
  fedagg::mutable_model_view out;
  fedagg::options how;
  fedagg::detail::round_buffers buffers;
  fedagg::gram_table table;

  admitted() {
    for (std::size_t i = 0; i < n; ++i) {
      fedagg::model_view m;
      m.add("a", a.row(i)).add("b", b.row(i)).add("c", c.row(i));
      clients.add(m);
    }
    clients.updates();
    out.add("a", out_a).add("b", out_b).add("c", out_c);
  }
  fedagg::impl::findings run(const std::vector<std::size_t>& present, const fedagg::gram_query& query = {}) {
    bool in_place = false;
    REQUIRE(fedagg::impl::admit_output(clients, out.entries(), how, buffers) == errc::ok);
    REQUIRE(fedagg::impl::admit_memory(clients, out.entries(), buffers, in_place) == errc::ok);
    buffers.present.assign(present.data(), present.size());
    buffers.fault_place.assign(n, none);
    fedagg::impl::lay_out(clients, out.entries(), how, buffers);
    return fedagg::impl::gram_pass(clients, out.entries(), how, query, buffers, table).run();
  }
  std::size_t place(std::size_t tensor, errc reason) const {
    return tensor * fedagg::impl::fault_reasons + static_cast<std::size_t>(reason);
  }
};

} // namespace

TEST_CASE("pass gram marks bad clients with their first tensor and works on the others") {
  const numeric::threads three{3};
  for (const bool threaded : {false, true}) {
    admitted r;
    if (threaded) r.how.executor = three;
    rounds::spoil(r.a.at(1, 39999), 0);
    rounds::spoil(r.c.at(1, 0), 1);
    rounds::spoil(r.c.at(3, 32), 2);
    r.b.at(4, 5) = 1e200;
    const auto f = r.run({0, 1, 3, 4});
    CHECK(f.code == errc::ok);
    CHECK(f.bad_client);
    CHECK(r.buffers.fault_place[0] == admitted::none);
    CHECK(r.buffers.fault_place[1] == r.place(0, errc::non_finite));
    CHECK(r.buffers.fault_place[2] == admitted::none);
    CHECK(r.buffers.fault_place[3] == r.place(2, errc::non_finite));
    CHECK(r.buffers.fault_place[4] == r.place(1, errc::client_range));
    REQUIRE(r.table.clients().size() == 1);
    CHECK(r.table.clients()[0] == 0);
    CHECK(r.table.order() == 1);
  }
}

TEST_CASE("rows that a round has dropped before have no place in the matrices") {
  admitted r;
  REQUIRE(r.run({0, 2, 4}).code == errc::ok);
  REQUIRE(r.table.order() == 3);
  const double near = r.table.distances()[1], far = r.table.distances()[2];
  admitted two;
  REQUIRE(two.run({0, 4}).code == errc::ok);
  CHECK(two.table.distances()[1] == far);
  CHECK(near != far);
}

TEST_CASE("a bad base or trusted row is the caller's, and named") {
  admitted r;
  matrix<float> a = numeric::sample<float>(numeric::kind::normal, 1, 40000, 4);
  std::vector<double> b(900);
  std::vector<fedagg::bfloat16> c(33);
  fedagg::model_view extra;
  extra.add("a", a.row(0)).add("b", b).add("c", c);
  CHECK(r.run({0, 1, 2}, {.trusted = &extra}).code == errc::ok);
  CHECK(r.table.order() == 4);
  rounds::spoil(b[3], 1);
  auto f = r.run({0, 1, 2}, {.trusted = &extra});
  CHECK(f.code == errc::non_finite);
  CHECK(f.tensor == 1);
  r.clients.base(extra);
  f = r.run({0, 1, 2});
  CHECK(f.code == errc::non_finite);
  CHECK(f.tensor == 1);
  fedagg::model_view renamed;
  renamed.add("a", a.row(0)).add("B", b).add("c", c);
  f = r.run({0, 1, 2}, {.trusted = &renamed});
  CHECK(f.code == errc::layout_mismatch);
  CHECK(f.tensor == 1);
  for (const std::size_t p : r.buffers.fault_place.each()) CHECK(p == admitted::none);
}

TEST_CASE("executors that do not run every task once are found out") {
  const auto skips = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 1; i < count; ++i) t(i);
  };
  const auto repeats = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 0; i < count; ++i) t(i);
    t(count - 1);
  };
  const auto invents = [](std::size_t count, fedagg::task t) {
    for (std::size_t i = 0; i <= count; ++i) t(i);
  };
  const fedagg::executor_ref all[] = {skips, repeats, invents};
  for (const auto& executor : all) {
    admitted r;
    r.how.executor = executor;
    CHECK(r.run({0, 1, 2}).code == errc::executor_failed);
  }
}

TEST_CASE("a second call of the same size allocates nothing, whether it needs a second pass or not") {
  for (const bool close : {false, true}) {
    admitted r;
    if (close)
      for (std::size_t i = 1; i < admitted::n; ++i) {
        for (std::size_t j = 0; j < r.a.d; ++j) r.a.at(i, j) = r.a.at(0, j);
        for (std::size_t j = 0; j < r.b.d; ++j) r.b.at(i, j) = r.b.at(0, j) * (1 + 1e-7 * static_cast<double>(i));
        for (std::size_t j = 0; j < r.c.d; ++j) r.c.at(i, j) = r.c.at(0, j);
      }
    const std::vector<std::size_t> present{0, 1, 2, 3, 4};
    REQUIRE(r.run(present).code == errc::ok);
    CHECK(r.table.passes() == (close ? 2u : 1u));
    const fedagg::gram_query query;
    fedagg::impl::gram_pass again(r.clients, r.out.entries(), r.how, query, r.buffers, r.table);
    const std::size_t before = allocations::count;
    const auto f = again.run();
    const std::size_t used = allocations::count - before;
    CHECK(f.code == errc::ok);
    CHECK(used == 0);
  }
}
