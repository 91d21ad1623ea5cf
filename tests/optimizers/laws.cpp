// SPDX-License-Identifier: MIT
// What holds for every server optimizer.
#include <array>
#include <string_view>
#include <tuple>
#include <vector>

#include <fedagg/optimizers.hpp>

#include "compiled/optimizers.hpp"
#include "support/catch.hpp"

namespace {

/// One step from zero.
template <class O>
std::vector<double> stepped(const O& optimizer, const std::vector<double>& delta, const fedagg::schedule& rate = {}) {
  std::vector<double> x(delta.size(), 0);
  const fedagg::mutable_model_view model(x);
  const fedagg::model_view view(delta);
  fedagg::optimizer_state state(fedagg::precision::f64);
  std::array<const fedagg::model_view*, fedagg::impl::aggregates_of<O> - 1> more{};
  for (auto& m : more) m = &view;
  REQUIRE(fedagg::try_step(optimizer, model, fedagg::pseudo_gradient::delta(view), state, {.rate = rate}, more) ==
          fedagg::errc::ok);
  return x;
}

template <class F>
void for_each_optimizer(const F& f) {
  [&]<class... O>(std::tuple<O...>*) { (f(O{}), ...); }(static_cast<fedagg::optimizer_list*>(nullptr));
}

const std::vector<double> some{0.5, -3, 1e-3, 40};

} // namespace

TEST_CASE("a schedule scales the step of every optimizer that has a learning rate") {
  for_each_optimizer([](const auto& o) {
    INFO(o.name);
    const auto whole = stepped(o, some);
    // The first of three rounds of warm-up takes a quarter, which is exact.
    const auto part = stepped(o, some, {.warmup = 3});
    constexpr bool scales = requires { o.learning_rate; };
    for (std::size_t j = 0; j < some.size(); ++j) {
      CHECK(whole[j] != 0);
      CHECK(part[j] == (scales ? whole[j] / 4 : whole[j]));
    }
  });
}

TEST_CASE("without a pseudo-gradient a fresh optimizer stays where it is, and it follows its sign") {
  for_each_optimizer([](const auto& o) {
    INFO(o.name);
    CHECK(stepped(o, {0, 0, 0}) == std::vector<double>{0, 0, 0});
    const auto x = stepped(o, some);
    for (std::size_t j = 0; j < some.size(); ++j) CHECK((x[j] > 0) == (some[j] > 0));
  });
}

TEST_CASE("every optimizer has a name of its own") {
  std::vector<std::string_view> names;
  for_each_optimizer([&](const auto& o) { names.emplace_back(o.name); });
  for (std::size_t i = 0; i < names.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) CHECK(names[i] != names[k]);
  CHECK(names.size() == std::tuple_size_v<fedagg::optimizer_list>);
}
