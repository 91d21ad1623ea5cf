// SPDX-License-Identifier: MIT
#include <cstdint>
#include <initializer_list>

#include <fedagg/secure/threat_model.hpp>

#include "support/catch.hpp"

using fedagg::check_complete;
using fedagg::errc;
using fedagg::is_mask_degree;
using fedagg::threat_model;

TEST_CASE("degrees of mask graphs: complete, or even") {
  CHECK_FALSE(is_mask_degree(0, 0));
  CHECK_FALSE(is_mask_degree(0, 4294967295u)); // 0 - 1
  CHECK(is_mask_degree(1, 0));
  CHECK(is_mask_degree(2, 1));
  CHECK(is_mask_degree(3, 2));
  CHECK(is_mask_degree(6, 5));
  for (std::uint32_t n = 4; n <= 20; ++n)
    for (std::uint32_t k = 0; k <= n + 2; ++k)
      CHECK(is_mask_degree(n, k) == (k == n - 1 || (k != 0 && k % 2 == 0 && k < n)));
}

TEST_CASE("the conditions on the complete graph, term by term") {
  for (const auto model : {threat_model::curious, threat_model::semi_malicious, threat_model::malicious})
    for (std::uint32_t n = 0; n <= 9; ++n)
      for (std::uint32_t t = 0; t <= 11; ++t)
        for (std::uint32_t c = 0; c <= 11; ++c)
          for (std::uint32_t d = 0; d <= 11; ++d) {
            // With c >= n nobody is left to protect, with d >= n nobody to answer.
            bool fine = n != 0 && c < n && d < n && t >= 1 && t + d <= n;
            fine = fine && (model == threat_model::curious ? t > c : 2 * t > n + c);
            if ((check_complete(n, t, c, d, model) == errc::ok) != fine) {
              CAPTURE(n, t, c, d, static_cast<int>(model));
              CHECK(check_complete(n, t, c, d, model) == (fine ? errc::ok : errc::insecure_parameters));
            }
          }
  CHECK(check_complete(3, 2, 0, 1, threat_model::malicious) == errc::ok);
  CHECK(check_complete(3, 2, 1, 1, threat_model::malicious) == errc::insecure_parameters);
  // No sum wraps.
  CHECK(check_complete(4294967295u, 4294967295u, 4294967294u, 0, threat_model::malicious) == errc::ok);
  CHECK(check_complete(4294967295u, 2147483648u, 4294967294u, 0, threat_model::malicious) == errc::insecure_parameters);
  CHECK(check_complete(5, 4, 1, 0, static_cast<threat_model>(9)) == errc::insecure_parameters);
}
