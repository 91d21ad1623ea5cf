// SPDX-License-Identifier: MIT
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include <fedagg/core/random.hpp>
#include <fedagg/secure/protocol/opened_shares.hpp>

#include "support/catch.hpp"

using namespace fedagg;

namespace {

constexpr std::uint32_t n = 24, t = 16;

/// Every client deals a secret to all, and those for whom `opens(dealer, holder)` holds open their shares.
struct dealt {
  std::vector<secret_key> secrets{n};
  impl::opened_shares opened{n};
  std::size_t missing = 0;

  explicit dealt(const std::function<bool(std::uint32_t, std::uint32_t)>& opens) {
    random_stream random(5, "opened shares");
    const auto draw = [&](bytes_span out) {
      for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
      return true;
    };
    std::vector<std::uint32_t> points;
    for (std::uint32_t i = 0; i < n; ++i) points.push_back(shamir_x(i));
    std::vector<std::uint8_t> shares(n * shamir_share_bytes);
    for (std::uint32_t dealer = 0; dealer < n; ++dealer) {
      draw(secrets[dealer].bytes());
      REQUIRE(shamir_share(secrets[dealer], t, points, draw, shares) == errc::ok);
      // The last one comes first: who opens first is not to matter.
      for (std::uint32_t holder = n; holder-- > 0;)
        if (opens(dealer, holder))
          opened.add(dealer, holder, bytes_view(shares).subspan(holder * shamir_share_bytes, shamir_share_bytes));
        else
          ++missing;
    }
  }
  /// How often it takes weights to make all secrets.
  std::size_t weighings() {
    opened.rank(t);
    for (std::uint32_t dealer = 0; dealer < n; ++dealer) {
      secret_key made;
      REQUIRE(opened.secret(dealer, made) == errc::ok);
      REQUIRE(std::memcmp(made.data(), secrets[dealer].data(), 32) == 0);
    }
    return opened.weighings();
  }
};

} // namespace

TEST_CASE("where enough holders open everything they are weighed once, whatever the others open") {
  CHECK(dealt([](auto, auto) { return true; }).weighings() == 1);
  // The lowest holder opens for every second dealer; several do, each in its own pattern; at random.
  CHECK(dealt([](auto dealer, auto holder) { return holder != 0 || dealer % 2 == 0; }).weighings() == 1);
  CHECK(dealt([](auto dealer, auto holder) { return holder >= 5 || (dealer >> holder & 1) == 0; }).weighings() == 1);
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    random_stream random(seed, "opened shares");
    CHECK(dealt([&](auto, auto holder) { return holder >= n - t || random.below(2) == 0; }).weighings() == 1);
  }
  // Or nothing at all, or all but one, a different one each.
  CHECK(dealt([](auto, auto holder) { return holder >= n - t; }).weighings() == 1);
  CHECK(dealt([](auto dealer, auto holder) { return holder >= n - t || dealer != holder; }).weighings() == 1);
}

TEST_CASE("a dealer costs another weighing only where one of the first holders has none of its shares") {
  // Two dealers that deal rubbish, to different holders: too few open both, and only one of the two needs another set.
  const auto two = [](std::uint32_t dealer, std::uint32_t holder) {
    return dealer == 3 ? holder < t : dealer == 17 ? holder >= n - t : true;
  };
  CHECK(dealt(two).weighings() == 2);
  // Four holders that know good shares of these leave out another dealer each. They are as good as others, and come
  // first.
  CHECK(dealt([&](auto dealer, auto holder) {
          return holder >= 4 && holder < 8 ? dealer != 2 * holder + 6 : two(dealer, holder);
        }).weighings() == 2 + 4);
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    random_stream random(seed, "opened shares");
    // Each dealer has t holders, and which is chance.
    dealt d([&](auto dealer, auto holder) { return (holder + n - dealer * 7 % n) % n < t || random.below(4) == 0; });
    const std::size_t sets = d.weighings();
    CHECK(sets > 1);
    CHECK(sets <= n);
    CHECK(sets <= 1 + d.missing);
  }
}

TEST_CASE("a dealer whose shares yield no secret is a bad dealer, and the others are what they are") {
  dealt d([](auto, auto) { return true; });
  const std::vector<std::uint8_t> rubbish(shamir_share_bytes, 0xff);
  for (const bool outside : {false, true}) {
    impl::opened_shares opened(n);
    random_stream random(9, "rubbish");
    for (std::uint32_t holder = 0; holder < n; ++holder) {
      std::vector<std::uint8_t> share(shamir_share_bytes, 0xff); // no element of the field
      if (!outside)
        for (std::size_t k = 0; k < share.size(); ++k) share[k] = static_cast<std::uint8_t>(random() & 0x7f);
      opened.add(2, holder, share);
    }
    CHECK(opened.count(2) == n);
    CHECK(opened.count(1) == 0);
    opened.rank(t);
    secret_key made;
    made.data()[0] = 7;
    CHECK(opened.secret(2, made) == errc::bad_dealer);
    CHECK(made.data()[0] == 7);
  }
}
