// SPDX-License-Identifier: MIT
#include <fedagg/core/krum_scores.hpp>

#include <algorithm>

#include "support/geometry.hpp"

using namespace shapes;
using fedagg::nearest;
using fedagg::detail::krum_neighbours;
using fedagg::detail::krum_parameters;

TEST_CASE("scores sum the powers of the nearest distances") {
  for (const std::size_t n : {1u, 2u, 3u, 7u, 30u})
    for (std::int64_t power = 1; power <= 4; ++power) {
      auto x = cloud(n, 5, n);
      if (n > 3) x[2] = x[3];
      const shape of(x);
      for (std::size_t count = 0; count < n; ++count) {
        std::vector<fedagg::detail::ranked> scratch(n);
        vector scores(n);
        fedagg::detail::krum_scores(of.view(), count, power, scratch, scores);
        exact want(n, 0);
        for (std::size_t i = 0; i < n; ++i) {
          exact d;
          for (std::size_t j = 0; j < n; ++j)
            if (j != i) d.push_back(std::pow(square_distance(x[i], x[j]), real(power) / 2));
          std::sort(d.begin(), d.end());
          for (std::size_t k = 0; k < count; ++k) want[i] += d[k];
        }
        INFO("n=" << n << " power=" << power << " count=" << count);
        check_near(widen(scores), want, 1e-12L);
      }
    }
}

TEST_CASE("scores beyond all numbers stay finite and last") {
  shape of({{0}, {1}, {1e70}, {-1e70}});
  std::vector<fedagg::detail::ranked> scratch(4);
  vector scores(4);
  fedagg::detail::krum_scores(of.view(), 3, 4, scratch, scores);
  for (const double s : scores) CHECK(fedagg::is_finite(s));
  // 2 (1e140)^2 of the two rows in the middle: in range; 1e300 is not, four times as far it would not be.
  shape far({{0}, {1}, {1e154}, {-1e154}});
  fedagg::detail::krum_scores(far.view(), 3, 4, scratch, scores);
  CHECK(scores[2] == fedagg::detail::largest_double);
  fedagg::detail::krum_scores(far.view(), 1, 4, scratch, scores);
  CHECK(scores[0] == 1);
}

TEST_CASE("how many neighbours count, and what that survives") {
  std::size_t count = 99, breakdown = 99;
  const auto code = [&](std::int64_t f, nearest k, std::size_t n, std::int64_t power = 2) {
    return krum_neighbours(krum_parameters{f, k, power}, n, count, breakdown);
  };
  CHECK(code(fedagg::unset, nearest::n_f_2, 9) == errc::bad_parameter);
  CHECK(code(1, nearest::n_f_2, 9, 0) == errc::bad_parameter);
  CHECK(code(1, nearest::n_f_2, 9, 5) == errc::bad_parameter);
  CHECK(code(1, static_cast<nearest>(9), 9) == errc::bad_parameter);
  for (const nearest k : {nearest::n_f_2, nearest::n_f_2_or_1, nearest::n_f_1, nearest::n_f})
    for (const std::int64_t f : {0, 1, 2, 3, 8})
      for (std::size_t n = 0; n < 12; ++n) {
        const auto m = static_cast<std::int64_t>(n);
        const errc rc = code(f, k, n);
        INFO("f=" << f << " n=" << n << " neighbours " << fedagg::nearest_names[static_cast<int>(k)]);
        if (2 * f >= m || (k == nearest::n_f_2 && m < 2 * f + 3)) {
          CHECK(rc == errc::too_few_clients);
          continue;
        }
        REQUIRE(rc == errc::ok);
        std::int64_t want = m - f - (k == nearest::n_f ? 0 : k == nearest::n_f_1 ? 1 : 2);
        if (k == nearest::n_f_2_or_1) want = std::max<std::int64_t>(want, 1);
        CHECK(count == static_cast<std::size_t>(std::min(want, m - 1)));
        if (k == nearest::n_f_2 || k == nearest::n_f_1) CHECK(breakdown == static_cast<std::size_t>(f));
        // With n - f neighbours every honest score holds a hostile row's distance once f rows are hostile.
        if (k == nearest::n_f && f > 0) CHECK(breakdown == static_cast<std::size_t>(f - 1));
        CHECK(breakdown <= static_cast<std::size_t>(f));
      }
}
