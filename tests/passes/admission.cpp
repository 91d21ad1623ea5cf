// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <fedagg/passes/admission.hpp>

#include "compiled/rules.hpp"
#include "support/rounds.hpp"

using namespace rounds;
using fedagg::any_mutable_tensor;
using fedagg::any_tensor;
using fedagg::cohort;
using fedagg::dtype;
using fedagg::integers;
using fedagg::mean;
using fedagg::median;
using fedagg::model_view;
using fedagg::mutable_model_view;
using fedagg::scope;
using fedagg::tensor_view;
using fedagg::trimmed_mean;

namespace {

/// Four good clients of ten floats, and everything a call needs.
struct call {
  std::vector<std::vector<float>> rows = std::vector<std::vector<float>>(4, std::vector<float>(10, 1.5f));
  std::vector<float> base_data = std::vector<float>(10, 0.5f);
  guarded<float> out{10};
  guarded<float> larger{40};
  cohort clients;
  options how;
  call() {
    for (auto& r : rows) clients.add(r);
  }
};

/// Refused with this code in every mode and under every policy, before the first write.
template <class Rule>
void refused(errc want, const Rule& rule, call& c, const mutable_model_view& out) {
  for (const mode m : {mode::direct, mode::atomic})
    for (const bad_client p : {bad_client::reject, bad_client::fail, bad_client::propagate}) {
      if (p == bad_client::propagate && !fedagg::linear_rule<Rule>) continue;
      options how = c.how;
      how.write = m;
      how.on_bad_client = p;
      fedagg::workspace space;
      const errc got = fedagg::try_aggregate(rule, c.clients, out, space, how);
      INFO(name_of(m) << " " << name_of(p) << ": " << fedagg::message(got) << " for " << fedagg::message(want));
      CHECK(got == want);
      CHECK(space.result().code == want);
      CHECK(space.result().state == output::untouched);
      CHECK(space.result().passes == 0);
      CHECK(c.out.untouched());
      CHECK(c.larger.untouched());
    }
}

template <class Rule = mean>
void refused(errc want, call& c, const mutable_model_view& out, const Rule& rule = {}) {
  refused(want, rule, c, out);
}

tensor_view<float> at(std::vector<float>& v, std::size_t first, std::vector<std::size_t> shape,
                      std::vector<std::ptrdiff_t> strides) {
  return tensor_view<float>(v.data() + first, shape, strides);
}

} // namespace

TEST_CASE("an empty cohort is refused") {
  call c;
  c.clients.clear();
  refused(errc::empty_cohort, c, c.out.data);
  refused(errc::empty_cohort, c, mutable_model_view{});
}

TEST_CASE("an output of another size, rank, type or name fits no client") {
  call c;
  // Who is wrong, when all clients differ from the output? By the policy it is the clients.
  c.how.max_rejected = 0;
  std::vector<float> nine(9), eleven(11);
  std::vector<double> doubles(10);
  const std::size_t matrix[] = {2, 5};
  mutable_model_view named, two;
  named.add("w", c.out.data);
  two.add({}, c.out.data).add({}, nine);
  for (const mutable_model_view& out :
       {mutable_model_view(nine), mutable_model_view(eleven), mutable_model_view(doubles), named, two,
        mutable_model_view(tensor_view<float>(c.out.data.data(), matrix)), mutable_model_view{}})
    for (const bad_client p : {bad_client::reject, bad_client::fail, bad_client::propagate}) {
      fedagg::workspace space;
      c.how.on_bad_client = p;
      const errc rc = fedagg::try_aggregate(mean{}, c.clients, out, space, c.how);
      CHECK(rc == (p == bad_client::reject ? errc::too_many_rejected : errc::client_layout));
      CHECK(space.result().state == output::untouched);
      CHECK(c.out.untouched());
    }
}

TEST_CASE("an output that overlaps a client is refused, by one element or all, strided or not") {
  call c;
  refused(errc::overlapping_output, c, c.rows[2]);
  std::vector<float>& buffer = c.larger.data;
  c.clients.clear();
  c.clients.add(at(buffer, 0, {10}, {1})).add(c.rows[0]);
  refused(errc::overlapping_output, c, at(buffer, 0, {10}, {1}));
  refused(errc::overlapping_output, c, at(buffer, 9, {10}, {1}));
  refused(errc::overlapping_output, c, at(buffer, 9, {10}, {3}));
  refused(errc::overlapping_output, c, at(buffer, 18, {10}, {-2}));
  refused(errc::overlapping_output, c, at(buffer, 39, {10}, {-4}));
  fedagg::workspace space;
  // Next to each other is not on each other.
  CHECK(fedagg::try_aggregate(mean{}, c.clients, at(buffer, 10, {10}, {1}), space) == errc::ok);
  c.larger.reset();
  CHECK(fedagg::try_aggregate(mean{}, c.clients, at(buffer, 28, {10}, {-2}), space) == errc::ok);
  c.larger.reset();
}

TEST_CASE("interleaved memory that shares elements is overlapping memory") {
  call c;
  std::vector<float>& buffer = c.larger.data;
  c.clients.clear();
  c.clients.add(at(buffer, 0, {10}, {2})).add(c.rows[0]);
  refused(errc::overlapping_output, c, at(buffer, 2, {10}, {3}));
  // Broadcast inputs are legal, and overlap like others.
  c.clients.clear();
  c.clients.add(at(buffer, 5, {10}, {0})).add(c.rows[0]);
  refused(errc::overlapping_output, c, at(buffer, 0, {10}, {1}));
}

TEST_CASE("an output whose elements share memory is refused") {
  call c;
  std::vector<float>& buffer = c.larger.data;
  refused(errc::overlapping_output, c, at(buffer, 0, {10}, {0}));
  const std::size_t matrix[] = {5, 2};
  c.clients.clear();
  for (auto& r : c.rows) c.clients.add(tensor_view<float>(r.data(), matrix));
  refused(errc::overlapping_output, c, at(buffer, 0, {5, 2}, {1, 1}));
  refused(errc::overlapping_output, c, at(buffer, 0, {5, 2}, {2, 0}));
  refused(errc::overlapping_output, c, at(buffer, 0, {5, 2}, {1, 4}));
  refused(errc::overlapping_output, c, at(buffer, 30, {5, 2}, {-1, 4}));
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(mean{}, c.clients, at(buffer, 0, {5, 2}, {1, 5}), space) == errc::ok);
  c.larger.reset();
  CHECK(fedagg::try_aggregate(mean{}, c.clients, at(buffer, 39, {5, 2}, {-2, -1}), space) == errc::ok);
  c.larger.reset();
}

TEST_CASE("two tensors of an output may not share memory") {
  call c;
  c.clients.clear();
  for (auto& r : c.rows) {
    model_view m;
    m.add("a", std::span<const float>(r).first(4)).add("b", std::span<const float>(r).subspan(4, 4));
    c.clients.add(m);
  }
  mutable_model_view out;
  out.add("a", std::span<float>(c.out.data).subspan(3, 4)).add("b", std::span<float>(c.out.data).first(4));
  refused(errc::overlapping_output, c, out);
}

TEST_CASE("a base is the output exactly, or apart from it") {
  call c;
  c.larger.reset();
  std::vector<float>& buffer = c.larger.data;
  c.clients.base(at(buffer, 1, {10}, {1}));
  refused(errc::overlapping_output, c, at(buffer, 0, {10}, {1}));
  refused(errc::overlapping_output, c, at(buffer, 10, {10}, {-1}));
  refused(errc::overlapping_output, c, at(buffer, 1, {10}, {2}));
  refused(errc::overlapping_output, midrange{}, c, at(buffer, 0, {10}, {1}));
}

TEST_CASE("an alias of the wrong tensor of the base is an overlap") {
  std::vector<float> a(4, 1), b(4, 2), x(4, 3), y(4, 4);
  model_view client, base;
  client.add("a", x).add("b", y);
  base.add("a", a).add("b", b);
  mutable_model_view crossed;
  crossed.add("a", b).add("b", a);
  cohort clients;
  clients.add(client).base(base);
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(midrange{}, clients, crossed, space) == errc::overlapping_output);
  CHECK(a == std::vector<float>(4, 1));
  CHECK(b == std::vector<float>(4, 2));
}

TEST_CASE("a base of another layout is refused") {
  call c;
  std::vector<float> nine(9);
  std::vector<double> doubles(10);
  model_view named, two;
  named.add("w", c.base_data);
  two.add({}, c.base_data).add("x", nine);
  for (const model_view& base : {model_view(nine), model_view(doubles), named, two, model_view{}}) {
    c.clients.base(base);
    refused(errc::layout_mismatch, c, c.out.data);
    refused(errc::layout_mismatch, midrange{}, c, c.out.data);
  }
}

TEST_CASE("null data is refused in outputs, bases and clients") {
  call c;
  refused(errc::null_data, c, tensor_view<float>(nullptr, 10));
  refused(errc::null_data, c, tensor_view<float>());
  c.clients.base(tensor_view<const float>(nullptr, 10));
  refused(errc::null_data, c, c.out.data);
  call d;
  d.clients.add(tensor_view<const float>(nullptr, 10), {.id = "lost"});
  refused(errc::null_data, d, d.out.data);
}

TEST_CASE("shapes that overflow are refused in outputs and clients") {
  call c;
  const std::size_t huge[] = {SIZE_MAX / 2, 3};
  refused(errc::size_overflow, c, tensor_view<float>(c.out.data.data(), huge));
  c.clients.add(tensor_view<const float>(c.base_data.data(), huge));
  refused(errc::size_overflow, c, c.out.data);
}

TEST_CASE("strides that overflow are refused in outputs and clients") {
  call c;
  const std::size_t shape[] = {10};
  const std::ptrdiff_t far[] = {PTRDIFF_MIN};
  refused(errc::size_overflow, c, tensor_view<float>(c.out.data.data(), shape, far));
  c.clients.add(tensor_view<const float>(c.base_data.data(), shape, far));
  refused(errc::size_overflow, c, c.out.data);
}

TEST_CASE("a client that is a view of nothing is no scalar") {
  float scalar = 2, result = 3;
  const auto view = [](float& x) { return any_tensor(dtype::f32, &x, std::span<const std::size_t>{}); };
  model_view good, nothing;
  good.add({}, view(scalar));
  nothing.add({}, any_tensor());
  cohort clients;
  clients.add(good).add(good).add(nothing);
  mutable_model_view out;
  out.add({}, any_mutable_tensor(dtype::f32, &result, std::span<const std::size_t>{}));
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(mean{}, clients, out, space) == errc::ok);
  CHECK(result == 2);
  CHECK(space.result().rejected.size() == 1);
}

TEST_CASE("wrongly many weights are refused") {
  for (const std::size_t count : {0u, 3u, 5u}) {
    call c;
    c.clients.weights(std::vector<double>(count, 1.0));
    refused(errc::weight_count, c, c.out.data);
    refused(errc::weight_count, median{}, c, c.out.data);
  }
}

TEST_CASE("weights that are all zero are refused by rules that use them, and by no others") {
  call c;
  c.clients.weights(std::array{0.0, -0.0, 0.0, 0.0});
  refused(errc::zero_weight_sum, c, c.out.data);
  refused(errc::zero_weight_sum, median{.weighting = fedagg::weights::trusted}, c, c.out.data);
  refused(errc::zero_weight_sum, trimmed_mean{.trim = 1, .weighting = fedagg::weights::trusted}, c, c.out.data);
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(median{}, c.clients, c.out.data, space) == errc::ok);
}

TEST_CASE("a trim of half the clients or more is refused") {
  call c;
  for (const std::int64_t trim : {std::int64_t{2}, std::int64_t{3}, std::int64_t{4}, std::int64_t{1} << 53})
    refused(errc::too_few_clients, trimmed_mean{.trim = trim}, c, c.out.data);
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(trimmed_mean{.trim = 1}, c.clients, c.out.data, space) == errc::ok);
}

TEST_CASE("impossible parameters are refused") {
  call c;
  const double nan = numeric::value(std::bit_cast<double>(bad_doubles[0])), inf = std::bit_cast<double>(bad_doubles[1]);
  const auto trusted = fedagg::weights::trusted;
  for (const double bad : {-0.1, -2.0, 0.5, 0.75, 1.0, 1e300, nan, inf, -inf}) {
    refused(errc::bad_parameter, trimmed_mean{.fraction = bad}, c, c.out.data);
    refused(errc::bad_parameter, trimmed_mean{.mass = bad, .weighting = trusted}, c, c.out.data);
  }
  for (const std::int64_t bad : {std::int64_t{-2}, INT64_MIN, INT64_MAX})
    refused(errc::bad_parameter, trimmed_mean{.trim = bad}, c, c.out.data);
  for (const double bad : {-1.0, nan, inf}) {
    refused(errc::bad_parameter, median{.weighting = trusted, .weight_cap = bad}, c, c.out.data);
    refused(errc::bad_parameter, trimmed_mean{.trim = 1, .weighting = trusted, .weight_cap = bad}, c, c.out.data);
  }
}

TEST_CASE("exactly one of trim, fraction and mass is given, and mass only with trusted weights") {
  call c;
  const auto trusted = fedagg::weights::trusted;
  refused(errc::bad_parameter, trimmed_mean{}, c, c.out.data);
  refused(errc::bad_parameter, trimmed_mean{.trim = 1, .fraction = 0.1}, c, c.out.data);
  refused(errc::bad_parameter, trimmed_mean{.trim = 0, .fraction = 0}, c, c.out.data);
  refused(errc::bad_parameter, trimmed_mean{.trim = 1, .mass = 0.1, .weighting = trusted}, c, c.out.data);
  refused(errc::bad_parameter, trimmed_mean{.fraction = 0.1, .mass = 0.1, .weighting = trusted}, c, c.out.data);
  refused(errc::bad_parameter, trimmed_mean{.mass = 0.1}, c, c.out.data);
  refused(errc::bad_parameter, trimmed_mean{.weighting = trusted}, c, c.out.data);
}

TEST_CASE("only linear rules propagate") {
  call c;
  c.how.on_bad_client = bad_client::propagate;
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(median{}, c.clients, c.out.data, space, c.how) == errc::bad_parameter);
  CHECK(fedagg::try_aggregate(midrange{}, c.clients, c.out.data, space, c.how) == errc::bad_parameter);
  CHECK(c.out.untouched());
}

TEST_CASE("a scope that matches no tensor is refused") {
  call c;
  c.how.where = scope::matching("w*");
  refused(errc::empty_scope, c, c.out.data);
}

TEST_CASE("a rule that needs an origin refuses raw models, and takes updates or a base") {
  call c;
  refused(errc::missing_origin, sum_of_updates{}, c, c.out.data);
  fedagg::workspace space;
  c.clients.updates();
  CHECK(fedagg::try_aggregate(sum_of_updates{}, c.clients, c.out.data, space) == errc::ok);
  CHECK(c.out.data == std::vector<float>(10, 6.0f));
  call d;
  d.clients.base(d.base_data);
  CHECK(fedagg::try_aggregate(sum_of_updates{}, d.clients, d.out.data, space) == errc::ok);
  CHECK(d.out.data == std::vector<float>(10, 4.5f));
}

TEST_CASE("an integer tensor that is kept needs a base") {
  std::vector<std::int64_t> x(3, 4);
  guarded<std::int64_t> out(3);
  cohort clients;
  clients.add(x);
  mutable_model_view m;
  m.add({}, out.data, integers::keep);
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(mean{}, clients, m, space) == errc::missing_base);
  CHECK(out.untouched());
}

TEST_CASE("element types without arithmetic are refused, kept only where they can be") {
  std::array<bool, 3> flags = {true, false, true}, from = {false, true, true}, kept = {};
  cohort clients;
  clients.add(flags);
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(mean{}, clients, kept, space) == errc::unsupported_element);
  mutable_model_view keep;
  keep.add({}, kept, integers::keep);
  clients.base(from);
  CHECK(fedagg::try_aggregate(mean{}, clients, keep, space) == errc::ok);
  CHECK(kept == from);
  // A type whose size is not even known.
  const std::size_t shape[] = {3};
  for (const integers policy : {integers::average, integers::keep}) {
    guarded<float> out(3);
    model_view in;
    in.add({}, any_tensor(dtype::other, flags.data(), shape));
    cohort others;
    others.add(in).base(in);
    mutable_model_view m;
    m.add({}, any_mutable_tensor(dtype::other, out.data.data(), shape), policy);
    CHECK(fedagg::try_aggregate(mean{}, others, m, space) == errc::unsupported_element);
    CHECK(out.untouched());
  }
}

TEST_CASE("a caller's error names the tensor it is about") {
  call c;
  std::vector<float> other(4), more(4);
  model_view client;
  client.add("first", c.rows[0]).add("second", other);
  c.clients.clear();
  c.clients.add(client);
  mutable_model_view out;
  out.add("first", c.out.data).add("second", tensor_view<float>(nullptr, 4));
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(mean{}, c.clients, out, space) == errc::null_data);
  CHECK(space.result().tensor == 1);
  CHECK(space.result().tensor_name == "second");
}

TEST_CASE("a client whose layout differs is named with the reason and the first tensor at fault") {
  std::vector<float> a(4, 1), b(6, 2), five(5), c(3, 7);
  std::vector<double> doubles(6);
  const std::size_t matrix[] = {2, 3};
  struct fault {
    const char* what;
    model_view model;
    std::size_t tensor;
    const char* name;
  };
  std::vector<fault> faults;
  const auto model = [](auto&... parts) {
    model_view m;
    (m.add(parts.first, parts.second), ...);
    return m;
  };
  using part = std::pair<const char*, std::span<const float>>;
  part pa{"a", a}, pb{"b", b}, short_b{"b", five}, renamed{"B", b}, extra{"c", c}, first{"z", c};
  std::pair<const char*, std::span<const double>> double_b{"b", doubles};
  std::pair<const char*, tensor_view<const float>> matrix_b{"b", tensor_view<const float>(b.data(), matrix)};
  faults.push_back({"length", model(pa, short_b), 1, "b"});
  faults.push_back({"name", model(pa, renamed), 1, "b"});
  faults.push_back({"type", model(pa, double_b), 1, "b"});
  faults.push_back({"rank", model(pa, matrix_b), 1, "b"});
  faults.push_back({"order", model(pb, pa), 0, "a"});
  faults.push_back({"missing", model(pa), 1, "b"});
  faults.push_back({"no tensor", model_view{}, 0, "a"});
  faults.push_back({"extra, first", model(first, pa, pb), 0, "a"});
  faults.push_back({"extra, last", model(pa, pb, extra), 2, "c"});
  for (const auto& f : faults)
    for (const mode m : {mode::direct, mode::atomic})
      for (const bad_client p : {bad_client::reject, bad_client::fail, bad_client::propagate}) {
        cohort clients;
        clients.add(model(pa, pb)).add(f.model, {.id = "odd"}).add(model(pa, pb));
        guarded<float> oa(4), ob(6);
        mutable_model_view out;
        out.add("a", oa.data).add("b", ob.data);
        fedagg::workspace space;
        const errc rc = fedagg::try_aggregate(mean{}, clients, out, space, {.on_bad_client = p, .write = m});
        INFO(f.what << " " << name_of(p) << " " << name_of(m));
        CHECK(rc == (p == bad_client::reject ? errc::ok : errc::client_layout));
        REQUIRE(space.result().rejected.size() == 1);
        const auto& r = space.result().rejected[0];
        CHECK(r.client == 1);
        CHECK(r.id == "odd");
        CHECK(r.reason == errc::client_layout);
        CHECK(r.tensor == f.tensor);
        CHECK(r.tensor_name == f.name);
        if (p == bad_client::reject) {
          CHECK(oa.data == a);
          CHECK(ob.data == b);
          CHECK(space.result().used == 2);
        } else {
          CHECK(space.result().state == output::untouched);
          CHECK(oa.untouched());
          CHECK(ob.untouched());
        }
      }
}

TEST_CASE("a weight that is none costs the client its place, under every policy and rule") {
  const double bad[] = {-1.0,
                        -0x1p-1022,
                        std::bit_cast<double>(bad_doubles[0]),
                        std::bit_cast<double>(bad_doubles[1]),
                        std::bit_cast<double>(bad_doubles[2]),
                        std::bit_cast<double>(bad_doubles[3])};
  on_each_rule([&](const auto& rule) {
    for (const double w : bad)
      for (const mode m : {mode::direct, mode::atomic})
        for (const bad_client p : {bad_client::reject, bad_client::fail}) {
          call c;
          c.rows[1].assign(10, 1e30f);
          c.clients.clear();
          for (std::size_t i = 0; i < 4; ++i)
            c.clients.add(c.rows[i], {.weight = i == 1 ? w : 2.0, .id = i == 1 ? "liar" : ""});
          c.clients.add(c.rows[0]);
          fedagg::workspace space;
          const errc rc = fedagg::try_aggregate(rule, c.clients, c.out.data, space, {.on_bad_client = p, .write = m});
          INFO(rule.name << " weight " << w << " " << name_of(p) << " " << name_of(m));
          REQUIRE(space.result().rejected.size() == 1);
          CHECK(space.result().rejected[0].client == 1);
          CHECK(space.result().rejected[0].id == "liar");
          CHECK(space.result().rejected[0].reason == errc::invalid_weight);
          CHECK(space.result().rejected[0].tensor_name.empty());
          CHECK(rc == (p == bad_client::reject ? errc::ok : errc::invalid_weight));
          if (p == bad_client::reject)
            CHECK(c.out.data == std::vector<float>(10, 1.5f));
          else
            CHECK(c.out.untouched());
        }
  });
}

TEST_CASE("a weight of zero or minus zero leaves the client in, without influence on a mean") {
  for (const double w : {0.0, -0.0}) {
    call c;
    c.rows[3].assign(10, 100.0f);
    c.clients.weights(std::array{1.0, 1.0, 1.0, w});
    fedagg::workspace space;
    CHECK(fedagg::try_aggregate(mean{}, c.clients, c.out.data, space) == errc::ok);
    CHECK(c.out.data == std::vector<float>(10, 1.5f));
    CHECK(space.result().used == 4);
    CHECK(space.result().coefficients[3] == 0);
  }
}

TEST_CASE("the clients' other tensors are not looked at, the output's other tensors not written") {
  std::vector<float> w(5, 2), good(3, 1), other(7, 9);
  guarded<float> ow(5), ob(3);
  model_view one, two;
  one.add("w", w).add("b", good);
  // Another size, another name, and nowhere at all: none of it is in scope.
  two.add("q", other).add("w", w).add("b", tensor_view<const float>(nullptr, 3)).add("x", good);
  cohort clients;
  clients.add(one).add(two);
  mutable_model_view out;
  out.add("w", ow.data).add("b", ob.data);
  fedagg::workspace space;
  REQUIRE(fedagg::try_aggregate(mean{}, clients, out, space, {.where = scope::matching("w")}) == errc::ok);
  CHECK(space.result().rejected.empty());
  CHECK(ow.data == w);
  CHECK(ob.untouched());
}

TEST_CASE("so many bad clients that the rule's condition fails are a typed refusal, before the first write") {
  std::vector<float> good(6, 1), bad(5);
  for (std::size_t lost = 0; lost <= 7; ++lost)
    for (const mode m : {mode::direct, mode::atomic}) {
      cohort clients;
      for (std::size_t i = 0; i < 7; ++i)
        if (i < lost)
          clients.add(bad);
        else
          clients.add(good);
      const auto run = [&](const auto& rule, std::size_t most) {
        guarded<float> out(6);
        fedagg::workspace space;
        const errc rc = fedagg::try_aggregate(rule, clients, out.data, space, {.write = m, .max_rejected = most});
        CHECK(space.result().rejected.size() == lost);
        if (rc == errc::ok)
          CHECK(out.data == good);
        else
          CHECK(out.untouched());
        return rc;
      };
      INFO(lost << " of 7 lost");
      // floor((7 - 1) / 2) for rules without a budget; 2 trim < n on those left for those with one.
      CHECK(run(mean{}, options::automatic) == (lost <= 3 ? errc::ok : errc::too_many_rejected));
      CHECK(run(median{}, options::automatic) == (lost <= 3 ? errc::ok : errc::too_many_rejected));
      CHECK(run(midrange{}, options::automatic) == (lost <= 3 ? errc::ok : errc::too_many_rejected));
      CHECK(run(trimmed_mean{.trim = 1}, options::automatic) == (lost <= 4 ? errc::ok : errc::too_few_clients));
      CHECK(run(trimmed_mean{.trim = 3}, options::automatic) == (lost == 0 ? errc::ok : errc::too_few_clients));
      // floor(0.3 * 7) = 2 clients stay declared, however many are left.
      CHECK(run(trimmed_mean{.fraction = 0.3}, options::automatic) == (lost <= 2 ? errc::ok : errc::too_few_clients));
      for (const std::size_t most : {0u, 1u, 6u})
        CHECK(run(mean{}, most) == (lost <= most ? errc::ok : errc::too_many_rejected));
      CHECK(run(mean{}, 7) == (lost < 7 ? errc::ok : errc::too_few_clients));
    }
}
