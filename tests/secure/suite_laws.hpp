// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SECURE_SUITE_LAWS_HPP
#define FEDAGG_TESTS_SECURE_SUITE_LAWS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include <fedagg/secure/crypto_suite.hpp>

#include "support/catch.hpp"

namespace fedagg_test {

inline bool same(const fedagg::secret_key& a, const fedagg::secret_key& b) {
  return std::memcmp(a.data(), b.data(), a.size()) == 0;
}

/// What the protocol relies on, whatever the suite.
template <fedagg::crypto_suite S>
void suite_laws(S& suite) {
  using bytes = std::vector<std::uint8_t>;
  const auto key = [&] {
    fedagg::secret_key k;
    REQUIRE(suite.random(k.bytes()));
    return k;
  };
  {
    INFO("both sides of an exchange agree, a third does not");
    const fedagg::secret_key a = key(), b = key(), c = key();
    fedagg::public_key of_a, of_b, of_c;
    suite.agreement_public(a, of_a);
    suite.agreement_public(b, of_b);
    suite.agreement_public(c, of_c);
    CHECK(of_a != of_b);
    fedagg::secret_key ab, ba, cb, none;
    REQUIRE(suite.agree(a, of_b, ab));
    REQUIRE(suite.agree(b, of_a, ba));
    REQUIRE(suite.agree(c, of_b, cb));
    CHECK(same(ab, ba));
    CHECK_FALSE(same(ab, cb));
    CHECK_FALSE(suite.agree(a, fedagg::public_key{}, none));
  }
  {
    INFO("hashing in pieces is hashing as a whole, every byte counts");
    bytes text(200);
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::uint8_t>(i * 7);
    const auto hash = [&](std::size_t cut) {
      typename S::hasher h;
      h.update(fedagg::bytes_view(text).first(cut));
      h.update(fedagg::bytes_view(text).subspan(cut));
      return h.finish();
    };
    const fedagg::digest whole = hash(0);
    for (const std::size_t cut : std::initializer_list<std::size_t>{1, 8, 63, 64, 65, 127, 128, 199, 200}) CHECK(hash(cut) == whole);
    text.push_back(0);
    CHECK(hash(0) != whole);
    text.pop_back();
    text[150] ^= 1;
    CHECK(hash(0) != whole);
  }
  {
    INFO("derived keys depend on key and purpose, and on nothing else");
    const fedagg::secret_key a = key(), b = key();
    fedagg::secret_key x, y, z, again;
    const bytes one = {1}, two = {2};
    suite.derive(a, one, x);
    suite.derive(a, two, y);
    suite.derive(b, one, z);
    suite.derive(a, one, again);
    CHECK(same(x, again));
    CHECK_FALSE(same(x, y));
    CHECK_FALSE(same(x, z));
  }
  {
    INFO("what is sealed opens unchanged, and not at all after any change");
    const fedagg::secret_key k = key();
    std::array<std::uint8_t, fedagg::seal_nonce_bytes> nonce;
    REQUIRE(suite.random(nonce));
    for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 31, 72, 1000}) {
      bytes plain(size, 3), ad = {5, 6}, sealed(size + fedagg::seal_tag_bytes), out(size, 99);
      suite.seal(k, nonce, plain, ad, sealed);
      REQUIRE(suite.open(k, nonce, sealed, ad, out));
      CHECK(out == plain);
      for (const std::size_t at : {std::size_t{0}, size / 2, sealed.size() - 1}) {
        bytes changed = sealed;
        changed[at] ^= 64;
        CHECK_FALSE(suite.open(k, nonce, changed, ad, out));
      }
      ad[1] ^= 1;
      CHECK_FALSE(suite.open(k, nonce, sealed, ad, out));
      ad[1] ^= 1;
      CHECK_FALSE(suite.open(key(), nonce, sealed, ad, out));
      auto other = nonce;
      other[0] ^= 1;
      CHECK_FALSE(suite.open(k, other, sealed, ad, out));
      CHECK_FALSE(suite.open(k, nonce, fedagg::bytes_view(sealed).first(15), ad, out));
    }
  }
  {
    INFO("a signature verifies for its key and its message alone");
    fedagg::signing_key own, other;
    fedagg::public_key of_own, of_other, again;
    suite.signing_keys(key(), own, of_own);
    suite.signing_keys(key(), other, of_other);
    suite.signing_public(own, again);
    CHECK(again == of_own);
    CHECK(of_other != of_own);
    bytes text(100, 1);
    fedagg::signature s;
    suite.sign(own, text, s);
    CHECK(suite.verify(of_own, text, s));
    CHECK_FALSE(suite.verify(of_other, text, s));
    text[99] ^= 1;
    CHECK_FALSE(suite.verify(of_own, text, s));
    text[99] ^= 1;
    s[0] ^= 1;
    CHECK_FALSE(suite.verify(of_own, text, s));
  }
}

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SECURE_SUITE_LAWS_HPP
