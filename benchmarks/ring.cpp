// SPDX-License-Identifier: MIT
// What rings of secure aggregation cost, one thread: encoding against the slower of a copy of the same bytes and the
// random stream it uses; decoding, packing and sums against a copy. A line each: the median of the rounds, the bar,
// quartiles.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <fedagg/secure/chacha20.hpp>
#include <fedagg/secure/ring_codec.hpp>

#include "support/ratios.hpp"

namespace {

void require(fedagg::errc rc) {
  if (rc == fedagg::errc::ok) return;
  std::fprintf(stderr, "ring: %s\n", fedagg::message(rc));
  std::exit(2);
}

struct row {
  std::string name;
  std::function<void()> run;
  std::vector<std::function<void()>> against; ///< the slowest of them is the yardstick
  double bar = 0;
};

void compare(const row& what, std::size_t d, int rounds, std::vector<bench::ratio>& all) {
  bench::ratio r{what.name + " d=" + std::to_string(d), {}, what.bar > 0 ? "<=" : "", what.bar};
  for (int round = 0; round < rounds; ++round) {
    double own = 1e300;
    std::vector<double> others(what.against.size(), 1e300);
    for (int turn = 0; turn < 3; ++turn) {
      for (std::size_t k = 0; k < others.size(); ++k) others[k] = std::min(others[k], bench::seconds_of(what.against[k]));
      own = std::min(own, bench::seconds_of(what.run));
    }
    r.samples.push_back(own / *std::max_element(others.begin(), others.end()));
  }
  all.push_back(std::move(r));
}

template <class Word>
void measure(std::size_t d, unsigned bits, int rounds, std::vector<bench::ratio>& all) {
  std::vector<float> x(d), back(d);
  for (std::size_t j = 0; j < d; ++j) x[j] = static_cast<float>(j % 2001) * 0.9e-3f - 0.9f;
  const fedagg::model_view model(x);
  const fedagg::mutable_model_view mean(back);
  const fedagg::ring_codec range({.max_clients = 100, .max_weight = 1, .bits = bits}, model);
  const fedagg::ring_codec norm(
      {.max_clients = 100, .max_weight = 1, .bits = bits, .clip = 10, .clip_by = fedagg::ring_clip::norm}, model);
  fedagg::secret_key key;
  fedagg::chacha20_stream random(key, fedagg::stream_purpose::rounding);
  fedagg::ring_vector vector, sum;
  require(range.try_encode(model, 1, {}, random, vector));
  require(sum.try_copy(vector));
  std::vector<std::uint8_t> message(range.layout().packed_bytes());
  require(fedagg::try_pack(vector, message));
  fedagg::ring_totals totals;
  std::vector<std::uint32_t> bits_of(2048);
  std::vector<Word> copied(d);

  const auto copy = [&] { std::memcpy(copied.data(), vector.words<Word>(1).data(), d * sizeof(Word)); };
  // As many bytes in and out as encoding has.
  const auto copy_floats = [&] { std::memcpy(back.data(), x.data(), d * sizeof(float)); };
  const auto stream = [&] {
    for (std::size_t at = 0; at < d; at += bits_of.size())
      require(random.fill(std::span<std::uint32_t>(bits_of.data(), std::min(bits_of.size(), d - at))));
  };
  const std::string name = std::to_string(bits) + " bits";
  const auto add = [&](std::string what, double bar, std::function<void()> run,
                       std::vector<std::function<void()>> against) {
    compare({name + ", " + what, std::move(run), std::move(against), bar}, d, rounds, all);
  };
  add("random stream / copy", 0, stream, {copy_floats});
  add("encode, range, write::direct / slower of copy and stream", 1.5,
      [&] { require(range.try_encode(model, 1, {}, random, vector, {.write = fedagg::write::direct})); },
      {copy_floats, stream});
  add("encode, range / slower of copy and stream", 0,
      [&] { require(range.try_encode(model, 1, {}, random, vector)); }, {copy_floats, stream});
  add("encode, norm / slower of copy and stream", 0,
      [&] { require(norm.try_encode(model, 1, {}, random, vector)); }, {copy_floats, stream});
  add("decode / copy", 0, [&] { require(range.try_decode(vector, 1, mean, totals)); }, {copy_floats});
  add("pack / copy", 0, [&] { require(fedagg::try_pack(vector, message)); }, {copy});
  add("unpack / copy", 0, [&] { require(fedagg::try_unpack(message, sum)); }, {copy});
  add("add / copy", 0, [&] { require(fedagg::try_add(sum, vector)); }, {copy});
  add("add_packed / copy", 0, [&] { require(fedagg::try_add_packed(message, sum)); }, {copy});
}

} // namespace

int main(int count, char** arguments) {
  bool quick = false;
  if (!bench::read_quick(count, arguments, "ring", quick)) return 2;
  bench::print_machine();
  std::vector<bench::ratio> rows;
  for (const std::size_t d : {std::size_t{1000000}, std::size_t{20000000}}) {
    const int rounds = quick ? 3 : d > 1000000 ? 7 : 25;
    measure<std::uint32_t>(d, 32, rounds, rows);
    measure<std::uint16_t>(d, 16, rounds, rows);
    measure<std::uint32_t>(d, 24, rounds, rows);
    measure<std::uint32_t>(d, 20, rounds, rows);
    measure<std::uint64_t>(d, 48, rounds, rows);
  }
  return bench::print(rows);
}
