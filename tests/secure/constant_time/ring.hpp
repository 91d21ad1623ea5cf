// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SECURE_CONSTANT_TIME_RING_HPP
#define FEDAGG_TESTS_SECURE_CONSTANT_TIME_RING_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include <fedagg/secure/ring_codec.hpp>

#include "secrets.hpp"

namespace constant_time {

/// Values and what decides their rounding, both secret, of one element type into one word: whole blocks and less. What
/// a kernel says of a block is shown: that is what the codec looks at.
template <class T, class W>
void encode_block(bool may_clip) {
  constexpr std::size_t count = 1003;
  static std::array<T, count> x;
  static std::array<std::uint32_t, count> random;
  static std::array<W, count> out;
  x = {}, random = {}, out = {};
  hide(x), hide(random);
  const fedagg::impl::ring_scaling how{.factor = 16, .limit = 1000};
  fedagg::impl::on_active_isa([&](auto isa) {
    using kernel = fedagg::impl::ring_kernel<decltype(isa)>;
    if (may_clip) {
      std::size_t clipped = kernel::encode(x.data(), how, random.data(), count, out.data());
      show(clipped);
      if (clipped != 0) std::abort();
    } else {
      using word = typename kernel::template word_of<T>;
      bool inside = kernel::encode_inside(x.data(), how, static_cast<word>(1), random.data(), count, out.data());
      show(inside);
      if (!inside) std::abort();
    }
  });
  expect_secret(out[0], "a residue");
  expect_secret(out[count - 1], "a residue");
}

template <bool MayClip>
void encode() {
  const auto from = []<class T>(T) {
    encode_block<T, std::uint16_t>(MayClip);
    encode_block<T, std::uint32_t>(MayClip);
    encode_block<T, std::uint64_t>(MayClip);
  };
  from(float{});
  from(double{});
  from(fedagg::bfloat16{});
  // Without instructions for them the baseline looks at whether they are zero, subnormal or infinite.
  if (fedagg::active_isa() != fedagg::isa::baseline) from(fedagg::float16{});
}

/// A model that anyone may see, rounded by secret bits.
inline void round() {
  const std::vector<float> model(3000, 0.3f);
  const fedagg::ring_codec codec({.max_clients = 10, .max_weight = 5, .clip = 0.25},
                                 fedagg::model_layout(fedagg::model_view(model)));
  struct {
    void fill(std::span<std::uint32_t> words) {
      for (std::uint32_t& w : words) w = 7;
      hide(words.data(), words.size_bytes());
    }
  } random;
  for (const auto how : {fedagg::write::atomic, fedagg::write::direct}) {
    fedagg::ring_vector out;
    if (codec.try_encode(model, 2u, {}, random, out, {.write = how}) != fedagg::errc::ok) std::abort();
    expect_secret(out.words<std::uint32_t>(1)[2999], "a residue");
  }
}

} // namespace constant_time

#endif // FEDAGG_TESTS_SECURE_CONSTANT_TIME_RING_HPP
