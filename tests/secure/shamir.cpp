// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fedagg/core/random.hpp>
#include <fedagg/secure/shamir.hpp>

#include "support/allocations.hpp"
#include "support/catch.hpp"

using fedagg::bytes_span;
using fedagg::bytes_view;
using fedagg::errc;
using fedagg::secret_key;
using fedagg::shamir_prime;
using fedagg::shamir_share;
using fedagg::shamir_weights;
using bytes = std::vector<std::uint8_t>;
using points = std::vector<std::uint32_t>;

namespace {

constexpr std::size_t share_bytes = fedagg::shamir_share_bytes;

struct source {
  fedagg::random_stream stream;
  explicit source(std::uint64_t seed) : stream(seed, "shamir") {}
  bool operator()(bytes_span out) noexcept {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(stream());
    return true;
  }
};

/// Gives the words it was told to, then fails.
struct script {
  std::vector<std::uint32_t> words;
  std::size_t next = 0;
  bool operator()(bytes_span out) noexcept {
    if (next >= words.size()) return false;
    for (std::size_t k = 0; k + 4 <= out.size(); k += 4) {
      const std::uint32_t word = next < words.size() ? words[next++] : 0xffffffffu;
      for (std::size_t b = 0; b < 4; ++b) out[k + b] = static_cast<std::uint8_t>(word >> (24 - 8 * b));
    }
    return true;
  }
};

secret_key secret_of(std::uint64_t seed) {
  source random(seed);
  secret_key s;
  random(s.bytes());
  return s;
}
bytes held(const secret_key& s) { return bytes(s.data(), s.data() + s.size()); }

points first_points(std::uint32_t n) {
  points x;
  for (std::uint32_t i = 0; i < n; ++i) x.push_back(fedagg::shamir_x(i));
  return x;
}

bytes shares_of(const secret_key& s, std::uint32_t t, const points& x, std::uint64_t seed = 1) {
  bytes out(x.size() * share_bytes);
  REQUIRE(shamir_share(s, t, x, source(seed), out) == errc::ok);
  return out;
}

/// The secret of some of the shares.
errc rebuilt(const points& x, const bytes& shares, const std::vector<std::size_t>& chosen, secret_key& out) {
  points at;
  bytes theirs;
  for (const std::size_t i : chosen) {
    at.push_back(x[i]);
    theirs.insert(theirs.end(), shares.begin() + static_cast<std::ptrdiff_t>(i * share_bytes),
                  shares.begin() + static_cast<std::ptrdiff_t>((i + 1) * share_bytes));
  }
  shamir_weights weights;
  if (const errc rc = weights.try_reset(at); rc != errc::ok) return rc;
  return weights.reconstruct(theirs, out);
}

std::uint32_t word_at(const bytes& from, std::size_t at) {
  return std::uint32_t{from[at]} << 24 | std::uint32_t{from[at + 1]} << 16 | std::uint32_t{from[at + 2]} << 8 |
         from[at + 3];
}
void put_word(bytes& to, std::size_t at, std::uint32_t word) {
  for (std::size_t b = 0; b < 4; ++b) to[at + b] = static_cast<std::uint8_t>(word >> (24 - 8 * b));
}

/// Limbs by the definition: the number's bits 31 (8 - l) to 31 (8 - l) + 30.
std::array<std::uint32_t, 9> limbs_of(const secret_key& s) {
  std::array<std::uint32_t, 9> limbs{};
  for (unsigned bit = 0; bit < 256; ++bit)
    if (s.data()[31 - bit / 8] >> (bit % 8) & 1) limbs[8 - bit / 31] |= 1u << (bit % 31);
  return limbs;
}

} // namespace

TEST_CASE("the field's arithmetic is that of remainders") {
  using field = fedagg::impl::shamir_field;
  fedagg::random_stream random(3, "field");
  std::vector<std::uint64_t> odd = {0,
                                    1,
                                    10,
                                    11,
                                    12,
                                    0x7fffffff,
                                    0x80000000u,
                                    shamir_prime - 1,
                                    shamir_prime,
                                    shamir_prime + 1ull,
                                    0xffffffffu,
                                    ~std::uint64_t{0},
                                    ~std::uint64_t{0} - 1};
  for (std::uint64_t k = 1; k < 64; ++k)
    for (const std::uint64_t v :
         {(std::uint64_t{1} << k) - 1, std::uint64_t{1} << k, k * shamir_prime - 1, k * shamir_prime})
      odd.push_back(v);
  odd.push_back(~std::uint64_t{0} / shamir_prime * shamir_prime);
  odd.push_back(~std::uint64_t{0} / shamir_prime * shamir_prime - 1);
  for (int k = 0; k < 2000; ++k) odd.push_back(random() >> (k % 60));
  for (const std::uint64_t v : odd) {
    CAPTURE(v);
    if (field::reduce(v) != v % shamir_prime) CHECK(field::reduce(v) == v % shamir_prime);
    if (field::fold(v) >= 56 * std::uint64_t{shamir_prime} || field::fold(v) % shamir_prime != v % shamir_prime)
      FAIL_CHECK();
    const std::uint64_t small = v >> 6;
    if (field::reduce_small(small) != small % shamir_prime) CHECK(field::reduce_small(small) == small % shamir_prime);
  }
  CHECK(field::reduce_small((std::uint64_t{1} << 58) - 1) == ((std::uint64_t{1} << 58) - 1) % shamir_prime);
  for (const std::uint32_t a : {1u, 2u, 12345u, 0x7fffffffu, shamir_prime - 1}) {
    CHECK(field::multiply(a, field::inverse(a)) == 1);
    for (const std::uint32_t b : {0u, 1u, 77u, shamir_prime - 1})
      CHECK(field::subtract(a, b) == (std::uint64_t{a} + shamir_prime - b) % shamir_prime);
  }
}

TEST_CASE("a secret is cut into limbs of 31 bits from its end") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    secret_key s = secret_of(seed);
    if (seed == 0) s.clear();
    if (seed == 1) std::memset(s.data(), 0xff, s.size());
    // With a threshold of 1 every share is the secret itself.
    const bytes share = shares_of(s, 1, {7});
    const auto limbs = limbs_of(s);
    for (std::size_t l = 0; l < 9; ++l) CHECK(word_at(share, 4 * l) == limbs[l]);
    secret_key back;
    CHECK(rebuilt({7}, share, {0}, back) == errc::ok);
    CHECK(held(back) == held(s));
  }
}

TEST_CASE("shares that Google's SecAgg made give its secret, any 3 of the 5") {
  std::ifstream in(FEDAGG_TESTS_DIR "/data/secret_sharing.json");
  const auto all = nlohmann::json::parse(in, nullptr, false);
  REQUIRE(all.is_array());
  const auto entry = *std::find_if(all.begin(), all.end(), [](const auto& e) { return e["id"] == "shamir-31"; });
  CHECK(entry["p"] == shamir_prime);
  // Its secret has two limbs: the others are shared by the polynomial that is zero.
  bytes shares(5 * share_bytes);
  for (std::size_t i = 0; i < 5; ++i) {
    const std::string hex = entry["shares_hex"][i];
    for (std::size_t b = 0; b < 8; ++b)
      shares[i * share_bytes + 28 + b] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * b, 2), nullptr, 16));
  }
  int tried = 0;
  for (std::size_t a = 0; a < 5; ++a)
    for (std::size_t b = 0; b < 5; ++b)
      for (std::size_t c = 0; c < 5; ++c) {
        if (a == b || b == c || a == c) continue;
        secret_key back;
        CHECK(rebuilt(first_points(5), shares, {a, b, c}, back) == errc::ok);
        const auto limbs = limbs_of(back);
        CHECK(limbs[7] == entry["secret_limbs"][0]);
        CHECK(limbs[8] == entry["secret_limbs"][1]);
        CHECK(std::all_of(limbs.begin(), limbs.begin() + 7, [](std::uint32_t l) { return l == 0; }));
        ++tried;
      }
  CHECK(tried == 60);
}

TEST_CASE("any t of n shares give the secret back, in any order, more than t too, fewer do not") {
  for (std::uint32_t n = 1; n <= 7; ++n)
    for (std::uint32_t t = 1; t <= n; ++t) {
      const secret_key s = secret_of(n * 10 + t);
      const points x = first_points(n);
      const bytes shares = shares_of(s, t, x, n * 100 + t);
      for (std::uint32_t set = 1; set < 1u << n; ++set) {
        std::vector<std::size_t> chosen;
        for (std::size_t i = 0; i < n; ++i)
          if (set >> i & 1) chosen.push_back(i);
        if (set % 2) std::reverse(chosen.begin(), chosen.end());
        secret_key back;
        const errc rc = rebuilt(x, shares, chosen, back);
        CAPTURE(n, t, set);
        if (chosen.size() >= t) {
          CHECK(rc == errc::ok);
          CHECK(held(back) == held(s));
        } else {
          CHECK((rc == errc::bad_dealer || held(back) != held(s)));
        }
      }
    }
}

TEST_CASE("one share less leaves every secret possible, each in exactly one way") {
  // t = 2, one share, one limb (the others are alike): whatever the share is, for each candidate secret there is one
  // coefficient that deals it, a = (y - s) / x. The dealer draws it uniformly, so that a share has the same
  // distribution for every secret.
  using field = fedagg::impl::shamir_field;
  const std::uint32_t x = 5, y = 1234567;
  for (const std::uint32_t candidate : {0u, 1u, 200u, 255u}) {
    const std::uint32_t a = field::multiply(field::subtract(y, candidate), field::inverse(x));
    secret_key s;
    s.data()[31] = static_cast<std::uint8_t>(candidate);
    script random{{0, 0, 0, 0, 0, 0, 0, 0, a}};
    bytes share(2 * share_bytes);
    const points at{x, 9};
    REQUIRE(shamir_share(s, 2, at, random, share) == errc::ok);
    CHECK(word_at(share, 32) == y);
    // Any other coefficient deals another share.
    script other{{0, 0, 0, 0, 0, 0, 0, 0, a == 0 ? 1 : a - 1}};
    REQUIRE(shamir_share(s, 2, at, other, share) == errc::ok);
    CHECK(word_at(share, 32) != y);
  }
}

TEST_CASE("coefficients are words below p, those above are drawn again") {
  // p - 1 is the largest that is taken; the polynomial is s + (p - 1) x = s - x.
  script random{{shamir_prime, 0xffffffffu, shamir_prime - 1, shamir_prime + 1, 0, 1, 2, 3, 4, 5, 6, 7}};
  secret_key s;
  s.data()[31] = 9;
  const points x{1, 2};
  bytes shares(2 * share_bytes);
  REQUIRE(shamir_share(s, 2, x, random, shares) == errc::ok);
  CHECK(word_at(shares, 0) == shamir_prime - 1);
  for (std::uint32_t l = 1; l < 8; ++l) CHECK(word_at(shares, 4 * l) == l - 1);
  CHECK(word_at(shares, 32) == 9 + 7);
  CHECK(word_at(shares, share_bytes) == shamir_prime - 2);
}

TEST_CASE("shares are the polynomial's values wherever the holders are") {
  // By the definition, in remainders; x on both sides of what counts as small, and tiles with both.
  const points x{1, 2, 3, (1u << 26) - 1, 1u << 26, 1000000, 0x7fffffffu, 0x80000000u, shamir_prime - 1, 77};
  for (const std::uint32_t t : {1u, 2u, 3u, 10u}) {
    std::vector<std::uint32_t> drawn;
    fedagg::random_stream random(t, "coefficients");
    for (std::uint32_t k = 0; k + 9 < 9 * t + (t == 0); ++k)
      drawn.push_back(static_cast<std::uint32_t>(random() % shamir_prime));
    const secret_key s = secret_of(t);
    const auto limbs = limbs_of(s);
    bytes shares(x.size() * share_bytes);
    REQUIRE(shamir_share(s, t, x, script{drawn}, shares) == errc::ok);
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t l = 0; l < 9; ++l) {
        std::uint64_t value = 0;
        for (std::size_t j = 0; j + 1 < t; ++j) value = (value * x[i] + drawn[9 * j + l]) % shamir_prime;
        value = (value * x[i] + limbs[l]) % shamir_prime;
        if (word_at(shares, i * share_bytes + 4 * l) != value) FAIL_CHECK(t << ", " << i << ", " << l);
      }
    secret_key back;
    std::vector<std::size_t> chosen;
    for (std::size_t i = x.size() - t; i < x.size(); ++i) chosen.push_back(i);
    CHECK(rebuilt(x, shares, chosen, back) == errc::ok);
    CHECK(held(back) == held(s));
  }
}

TEST_CASE("numbers of holders around the tile, thresholds of hundreds") {
  for (const std::uint32_t n : {31u, 32u, 33u, 63u, 64u, 65u, 200u})
    for (const std::uint32_t t : {n / 2 + 1, n}) {
      const secret_key s = secret_of(n);
      const points x = first_points(n);
      const bytes shares = shares_of(s, t, x);
      std::vector<std::size_t> last;
      for (std::size_t i = n - t; i < n; ++i) last.push_back(i);
      secret_key back;
      CHECK(rebuilt(x, shares, last, back) == errc::ok);
      CHECK(held(back) == held(s));
    }
}

TEST_CASE("a million holders, and x at its end") {
  const std::uint32_t n = 1000000;
  const secret_key s = secret_of(5);
  points x = first_points(n);
  const bytes shares = shares_of(s, 3, x);
  secret_key back;
  CHECK(rebuilt(x, shares, {0, n / 2, n - 1}, back) == errc::ok);
  CHECK(held(back) == held(s));
}

TEST_CASE("weights serve many secrets of the same holders") {
  const points x{4, 1, 9, 6};
  shamir_weights weights;
  CHECK(weights.size() == 0);
  REQUIRE(weights.try_reset(std::span(x).first(3)) == errc::ok);
  CHECK(weights.size() == 3);
  for (std::uint64_t k = 0; k < 50; ++k) {
    const secret_key s = secret_of(k);
    const bytes shares = shares_of(s, 3, x, k);
    secret_key back;
    const std::size_t before = allocations::count;
    REQUIRE(weights.reconstruct(bytes_view(shares).first(3 * share_bytes), back) == errc::ok);
    CHECK(allocations::count == before);
    CHECK(held(back) == held(s));
  }
}

TEST_CASE("what no dealer may ask for is refused before anything is written or drawn") {
  const secret_key s = secret_of(1);
  struct never {
    bool* called;
    bool operator()(bytes_span) noexcept { return *called = true; }
  };
  bool called = false;
  const auto refused = [&](std::uint32_t t, const points& x, std::size_t size) {
    bytes out(size, 0x5a);
    const errc rc = shamir_share(s, t, x, never{&called}, out);
    CHECK(std::all_of(out.begin(), out.end(), [](std::uint8_t b) { return b == 0x5a; }));
    return rc;
  };
  CHECK(refused(0, {1, 2, 3}, 108) == errc::bad_parameter);
  CHECK(refused(4, {1, 2, 3}, 108) == errc::bad_parameter);
  CHECK(refused(1, {}, 0) == errc::bad_parameter);
  CHECK(refused(2, {1, 2, 3}, 107) == errc::bad_parameter);
  CHECK(refused(2, {1, 2, 3}, 109) == errc::bad_parameter);
  CHECK(refused(2, {1, 2, 3}, 72) == errc::bad_parameter);
  CHECK(refused(2, {1, 2, 2}, 108) == errc::bad_parameter);
  CHECK(refused(2, {2, 1, 2}, 108) == errc::bad_parameter);
  CHECK(refused(2, {3, 2, 1, 3}, 144) == errc::bad_parameter);
  CHECK(refused(2, {0, 1, 2}, 108) == errc::bad_parameter);
  CHECK(refused(2, {1, 2, 0}, 108) == errc::bad_parameter);
  CHECK(refused(2, {1, 2, shamir_prime}, 108) == errc::bad_parameter);
  CHECK(refused(2, {1, 2, 0xffffffffu}, 108) == errc::bad_parameter);
  CHECK_FALSE(called);

  shamir_weights weights;
  const points good{1, 2};
  REQUIRE(weights.try_reset(good) == errc::ok);
  for (const points& bad : {points{}, points{0, 1}, points{1, 1}, points{3, 1, 3}, points{1, shamir_prime}})
    CHECK(weights.try_reset(bad) == errc::bad_parameter);
  CHECK(weights.size() == 2);
}

TEST_CASE("a generator that fails, or is stuck, deals nothing") {
  const secret_key s = secret_of(1);
  const points x{1, 2, 3};
  bytes out(3 * share_bytes, 7);
  const bytes untouched = out;
  CHECK(shamir_share(
            s, 2, x, [](bytes_span) noexcept { return false; }, out) == errc::no_randomness);
  CHECK(shamir_share(s, 2, x, script{{1, 2, 3, 4}}, out) == errc::no_randomness);
  const auto stuck = [](bytes_span to) noexcept {
    std::fill(to.begin(), to.end(), std::uint8_t{0xff});
    return true;
  };
  CHECK(shamir_share(s, 2, x, stuck, out) == errc::no_randomness);
  CHECK(out == untouched);
  // A threshold of 1 draws nothing.
  CHECK(shamir_share(s, 1, x, stuck, out) == errc::ok);
  const std::size_t before = allocations::count;
  CHECK(shamir_share(s, 2, x, source(1), out) == errc::ok);
  const std::size_t needed = allocations::count - before;
  CHECK(needed > 0);
  for (std::size_t more = 0; more < needed; ++more) {
    std::fill(out.begin(), out.end(), std::uint8_t{7});
    errc rc;
    {
      const allocations::limit limit(more);
      rc = shamir_share(s, 2, x, source(1), out);
    }
    CHECK(rc == errc::out_of_memory);
    CHECK(out == untouched);
  }
}

TEST_CASE("what is no share is told apart, and named before the dealer is") {
  const secret_key s = secret_of(2);
  const points x = first_points(3);
  const bytes shares = shares_of(s, 3, x);
  shamir_weights weights;
  REQUIRE(weights.try_reset(x) == errc::ok);
  secret_key back = secret_of(77);
  const bytes before = held(back);
  for (std::size_t limb = 0; limb < 27; ++limb)
    for (const std::uint32_t word : {shamir_prime, shamir_prime + 1, 0xffffffffu}) {
      bytes wrong = shares;
      put_word(wrong, 4 * limb, word);
      CHECK(weights.reconstruct(wrong, back) == errc::bad_share);
      CHECK_FALSE(fedagg::is_shamir_share(bytes_view(wrong).subspan(limb / 9 * share_bytes, share_bytes)));
      put_word(wrong, 4 * limb, shamir_prime - 1);
      CHECK(fedagg::is_shamir_share(bytes_view(wrong).subspan(limb / 9 * share_bytes, share_bytes)));
    }
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 36, 72, 107})
    CHECK(weights.reconstruct(bytes_view(shares).first(size), back) == errc::bad_parameter);
  CHECK(shamir_weights().reconstruct({}, back) == errc::bad_parameter);
  CHECK(held(back) == before);
  CHECK_FALSE(fedagg::is_shamir_share({}));
  CHECK_FALSE(fedagg::is_shamir_share(bytes_view(shares).first(35)));
  CHECK_FALSE(fedagg::is_shamir_share(bytes_view(shares).first(37)));
}

TEST_CASE("limbs at the border of 31 bits, and of 8 in the first") {
  // Shares of polynomials of degree 0: what is reconstructed is the share.
  shamir_weights weights;
  const points x{3};
  REQUIRE(weights.try_reset(x) == errc::ok);
  for (std::size_t limb = 0; limb < 9; ++limb) {
    const std::uint32_t last = limb == 0 ? 255 : 0x7fffffff;
    for (const std::uint32_t word : {last, last + 1, shamir_prime - 1}) {
      bytes share(share_bytes);
      put_word(share, 4 * limb, word);
      secret_key back = secret_of(3);
      const bytes before = held(back);
      const errc rc = weights.reconstruct(share, back);
      CAPTURE(limb, word);
      CHECK(rc == (word == last ? errc::ok : errc::bad_dealer));
      if (rc == errc::ok)
        CHECK(limbs_of(back)[limb] == last);
      else
        CHECK(held(back) == before);
    }
  }
}

TEST_CASE("a wrong share gives a wrong secret, or none") {
  const secret_key s = secret_of(8);
  const points x = first_points(5);
  const bytes shares = shares_of(s, 3, x);
  for (std::size_t at = 0; at < 3 * share_bytes; ++at) {
    bytes wrong = shares;
    wrong[at] ^= 1;
    secret_key back;
    const errc rc = rebuilt(x, wrong, {0, 1, 2}, back);
    CHECK((rc != errc::ok || held(back) != held(s)));
    CHECK((rc == errc::ok || rc == errc::bad_dealer || rc == errc::bad_share));
  }
}
