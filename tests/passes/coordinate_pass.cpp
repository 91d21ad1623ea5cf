// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <fedagg/passes/coordinate_pass.hpp>

#include "compiled/rules.hpp"
#include "support/rounds.hpp"

using namespace rounds;
using fedagg::cohort;
using fedagg::mean;
using fedagg::median;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::task;
using fedagg::trimmed_mean;

namespace {

/// Five clients of four tensors of each floating type, so that tiles of every grain end in the middle of a vector.
struct models {
  static constexpr std::size_t clients = 5;
  numeric::matrix<float> a{clients, 203};
  numeric::matrix<double> b{clients, 77};
  numeric::matrix<fedagg::float16> c{clients, 39};
  numeric::matrix<fedagg::bfloat16> d{clients, 41};
  models()
      : a(numeric::sample<float>(numeric::kind::normal, clients, 203, 1)),
        b(numeric::sample<double>(numeric::kind::normal, clients, 77, 2)),
        c(numeric::sample<fedagg::float16>(numeric::kind::normal, clients, 39, 3)),
        d(numeric::sample<fedagg::bfloat16>(numeric::kind::normal, clients, 41, 4)) {}

  model_view client(std::size_t i) const {
    model_view m;
    m.add("a", a.row(i)).add("b", b.row(i)).add("c", c.row(i)).add("d", d.row(i));
    return m;
  }
  /// Spoils coordinate `at` of a tensor of client i.
  void spoil(std::size_t i, std::size_t tensor, bool last, std::size_t kind) {
    if (tensor == 0) rounds::spoil(a.at(i, last ? 202 : 0), kind);
    if (tensor == 1) rounds::spoil(b.at(i, last ? 76 : 0), kind);
    if (tensor == 2) rounds::spoil(c.at(i, last ? 38 : 0), kind);
    if (tensor == 3) rounds::spoil(d.at(i, last ? 40 : 0), kind);
  }
};

struct result {
  guarded<float> a{203};
  guarded<double> b{77};
  guarded<fedagg::float16> c{39};
  guarded<fedagg::bfloat16> d{41};
  mutable_model_view view() {
    mutable_model_view m;
    m.add("a", a.data).add("b", b.data).add("c", c.data).add("d", d.data);
    return m;
  }
  bool untouched() const { return a.untouched() && b.untouched() && c.untouched() && d.untouched(); }
  bool same(const result& o) const {
    return numeric::same_bits(a.data, o.a.data) && numeric::same_bits(b.data, o.b.data) &&
           numeric::same_bits(c.data, o.c.data) && numeric::same_bits(d.data, o.d.data);
  }
};

constexpr const char* tensor_names[] = {"a", "b", "c", "d"};

/// Serial and with threads, in tiles of every size.
template <class F>
void on_each_schedule(const F& f) {
  const numeric::threads four{4};
  for (const std::size_t grain : {1u, 7u, 64u, 1000u})
    for (const bool threaded : {false, true})
      for (const mode m : {mode::direct, mode::atomic}) {
        options how;
        if (threaded) how.executor = four;
        how.grain = grain;
        how.write = m;
        INFO("grain " << grain << (threaded ? ", threads, " : ", serial, ") << name_of(m));
        f(how);
      }
}

/// An executor that misbehaves.
struct broken {
  enum class way {
    skips_one,
    skips_all,
    repeats_one,
    invents_one,
    throws_first,
    throws_last,
    throws_memory,
    swaps_one
  } how;
  std::size_t good_loops = 0;
  void operator()(std::size_t count, task t) {
    if (good_loops > 0) {
      --good_loops;
      for (std::size_t i = 0; i < count; ++i) t(i);
      return;
    }
#if FEDAGG_EXCEPTIONS
    if (how == way::throws_first) throw std::runtime_error("no threads");
#endif
    if (how == way::skips_all) return;
    for (std::size_t i = how == way::skips_one || how == way::swaps_one; i < count; ++i) t(i);
    if (how == way::repeats_one || how == way::swaps_one) t(count - 1);
    if (how == way::invents_one) t(count);
#if FEDAGG_EXCEPTIONS
    if (how == way::throws_last) throw 42;
    if (how == way::throws_memory) throw std::bad_alloc();
#endif
  }
};

#if FEDAGG_EXCEPTIONS
/// Throws in the tile that holds a client's value of 13.
struct superstitious {
  static constexpr const char* name = "superstitious";
  static constexpr auto fields() { return std::tuple{}; }
  static inline std::size_t calls = 0;
  template <class Lanes>
  void operator()(fedagg::column<Lanes> x, Lanes& out) const {
    if (++calls == 3) throw std::logic_error("thirteen");
    out = x[0];
  }
};
#endif

} // namespace

TEST_CASE("a NaN or Inf anywhere costs its client the round, and leaves what the others give, bit for bit") {
  on_each_rule([](const auto& rule) {
    const models good;
    cohort without;
    for (const std::size_t i : {0u, 1u, 2u, 4u}) without.add(good.client(i), {.weight = 1.0 + static_cast<double>(i)});
    result want;
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(rule, without, want.view(), space) == errc::ok);
    on_each_schedule([&](const options& how) {
      for (std::size_t tensor = 0; tensor < 4; ++tensor)
        for (std::size_t kind = 0; kind < bad_kinds; kind += how.grain == 64 ? 1 : 3) {
          models m;
          m.spoil(3, tensor, kind % 2 == 0, kind);
          cohort clients;
          for (std::size_t i = 0; i < models::clients; ++i)
            clients.add(m.client(i), {.weight = 1.0 + static_cast<double>(i), .id = i == 3 ? "spoiled" : "good"});
          result out;
          const errc rc = fedagg::try_aggregate(rule, clients, out.view(), space, how);
          INFO(rule.name << " kind " << kind << " in " << tensor_names[tensor]);
          REQUIRE(rc == errc::ok);
          CHECK(out.same(want));
          const auto& o = space.result();
          REQUIRE(o.rejected.size() == 1);
          CHECK(o.rejected[0].client == 3);
          CHECK(o.rejected[0].id == "spoiled");
          CHECK(o.rejected[0].reason == errc::non_finite);
          CHECK(o.rejected[0].tensor == tensor);
          CHECK(o.rejected[0].tensor_name == tensor_names[tensor]);
          CHECK(o.used == 4);
          CHECK(o.state == output::written);
          CHECK(o.passes == (how.write == mode::direct ? 2u : 3u));
        }
    });
  });
}

TEST_CASE("bad values in several tensors and clients: each client once, with its first tensor") {
  on_each_rule([](const auto& rule) {
    on_each_schedule([&](const options& how) {
      models m;
      // Client 4 comes last and is found in the last tensor too; client 0 is found twice.
      m.spoil(0, 3, true, 0);
      m.spoil(0, 1, false, 1);
      m.spoil(4, 2, false, 2);
      m.spoil(4, 3, false, 3);
      cohort clients;
      for (std::size_t i = 0; i < models::clients; ++i) clients.add(m.client(i));
      cohort without;
      for (const std::size_t i : {1u, 2u, 3u}) without.add(m.client(i));
      result out, want;
      fedagg::workspace space, other;
      REQUIRE(fedagg::try_aggregate(rule, without, want.view(), other) == errc::ok);
      REQUIRE(fedagg::try_aggregate(rule, clients, out.view(), space, how) == errc::ok);
      INFO(rule.name);
      const auto& o = space.result();
      REQUIRE(o.rejected.size() == 2);
      CHECK(o.rejected[0].client == 0);
      CHECK(o.rejected[0].tensor_name == "b");
      CHECK(o.rejected[1].client == 4);
      CHECK(o.rejected[1].tensor_name == "c");
      CHECK(o.passes <= (how.write == mode::direct ? 2u : 3u));
      CHECK(out.same(want));
    });
  });
}

TEST_CASE("too many bad clients refuse the round, and an atomic one leaves the output as it was") {
  on_each_rule([](const auto& rule) {
    on_each_schedule([&](const options& how) {
      for (const bool fail : {false, true}) {
        models m;
        for (const std::size_t i : {0u, 2u, 3u, 4u}) m.spoil(i, i % 4, i % 2 == 0, i % bad_kinds);
        cohort clients;
        for (std::size_t i = 0; i < models::clients; ++i) clients.add(m.client(i));
        options strict = how;
        strict.on_bad_client = fail ? bad_client::fail : bad_client::reject;
        result out;
        fedagg::workspace space;
        const errc rc = fedagg::try_aggregate(rule, clients, out.view(), space, strict);
        INFO(rule.name << (fail ? " fail" : " reject"));
        if (fail)
          CHECK(rc == errc::non_finite);
        else
          CHECK((rc == errc::too_many_rejected || rc == errc::too_few_clients));
        CHECK(space.result().rejected.size() == 4);
        CHECK(space.result().passes == 1);
        if (how.write == mode::atomic) {
          CHECK(space.result().state == output::untouched);
          CHECK(out.untouched());
        } else {
          CHECK(space.result().state == output::unspecified);
        }
      }
    });
  });
}

TEST_CASE("max_rejected counts the clients lost before and during the pass") {
  models m;
  m.spoil(2, 0, false, 0);
  for (const std::size_t most : {0u, 1u, 2u}) {
    cohort clients;
    clients.add(m.client(0)).add(m.client(1), {.weight = -1}).add(m.client(2)).add(m.client(3)).add(m.client(4));
    result out;
    fedagg::workspace space;
    const errc rc =
        fedagg::try_aggregate(mean{}, clients, out.view(), space, {.write = mode::atomic, .max_rejected = most});
    CHECK(rc == (most < 2 ? errc::too_many_rejected : errc::ok));
    CHECK(space.result().rejected.size() == (most == 0 ? 1u : 2u));
    CHECK(out.untouched() == (most < 2));
    if (most == 2) CHECK(space.result().used == 3);
  }
}

TEST_CASE("a refused round tells how many clients were left") {
  models m;
  for (const std::size_t i : {0u, 2u, 3u}) m.spoil(i, 0, false, 0);
  cohort clients;
  for (std::size_t i = 0; i < models::clients; ++i) clients.add(m.client(i));
  result out;
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(mean{}, clients, out.view(), space) == errc::too_many_rejected);
  CHECK(space.result().used == 2);
}

TEST_CASE("propagated NaN and Inf reach their coordinates and no others") {
  on_each_schedule([](const options& how) {
    models m;
    const models good;
    m.spoil(1, 0, true, 0);
    m.spoil(2, 1, false, 1);
    m.spoil(3, 2, true, 2);
    cohort clients, clean;
    for (std::size_t i = 0; i < models::clients; ++i) {
      clients.add(m.client(i));
      clean.add(good.client(i));
    }
    options flowing = how;
    flowing.on_bad_client = bad_client::propagate;
    result out, want;
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(mean{}, clean, want.view(), space) == errc::ok);
    REQUIRE(fedagg::try_aggregate(mean{}, clients, out.view(), space, flowing) == errc::ok);
    CHECK(space.result().rejected.empty());
    CHECK(space.result().used == 5);
    CHECK((std::bit_cast<std::uint32_t>(out.a.data[202]) & 0x7fffffffu) > 0x7f800000u);
    CHECK(std::bit_cast<std::uint64_t>(out.b.data[0]) == 0x7ff0000000000000u);
    CHECK(out.c.data[38].bits == 0xfc00u);
    out.a.data[202] = want.a.data[202];
    out.b.data[0] = want.b.data[0];
    out.c.data[38] = want.c.data[38];
    CHECK(out.same(want));
  });
}

TEST_CASE("an integer beyond 2^53 costs its client the round; 2^53 itself does not") {
  constexpr std::int64_t limit = std::int64_t{1} << 53;
  on_each_schedule([&](const options& how) {
    for (const std::int64_t bad : {limit + 1, -limit - 1, INT64_MAX, INT64_MIN}) {
      std::vector<std::int64_t> x(70, limit), y(70, limit), z(70, limit), out(70);
      x[69] = -limit;
      z[69] = -limit;
      y[69] = bad;
      for (const bad_client p : {bad_client::reject, bad_client::fail, bad_client::propagate}) {
        cohort clients;
        clients.add(x).add(y).add(z);
        options with = how;
        with.on_bad_client = p;
        fedagg::workspace space;
        const errc rc = fedagg::try_aggregate(mean{}, clients, out, space, with);
        INFO(name_of(p) << " " << bad);
        CHECK(rc == (p == bad_client::reject ? errc::ok : errc::integer_range));
        if (p == bad_client::propagate) continue;
        REQUIRE(space.result().rejected.size() == 1);
        CHECK(space.result().rejected[0].client == 1);
        CHECK(space.result().rejected[0].reason == errc::integer_range);
        if (p == bad_client::reject) CHECK(out == x);
      }
    }
  });
  std::vector<std::uint64_t> good(3, std::uint64_t{1} << 53), bad(3, (std::uint64_t{1} << 53) + 1), out(3);
  cohort clients;
  clients.add(good).add(bad, {.id = "bad"}).add(good);
  fedagg::workspace space;
  REQUIRE(fedagg::try_aggregate(median{}, clients, out, space) == errc::ok);
  CHECK(out == good);
  CHECK(space.result().rejected.at(0).id == "bad");
}

TEST_CASE("values of a kept tensor are nobody's fault") {
  std::vector<std::int64_t> huge(2, INT64_MAX), base(2, 5), out(2);
  cohort clients;
  clients.add(huge).add(huge).base(base);
  mutable_model_view m;
  m.add({}, out, fedagg::integers::keep);
  for (const mode how : {mode::direct, mode::atomic}) {
    out = {0, 0};
    fedagg::workspace space;
    CHECK(fedagg::try_aggregate(midrange{}, clients, m, space, {.write = how}) == errc::ok);
    CHECK(out == base);
  }
}

TEST_CASE("a base that cannot be used fails the round with its reason, where the rule reads it") {
  std::vector<float> x(50, 1), base(50, 1);
  spoil(base[49], 0);
  std::vector<std::int64_t> i(50, 1), beyond(50, 1);
  beyond[3] = INT64_MAX;
  for (const mode how : {mode::direct, mode::atomic}) {
    guarded<float> out(50);
    guarded<std::int64_t> whole(50);
    fedagg::workspace space;
    cohort floats, integers;
    floats.add(x).add(x).base(base);
    integers.add(i).add(i).base(beyond);
    CHECK(fedagg::try_aggregate(midrange{}, floats, out.data, space, {.write = how}) == errc::non_finite);
    CHECK(space.result().rejected.empty());
    CHECK(out.untouched() == (how == mode::atomic));
    CHECK(fedagg::try_aggregate(midrange{}, integers, whole.data, space, {.write = how}) == errc::integer_range);
    CHECK(whole.untouched() == (how == mode::atomic));
    CHECK(fedagg::try_aggregate(mean{}, floats, out.data, space, {.write = how}) == errc::ok);
  }
}

TEST_CASE("an executor that does not run every task once is found out") {
  using way = broken::way;
  const models m;
  cohort clients;
  for (std::size_t i = 0; i < models::clients; ++i) clients.add(m.client(i));
  for (const way how : {way::skips_one, way::skips_all, way::repeats_one, way::invents_one, way::swaps_one})
    for (const mode written : {mode::direct, mode::atomic}) {
      broken e{how};
      result out;
      fedagg::workspace space;
      INFO("way " << static_cast<int>(how) << " " << name_of(written));
      CHECK(fedagg::try_aggregate(mean{}, clients, out.view(), space, {.write = written, .executor = e, .grain = 16}) ==
            errc::executor_failed);
      CHECK(out.untouched() == (written == mode::atomic || how == way::skips_all));
      CHECK(space.result().state == (written == mode::atomic ? output::untouched : output::unspecified));
    }
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("an executor that throws ends the round with a code, and says what the output holds") {
  using way = broken::way;
  const models m;
  cohort clients;
  for (std::size_t i = 0; i < models::clients; ++i) clients.add(m.client(i));
  for (const way how : {way::throws_first, way::throws_last, way::throws_memory})
    for (const std::size_t good : {0u, 1u}) {
      broken e{how, good};
      result out;
      fedagg::workspace space;
      const errc rc = fedagg::try_aggregate(mean{}, clients, out.view(), space,
                                            {.write = mode::atomic, .executor = e, .grain = 16});
      CHECK(rc == (how == way::throws_memory ? errc::out_of_memory : errc::executor_failed));
      // The second loop of an atomic round is the one that writes.
      CHECK(space.result().state == (good == 0 ? output::untouched : output::unspecified));
      if (good == 0) CHECK(out.untouched());
      broken again{how, 5};
      CHECK(fedagg::try_aggregate(mean{}, clients, out.view(), space, {.executor = again}) == errc::ok);
    }
  broken e{way::throws_first};
  result out;
  CHECK_THROWS_AS(fedagg::aggregate(mean{}, clients, out.view(), {.executor = e}), fedagg::error);
}

TEST_CASE("a user's rule that throws ends the round with a code, on any thread") {
  std::vector<float> x(300, 1), y(300, 2);
  cohort clients;
  clients.add(x).add(y);
  const numeric::threads one{1};
  for (const mode how : {mode::direct, mode::atomic})
    for (const bool other : {false, true}) {
      options o{.write = how, .grain = 16};
      if (other) o.executor = one;
      guarded<float> out(300);
      superstitious::calls = 0;
      fedagg::workspace space;
      CHECK(fedagg::try_aggregate(superstitious{}, clients, out.data, space, o) == errc::rule_failed);
      CHECK(space.result().state == (how == mode::atomic ? output::untouched : output::unspecified));
      if (how == mode::atomic) CHECK(out.untouched());
      // What it held is free again.
      CHECK(fedagg::try_aggregate(superstitious{}, clients, out.data, space, o) == errc::ok);
    }
}
#endif

TEST_CASE("grains of one coordinate, of all, and beyond all give the same bits") {
  const models m;
  cohort clients;
  for (std::size_t i = 0; i < models::clients; ++i) clients.add(m.client(i));
  on_each_rule([&](const auto& rule) {
    fedagg::workspace space;
    result want;
    REQUIRE(fedagg::try_aggregate(rule, clients, want.view(), space) == errc::ok);
    for (const std::size_t grain :
         {std::size_t{1}, std::size_t{13}, std::size_t{203}, std::size_t{1} << 40, SIZE_MAX}) {
      result out;
      REQUIRE(fedagg::try_aggregate(rule, clients, out.view(), space, {.grain = grain}) == errc::ok);
      CHECK(out.same(want));
      CHECK(space.result().passes == 1);
    }
  });
}

TEST_CASE("empty tensors between others change nothing") {
  std::vector<float> none, a(3, 1), b(5, 2), oa(3), ob(5);
  model_view m;
  m.add("0", none).add("a", a).add("1", none).add("2", none).add("b", b).add("3", none);
  mutable_model_view out;
  out.add("0", none).add("a", oa).add("1", none).add("2", none).add("b", ob).add("3", none);
  cohort clients;
  clients.add(m).add(m);
  on_each_schedule([&](const options& how) {
    oa.assign(3, 0);
    ob.assign(5, 0);
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(median{}, clients, out, space, how) == errc::ok);
    CHECK(oa == a);
    CHECK(ob == b);
  });
}
