// SPDX-License-Identifier: MIT
// A rule of one's own: the mean of all clients, each coordinate pulled back to at most `reach` around the median.
// Written once for one coordinate, it runs on every instruction set, element type and number of threads.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <tuple>
#include <vector>

#include <fedagg/fedagg.hpp>

struct pulled_mean {
  double reach = 1;

  static constexpr const char* name = "pulled_mean";
  static constexpr auto fields() {
    return std::tuple{fedagg::field{"reach", &pulled_mean::reach, 0.0, 1e6, "the furthest from the median"}};
  }

  template <class Lanes>
  void operator()(fedagg::column<Lanes> x, Lanes& out) const {
    x.sort();
    const Lanes middle = x[(x.size() - 1) / 2];
    const Lanes most(static_cast<typename Lanes::value_type>(reach));
    Lanes sum(0);
    for (const Lanes& value : x) sum += max(min(value, middle + most), middle - most);
    out = sum / Lanes(static_cast<typename Lanes::value_type>(x.size()));
  }
};

namespace {

float plain(std::vector<float> x, float reach) {
  std::sort(x.begin(), x.end());
  const float middle = x[(x.size() - 1) / 2];
  float sum = 0;
  for (const float value : x) sum += std::max(std::min(value, middle + reach), middle - reach);
  return sum / static_cast<float>(x.size());
}

} // namespace

int main() {
  constexpr std::size_t clients = 7, size = 10007;
  std::vector<std::vector<float>> models(clients, std::vector<float>(size));
  std::uint32_t state = 1;
  for (auto& model : models)
    for (float& x : model) x = static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-22f;
  fedagg::cohort cohort;
  for (const auto& model : models) cohort.add(model);

  std::vector<float> expected(size), result(size), column(clients);
  for (std::size_t j = 0; j < size; ++j) {
    for (std::size_t i = 0; i < clients; ++i) column[i] = models[i][j];
    expected[j] = plain(column, 0.5f);
  }

  int wrong = 0;
  for (const fedagg::isa which : {fedagg::isa::baseline, fedagg::isa::avx2, fedagg::isa::avx512}) {
    if (!fedagg::use_isa(which)) {
      std::printf("%-9s not on this machine\n", name_of(which));
      continue;
    }
    fedagg::aggregate(pulled_mean{.reach = 0.5}, cohort, result);
    int different = 0;
    for (std::size_t j = 0; j < size; ++j)
      different += std::bit_cast<std::uint32_t>(result[j]) != std::bit_cast<std::uint32_t>(expected[j]);
    std::printf("%-9s %d of %zu coordinates differ from a plain loop\n", name_of(which), different, size);
    wrong += different;
  }
  return wrong == 0 ? 0 : 1;
}
