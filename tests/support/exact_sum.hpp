// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_EXACT_SUM_HPP
#define FEDAGG_TESTS_SUPPORT_EXACT_SUM_HPP

#include <bit>
#include <cstddef>
#include <cstdint>

/// A sum of any doubles without any rounding: one integer in units of 2^-1200.
class exact_sum {
public:
  /// x 2^shift, which must be a multiple of 2^-1200 and less than 2^1100.
  void add(double x, int shift = 0) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const int e = static_cast<int>(bits >> 52 & 0x7ff);
    std::uint64_t significand = bits & 0xfffffffffffff;
    if (e != 0) significand |= std::uint64_t{1} << 52;
    if (significand == 0) return;
    int place = (e == 0 ? 1 : e) - 1075 + shift + 1200;
    while (place < 0) significand >>= 1, ++place;
    const auto limb = static_cast<std::size_t>(place) / 32, inside = static_cast<std::size_t>(place) % 32;
    // 53 bits, moved by up to 31: three limbs.
    const std::uint64_t low = (significand & 0xffffffff) << inside, high = (significand >> 32) << inside;
    const std::int64_t part[] = {static_cast<std::int64_t>(low & 0xffffffff),
                                 static_cast<std::int64_t>((low >> 32) + (high & 0xffffffff)),
                                 static_cast<std::int64_t>(high >> 32)};
    for (std::size_t k = 0; k < 3; ++k) limbs_[limb + k] += bits >> 63 ? -part[k] : part[k];
  }

  /// |sum| 2^shift to a few units of the last place of double.
  double magnitude(int shift = 0) const {
    std::int64_t limbs[count];
    for (std::size_t k = 0; k < count; ++k) limbs[k] = limbs_[k];
    const auto carry = [&] {
      for (std::size_t k = 0; k + 1 < count; ++k) {
        limbs[k + 1] += limbs[k] >> 32;
        limbs[k] &= 0xffffffff;
      }
    };
    carry();
    if (limbs[count - 1] < 0) {
      for (std::int64_t& l : limbs) l = -l;
      carry();
    }
    double sum = 0;
    for (std::size_t k = 0; k < count; ++k)
      if (limbs[k] != 0) sum += static_cast<double>(limbs[k]) * power(32 * static_cast<int>(k) - 1200 + shift);
    return sum;
  }

private:
  static double power(int e) {
    return e > 1023 ? power(1023) * 2 : e < -1074 ? 0 : e < -1022 ? std::bit_cast<double>(std::uint64_t{1} << (e + 1074))
                                                                  : std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52);
  }

  static constexpr std::size_t count = 76;
  std::int64_t limbs_[count] = {};
};

#endif // FEDAGG_TESTS_SUPPORT_EXACT_SUM_HPP
