// SPDX-License-Identifier: MIT
#include <cstddef>
#include <thread>
#include <vector>

#include <fedagg/core/relaxed.hpp>

#include "support/catch.hpp"

namespace detail = fedagg::detail;

namespace {

template <class F>
void on_four_threads(const F& f) {
  std::vector<std::thread> all;
  for (std::size_t t = 0; t < 4; ++t) all.emplace_back([&f, t] { f(t); });
  for (auto& thread : all) thread.join();
}

} // namespace

TEST_CASE("no addition is lost between threads") {
  std::size_t sum = 0;
  on_four_threads([&](std::size_t) {
    for (int i = 0; i < 20000; ++i) detail::fetch_add(sum, std::size_t{1});
  });
  CHECK(sum == 80000);
  CHECK(detail::fetch_add(sum, std::size_t{5}) == 80000);
}

TEST_CASE("the smallest value stays, whoever comes first") {
  std::size_t least = static_cast<std::size_t>(-1);
  on_four_threads([&](std::size_t t) {
    for (std::size_t i = 20000; i > 0; --i) detail::lower_to(least, i * 4 + t);
  });
  CHECK(least == 4);
  detail::lower_to(least, std::size_t{9});
  CHECK(least == 4);
}

TEST_CASE("a flag has one holder, and what it guards is seen by the next") {
  unsigned char flag = 0;
  std::size_t guarded = 0;
  on_four_threads([&](std::size_t) {
    for (int i = 0; i < 5000; ++i) {
      while (!detail::try_take(flag)) std::this_thread::yield();
      ++guarded;
      detail::give_back(flag);
    }
  });
  CHECK(guarded == 20000);
  CHECK(detail::try_take(flag));
  CHECK_FALSE(detail::try_take(flag));
}

TEST_CASE("an exchange happens only where the expected value was") {
  int x = 3, expected = 4;
  CHECK_FALSE(detail::exchange_if(x, expected, 9));
  CHECK(expected == 3);
  CHECK(detail::exchange_if(x, expected, 9));
  CHECK(detail::relaxed_load(x) == 9);
  detail::relaxed_store(x, 1);
  CHECK(x == 1);
}
