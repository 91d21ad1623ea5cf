// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

#include <fedagg/adapters/sodium.hpp>

#include "secure/suite_laws.hpp"
#include "support/catch.hpp"

using fedagg::sodium_suite;

static_assert(std::is_copy_assignable_v<sodium_suite> && std::is_nothrow_default_constructible_v<sodium_suite>);

namespace {

std::vector<std::uint8_t> hex(std::string_view text) {
  const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(digit(text[i]) << 4 | digit(text[i + 1])));
  return out;
}

template <class To>
To from_hex(std::string_view text) {
  const std::vector<std::uint8_t> bytes = hex(text);
  To out;
  REQUIRE(bytes.size() == out.size());
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

fedagg::bytes_view text(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

} // namespace

TEST_CASE("libsodium keeps the laws of a suite") {
  sodium_suite suite;
  REQUIRE(suite.ready());
  fedagg_test::suite_laws(suite);
  sodium_suite copy = suite;
  fedagg_test::suite_laws(copy);
}

TEST_CASE("libsodium's random bytes differ and fill all that was asked for") {
  sodium_suite suite;
  std::array<std::uint8_t, 4096> a{}, b{};
  REQUIRE(suite.random(a));
  sodium_suite copy = suite;
  REQUIRE(suite.random(b));
  CHECK(a != b);
  REQUIRE(copy.random(a));
  CHECK(a != b); // a copy repeats nothing
  // 64 zeros in a row among 4096 random bytes: below 4096 * 2^-512.
  const std::array<std::uint8_t, 64> zeros{};
  CHECK(std::search(a.begin(), a.end(), zeros.begin(), zeros.end()) == a.end());
  CHECK(suite.random({}));
}

TEST_CASE("the exchange of RFC 7748, section 6.1") {
  sodium_suite suite;
  const auto a = from_hex<fedagg::secret_key>("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const auto b = from_hex<fedagg::secret_key>("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  fedagg::public_key of_a, of_b;
  suite.agreement_public(a, of_a);
  suite.agreement_public(b, of_b);
  CHECK(of_a == from_hex<fedagg::public_key>("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
  CHECK(of_b == from_hex<fedagg::public_key>("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
  fedagg::secret_key shared;
  REQUIRE(suite.agree(a, of_b, shared));
  CHECK(fedagg_test::same(
      shared, from_hex<fedagg::secret_key>("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")));
  // The output may be the input.
  fedagg::secret_key in_place = a;
  REQUIRE(suite.agree(in_place, of_b, in_place));
  CHECK(fedagg_test::same(in_place, shared));
}

TEST_CASE("keys of low order are refused, and nothing is agreed on") {
  sodium_suite suite;
  fedagg::secret_key own;
  REQUIRE(suite.random(own.bytes()));
  // Points of order 1, 2, 4 and 8 on the curve and its twist, and encodings of them beyond p = 2^255 - 19.
  for (const char* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    INFO(point);
    fedagg::secret_key out = own;
    CHECK_FALSE(suite.agree(own, from_hex<fedagg::public_key>(point), out));
    CHECK(fedagg_test::same(out, fedagg::secret_key{}));
  }
}

TEST_CASE("BLAKE2b with 32 bytes of output, without and with a key") {
  sodium_suite suite;
  sodium_suite::hasher h;
  const auto abc = from_hex<fedagg::digest>("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  for (int again = 0; again < 2; ++again) {
    h.update(text("ab"));
    h.update({});
    h.update(text("c"));
    CHECK(h.finish() == abc);
  }
  h.update(text("ab"));
  sodium_suite::hasher copy = h;
  copy.update(text("c"));
  CHECK(copy.finish() == abc);

  fedagg::secret_key key;
  for (std::size_t i = 0; i < key.size(); ++i) key.data()[i] = static_cast<std::uint8_t>(i);
  suite.derive(key, text("fedagg"), key);
  CHECK(fedagg_test::same(
      key, from_hex<fedagg::secret_key>("3957a75cbc622486011563d213b539093adb23b37b260be42f31aca51a83c730")));
}

TEST_CASE("the sealed text of draft-irtf-cfrg-xchacha-03, appendix A.3") {
  sodium_suite suite;
  const auto key = from_hex<fedagg::secret_key>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const auto nonce =
      from_hex<std::array<std::uint8_t, fedagg::seal_nonce_bytes>>("404142434445464748494a4b4c4d4e4f5051525354555657");
  const auto associated = hex("50515253c0c1c2c3c4c5c6c7");
  const auto plain = text("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                          "sunscreen would be it.");
  std::vector<std::uint8_t> sealed(plain.size() + fedagg::seal_tag_bytes);
  suite.seal(key, nonce, plain, associated, sealed);
  CHECK(sealed ==
        hex("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64"
            "c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c"
            "97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"));
  // In place, both ways; what does not open leaves nothing of the text behind.
  std::vector<std::uint8_t> buffer(plain.begin(), plain.end());
  buffer.resize(sealed.size());
  suite.seal(key, nonce, fedagg::bytes_view(buffer).first(plain.size()), associated, buffer);
  CHECK(buffer == sealed);
  REQUIRE(suite.open(key, nonce, buffer, associated, fedagg::bytes_span(buffer).first(plain.size())));
  CHECK(std::equal(plain.begin(), plain.end(), buffer.begin()));
  sealed.back() ^= 1;
  CHECK_FALSE(suite.open(key, nonce, sealed, associated, fedagg::bytes_span(buffer).first(plain.size())));
  CHECK_FALSE(std::equal(plain.begin(), plain.begin() + 16, buffer.begin()));
}

TEST_CASE("the signature of RFC 8032, section 7.1, test 2") {
  sodium_suite suite;
  const auto seed = from_hex<fedagg::secret_key>("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  fedagg::signing_key own;
  fedagg::public_key shown, again;
  suite.signing_keys(seed, own, shown);
  CHECK(shown == from_hex<fedagg::public_key>("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
  suite.signing_public(own, again);
  CHECK(again == shown);
  fedagg::signature made;
  const auto message = hex("72");
  suite.sign(own, message, made);
  CHECK(made == from_hex<fedagg::signature>("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                                            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"));
  CHECK(suite.verify(shown, message, made));
  suite.sign(own, {}, made);
  CHECK(suite.verify(shown, {}, made));
  // A key of low order, for which forged signatures would verify.
  fedagg::public_key low{};
  low[0] = 1;
  fedagg::signature forged{};
  forged[0] = 1;
  CHECK_FALSE(suite.verify(low, message, forged));
}
