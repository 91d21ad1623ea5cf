// expect: is_integral_v
// SPDX-License-Identifier: MIT
#include <cstdint>
#include <span>

#include <fedagg/secure/ring_codec.hpp>

struct words {
  void fill(std::span<std::uint32_t>) {}
};

#ifdef FEDAGG_FAIL_CONTROL
using weight = int;
#else
using weight = double;
#endif
bool f(const fedagg::ring_codec& codec, const fedagg::model_view& update, fedagg::ring_vector& out) {
  return codec.try_encode(update, weight{1}, {}, words{}, out) == fedagg::errc::ok;
}
