// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_SHAMIR_HPP
#define FEDAGG_SECURE_SHAMIR_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include <fedagg/core/error.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/secure/secret.hpp>

/// Shamir's secret sharing (Shamir 1979, doi:10.1145/359168.359176) over the field of 2^31 + 11 elements, as Google's
/// SecAgg cuts it. A 32-byte secret is a big-endian number of 256 bits in 9 limbs of 31 bits, the most significant
/// first (it has 8 bits); each limb is the constant term of a random polynomial of degree t - 1, and a share is the 9
/// values at the holder's x, in 4 bytes each, big-endian.
///
/// Time and memory accesses do not depend on secret, shares or coefficients: no division, branch or index sees them,
/// but whether a random word is drawn again, and whether what was reconstructed or received is in range.

namespace fedagg::inline FEDAGG_ABI {

inline constexpr std::uint32_t shamir_prime = 2147483659u; ///< 2^31 + 11
inline constexpr std::size_t shamir_limbs = 9;
inline constexpr std::size_t shamir_share_bytes = 4 * shamir_limbs;

/// The x at which a client's share is taken: 0 is where the secret lies.
constexpr std::uint32_t shamir_x(std::uint32_t client) noexcept { return client + 1; }

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

struct shamir_field {
  static constexpr std::uint64_t p = shamir_prime, low = 0x7fffffff;

  /// Congruent to v and below 56 p, because 2^31 = -11: the upper bits are taken off a multiple of p, 11 times.
  static constexpr std::uint64_t fold(std::uint64_t v) noexcept { return (v & low) + 55 * p - 11 * (v >> 31); }
  /// v mod p.
  static constexpr std::uint32_t reduce(std::uint64_t v) noexcept { return reduce_small(fold(v)); }
  /// v mod p for a v below 2^58, where 11 times the upper bits is less than p.
  static constexpr std::uint32_t reduce_small(std::uint64_t v) noexcept {
    v = (v & low) - 11 * (v >> 31);
    return static_cast<std::uint32_t>(v + (p & (0 - (v >> 63))));
  }
  static constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
    return reduce(std::uint64_t{a} * b);
  }
  static constexpr std::uint32_t subtract(std::uint32_t a, std::uint32_t b) noexcept {
    const std::uint64_t v = std::uint64_t{a} - b;
    return static_cast<std::uint32_t>(v + (p & (0 - (v >> 63))));
  }
  /// 1 / a by a^(p - 2).
  static constexpr std::uint32_t inverse(std::uint32_t a) noexcept {
    std::uint32_t result = 1;
    for (std::uint64_t e = p - 2; e != 0; e >>= 1, a = multiply(a, a))
      if (e & 1) result = multiply(result, a);
    return result;
  }
};

/// Words that are wiped when they go. They do not grow, which would leave copies behind.
class secret_words {
public:
  explicit secret_words(std::size_t count) noexcept
      : words_(count > PTRDIFF_MAX / sizeof(std::uint32_t) ? nullptr : new (std::nothrow) std::uint32_t[count]),
        size_(words_ ? count : 0) {}
  secret_words(const secret_words&) = delete;
  secret_words& operator=(const secret_words&) = delete;
  ~secret_words() {
    wipe(words_, size_ * sizeof(std::uint32_t));
    delete[] words_;
  }

  explicit operator bool() const noexcept { return words_ != nullptr; }
  std::uint32_t* data() noexcept { return words_; }

private:
  std::uint32_t* words_;
  std::size_t size_;
};

inline std::uint32_t load_big_endian(const std::uint8_t* from) noexcept {
  return std::uint32_t{from[0]} << 24 | std::uint32_t{from[1]} << 16 | std::uint32_t{from[2]} << 8 | from[3];
}
inline void store_big_endian(std::uint32_t word, std::uint8_t* to) noexcept {
  for (int k = 0; k < 4; ++k) to[k] = static_cast<std::uint8_t>(word >> (24 - 8 * k));
}

/// The limbs of 256 bits, and back.
inline void cut(const secret_key& secret, std::uint32_t* limbs) noexcept {
  std::uint64_t bits = 0;
  unsigned have = 0;
  std::size_t limb = shamir_limbs;
  for (std::size_t byte = secret_key::size(); byte-- > 0;) {
    bits |= std::uint64_t{secret.data()[byte]} << have;
    have += 8;
    if (have >= 31) limbs[--limb] = static_cast<std::uint32_t>(bits & shamir_field::low), bits >>= 31, have -= 31;
  }
  limbs[0] = static_cast<std::uint32_t>(bits);
  wipe(&bits, sizeof bits);
}
inline void join(const std::uint32_t (&limbs)[shamir_limbs], secret_key& secret) noexcept {
  std::uint64_t bits = 0;
  unsigned have = 0;
  std::size_t limb = shamir_limbs;
  for (std::size_t byte = secret_key::size(); byte-- > 0;) {
    if (have < 8) bits |= std::uint64_t{limbs[--limb]} << have, have += 31;
    secret.data()[byte] = static_cast<std::uint8_t>(bits);
    bits >>= 8, have -= 8;
  }
  wipe(&bits, sizeof bits);
}

/// `count` numbers below p, each as likely as the others: words of 32 bits that are not below p are drawn again.
template <class Random>
errc draw_field(Random& random, std::uint32_t* out, std::size_t count) noexcept {
  std::uint8_t bytes[1024];
  errc rc = errc::ok;
  std::size_t made = 0;
  // Half of the words will do. A generator that gives 256 in a row that will not is none.
  for (std::size_t missed = 0; made < count && rc == errc::ok;) {
    if (!random(bytes_span(bytes))) rc = errc::no_randomness;
    for (std::size_t k = 0; k < sizeof bytes && made < count && rc == errc::ok; k += 4) {
      const std::uint32_t word = load_big_endian(bytes + k);
      if (word < shamir_field::p)
        out[made++] = word, missed = 0;
      else if (++missed == 256)
        rc = errc::no_randomness;
    }
  }
  wipe(bytes, sizeof bytes);
  return rc;
}

/// `bad_parameter` unless all x are different and neither 0 nor beyond the field.
inline errc check_holders(std::span<const std::uint32_t> x) noexcept {
  bool ascending = true;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == 0 || x[i] >= shamir_prime) return errc::bad_parameter;
    ascending = ascending && (i == 0 || x[i - 1] < x[i]);
  }
  if (ascending) return errc::ok;
  return no_throw([&] {
    detail::list<std::uint32_t> sorted;
    sorted.assign(x.data(), x.size());
    std::sort(sorted.data(), sorted.data() + sorted.size());
    const bool twice =
        std::adjacent_find(sorted.data(), sorted.data() + sorted.size()) != sorted.data() + sorted.size();
    return twice ? errc::bad_parameter : errc::ok;
  });
}

inline constexpr std::size_t shamir_tile = 32;

/// Horner's rule for the 9 polynomials at a tile of x, which are below 2^26 where they are small: `values` has a tile
/// for each limb. The coefficients of a degree lie together, the highest degree first, the secret's limbs last.
template <bool Small>
void evaluate(const std::uint32_t* coefficients, std::size_t degrees, const std::uint32_t* at,
              std::uint32_t* values) noexcept {
  for (std::size_t limb = 0; limb < shamir_limbs; ++limb) {
    std::uint32_t x[shamir_tile], v[shamir_tile] = {};
    for (std::size_t i = 0; i < shamir_tile; ++i) x[i] = at[i];
    for (std::size_t j = 0; j < degrees; ++j) {
      const std::uint32_t c = coefficients[j * shamir_limbs + limb];
      for (std::size_t i = 0; i < shamir_tile; ++i) {
        const std::uint64_t sum = std::uint64_t{v[i]} * x[i] + c;
        v[i] = Small ? shamir_field::reduce_small(sum) : shamir_field::reduce(sum);
      }
    }
    for (std::size_t i = 0; i < shamir_tile; ++i) values[limb * shamir_tile + i] = v[i];
    wipe(v, sizeof v);
  }
}

inline void deal(const std::uint32_t* coefficients, std::size_t degrees, std::span<const std::uint32_t> x,
                 std::uint32_t* values, std::uint8_t* shares) noexcept {
  for (std::size_t first = 0; first < x.size(); first += shamir_tile) {
    const std::size_t count = x.size() - first < shamir_tile ? x.size() - first : shamir_tile;
    std::uint32_t at[shamir_tile] = {}, bits = 0;
    for (std::size_t i = 0; i < count; ++i) bits |= at[i] = x[first + i];
    if (bits >> 26 == 0)
      evaluate<true>(coefficients, degrees, at, values);
    else
      evaluate<false>(coefficients, degrees, at, values);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t limb = 0; limb < shamir_limbs; ++limb)
        store_big_endian(values[limb * shamir_tile + i], shares + (first + i) * shamir_share_bytes + 4 * limb);
  }
}

/// What the shares add up to; no branch looks at it.
struct combined {
  std::uint32_t limbs[shamir_limbs];
  std::uint64_t outside; ///< not zero: a limb of a share is no element of the field
  std::uint64_t beyond;  ///< not zero: a limb of the result has too many bits

  combined(const std::uint32_t* weights, std::size_t count, const std::uint8_t* shares) noexcept {
    std::uint64_t sums[shamir_limbs] = {}, within = ~std::uint64_t{0};
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t limb = 0; limb < shamir_limbs; ++limb) {
        const std::uint32_t word = load_big_endian(shares + i * shamir_share_bytes + 4 * limb);
        within &= std::uint64_t{word} - shamir_prime;
        // Below 2^37: as many can be added as there are clients, and more.
        sums[limb] += shamir_field::fold(std::uint64_t{weights[i]} * word);
      }
    outside = ~within >> 63;
    beyond = 0;
    for (std::size_t limb = 0; limb < shamir_limbs; ++limb) {
      limbs[limb] = shamir_field::reduce(sums[limb]);
      beyond |= limbs[limb] >> (limb == 0 ? 8 : 31);
    }
    wipe(sums, sizeof sums);
  }
  ~combined() { wipe(limbs, sizeof limbs); }
  combined(const combined&) = delete;
  combined& operator=(const combined&) = delete;
};

} // namespace impl

/// Shares of a secret, any `threshold` of which give it back and any fewer of which say nothing about it: the i-th, for
/// the holder at x[i], begins at byte 36 i of `shares`. `random(bytes_span)` fills its argument with secret random
/// bytes, or returns false: `no_randomness`.
///
/// `bad_parameter` for a threshold of 0 or above the number of holders, an x that is 0, not below `shamir_prime` or
/// there twice, or shares of another size; `out_of_memory`. Nothing is written where it fails. O(threshold x holders)
/// time, 36 bytes of memory for each of the threshold.
template <class Random>
[[nodiscard]] errc shamir_share(const secret_key& secret, std::uint32_t threshold, std::span<const std::uint32_t> x,
                                Random&& random, bytes_span shares) noexcept {
  using namespace impl;
  if (threshold == 0 || threshold > x.size() || shares.size() / shamir_share_bytes != x.size() ||
      shares.size() % shamir_share_bytes != 0)
    return errc::bad_parameter;
  if (const errc rc = check_holders(x); rc != errc::ok) return rc;

  const std::size_t drawn = (std::size_t{threshold} - 1) * shamir_limbs;
  secret_words coefficients(drawn + shamir_limbs), values(shamir_limbs * shamir_tile);
  if (!coefficients || !values) return errc::out_of_memory;
  if (const errc rc = draw_field(random, coefficients.data(), drawn); rc != errc::ok) return rc;
  cut(secret, coefficients.data() + drawn);

  deal(coefficients.data(), threshold, x, values.data(), shares.data());
  return errc::ok;
}

/// Whether these bytes can be a share: of its size, all limbs in the field. Constant time in what they are.
inline bool is_shamir_share(bytes_view share) noexcept {
  if (share.size() != shamir_share_bytes) return false;
  std::uint64_t within = ~std::uint64_t{0};
  for (std::size_t limb = 0; limb < shamir_limbs; ++limb)
    within &= std::uint64_t{impl::load_big_endian(share.data() + 4 * limb)} - shamir_prime;
  return within >> 63 != 0;
}

/// What the shares of a set of holders weigh (Lagrange's coefficients at 0): made once, then used for all secrets that
/// these holders have shares of.
class shamir_weights {
public:
  /// The holders at these x, as many as the threshold: more only cost time, fewer give a wrong secret. `bad_parameter`
  /// for none, and for an x that is 0, not below `shamir_prime` or there twice; `out_of_memory`. The weights are as
  /// they were where this fails. O(holders^2) time.
  [[nodiscard]] errc try_reset(std::span<const std::uint32_t> x) noexcept {
    using field = impl::shamir_field;
    if (x.empty()) return errc::bad_parameter;
    if (const errc rc = impl::check_holders(x); rc != errc::ok) return rc;
    return impl::no_throw([&] {
      // The product of all x_j over x_i (x_j - x_i) for all others j. One inversion for all of them: that of the
      // product of the denominators, times all but one.
      detail::list<std::uint32_t> weights, before;
      weights.resize(x.size());
      before.resize(x.size());
      std::uint32_t all = 1, product = 1;
      for (const std::uint32_t xj : x) all = field::multiply(all, xj);
      for (std::size_t first = 0; first < x.size(); first += tile) denominators(x, first, weights);
      for (std::size_t i = 0; i < x.size(); ++i) {
        before[i] = product;
        product = field::multiply(product, weights[i]);
      }
      product = field::inverse(product);
      for (std::size_t i = x.size(); i-- > 0;) {
        const std::uint32_t inverse = field::multiply(product, before[i]);
        product = field::multiply(product, weights[i]);
        weights[i] = field::multiply(all, inverse);
      }
      weights_.swap(weights);
      return errc::ok;
    });
  }

  std::size_t size() const noexcept { return weights_.size(); }

  /// The secret of the shares of all holders, 36 bytes each, in the order of their x. `bad_parameter` if they are not
  /// as many; `bad_share` if a limb is outside of the field; `bad_dealer` if they give no 256-bit number, which shares
  /// of one secret never do. `out` is then as it was. A wrong share gives a wrong secret: nothing here can tell.
  [[nodiscard]] errc reconstruct(bytes_view shares, secret_key& out) const noexcept {
    if (shares.size() / shamir_share_bytes != size() || shares.size() % shamir_share_bytes != 0 || size() == 0)
      return errc::bad_parameter;
    const impl::combined result(weights_.data(), size(), shares.data());
    if (result.outside != 0) return errc::bad_share;
    if (result.beyond != 0) return errc::bad_dealer;
    impl::join(result.limbs, out);
    return errc::ok;
  }

private:
  static constexpr std::size_t tile = impl::shamir_tile;

  static void denominators(std::span<const std::uint32_t> x, std::size_t first, std::span<std::uint32_t> out) noexcept {
    using field = impl::shamir_field;
    const std::size_t count = x.size() - first < tile ? x.size() - first : tile;
    std::uint32_t own[tile] = {}, product[tile];
    for (std::size_t i = 0; i < count; ++i) own[i] = x[first + i];
    for (std::size_t i = 0; i < tile; ++i) product[i] = own[i];
    for (std::size_t j = 0; j < x.size(); ++j) {
      const std::uint32_t xj = x[j];
      if (j < first || j >= first + count) {
        for (std::size_t i = 0; i < tile; ++i) product[i] = field::multiply(product[i], field::subtract(xj, own[i]));
      } else {
        for (std::size_t i = 0; i < tile; ++i)
          product[i] = field::multiply(product[i], first + i == j ? 1 : field::subtract(xj, own[i]));
      }
    }
    for (std::size_t i = 0; i < count; ++i) out[first + i] = product[i];
  }

  detail::list<std::uint32_t> weights_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_SHAMIR_HPP
