// SPDX-License-Identifier: MIT
#include <fedagg/attacks/non_finite.hpp>

#include <fedagg/rules/median.hpp>

#include "compiled/rules.hpp"
#include "support/attacks.hpp"

using namespace attacks;
using fedagg::non_finite;
using fedagg::non_finite_value;

static_assert(fedagg::attack<non_finite>);

namespace {

constexpr non_finite_value all[] = {non_finite_value::infinity, non_finite_value::negative_infinity, non_finite_value::nan};

template <class T>
void check_bits(const typename format<T>::word (&want)[3]) {
  const matrix<T> nobody(0, 300);
  for (const auto v : all) {
    const auto m = craft(non_finite{.value = v}, nobody);
    REQUIRE(m.code == errc::ok);
    for (const T x : m.row) CHECK(bits_of(x) == want[static_cast<int>(v)]);
  }
  const auto x = sample<T>(kind::normal, 4, 600, 1);
  for (const auto v : all)
    for (const std::size_t at : {0u, 255u, 256u, 599u}) {
      const auto m = craft(non_finite{.value = v, .coordinate = static_cast<std::int64_t>(at)}, x);
      REQUIRE(m.code == errc::ok);
      CHECK(bits_of(m.row[at]) == want[static_cast<int>(v)]);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < 600; ++j) {
        const auto c = moments(x.column(j));
        wrong += j != at && !rounds_to<T>(m.row[j], c.mean, c.error);
      }
      CHECK(wrong == 0);
    }
}

} // namespace

TEST_CASE("infinities and quiet NaN by their bits") {
  check_bits<double>({0x7ff0000000000000u, 0xfff0000000000000u, 0x7ff8000000000000u});
  check_bits<float>({0x7f800000u, 0xff800000u, 0x7fc00000u});
  check_bits<fedagg::float16>({0x7c00u, 0xfc00u, 0x7e00u});
  check_bits<fedagg::bfloat16>({0x7f80u, 0xff80u, 0x7fc0u});
}

TEST_CASE("a round rejects such a client") {
  const auto honest = sample<float>(kind::normal, 4, 30, 1);
  for (const auto v : all) {
    const auto bad = craft(non_finite{.value = v, .coordinate = 17}, honest).row;
    matrix<float> x(5, 30);
    std::copy(honest.data.begin(), honest.data.end(), x.data.begin());
    std::copy(bad.begin(), bad.end(), x.data.begin() + 120);
    CHECK(same_bits(aggregated(fedagg::median{}, x), aggregated(fedagg::median{}, honest)));
  }
}

TEST_CASE("what non_finite refuses") {
  check_refusals(non_finite{}, 0);
  check_refusals(non_finite{.coordinate = 1});
  check_non_finite(non_finite{.coordinate = 1});
  const auto x = sample<float>(kind::normal, 4, 30, 1);
  CHECK(craft(non_finite{.coordinate = 30}, x).code == errc::bad_parameter);
  CHECK(craft(non_finite{.coordinate = -2}, x).code == errc::bad_parameter);
  CHECK(craft(non_finite{.value = static_cast<non_finite_value>(3)}, x).code == errc::bad_parameter);
}
