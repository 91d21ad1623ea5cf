// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstring>

#include "../support/isa.hpp"
#include "unit.hpp"

#define FEDAGG_UNIT(name) unit_function run_##name;
#include "units.inl"
#undef FEDAGG_UNIT

namespace {

constexpr std::size_t clients = 7;
constexpr std::size_t coordinates = 10'007; // several tiles and a tail

struct named_unit {
  const char* name;
  unit_function* run;
};

const named_unit units[] = {
#define FEDAGG_UNIT(name) {#name, run_##name},
#include "units.inl"
#undef FEDAGG_UNIT
};

// Bit patterns, so that no unit's arithmetic takes part: all exponents, the smallest denormals among them.
float value(std::size_t client, std::size_t coordinate) {
  std::uint64_t state = (client + 1) * 0x9e3779b97f4a7c15U + coordinate * 0xd1b54a32d192ed03U;
  state = (state ^ (state >> 32)) * 0xd6e8feb86659fd93U;
  state ^= state >> 32;
  const auto random = static_cast<std::uint32_t>(state);
  const std::uint32_t sign = random & 0x8000'0000U;
  const std::uint32_t mantissa = random & 0x007f'ffffU;
  std::uint32_t exponent = coordinate % 3 == 0 ? 0 : coordinate % 3 == 1 ? 127 : (random >> 8) % 240;
  if (client == clients - 1 && coordinate == coordinates - 1)
    exponent = 255; // one client sends a NaN at the very end and is left out
  const std::uint32_t bits = sign | exponent << 23 | (exponent == 255 ? 1 : mantissa);
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

} // namespace

int main() {
  if (requested_isa() == isa_request::missing)
    return isa_skipped;
  std::vector<std::vector<float>> rows(clients, std::vector<float>(coordinates));
  fedagg::cohort round;
  for (std::size_t client = 0; client < clients; ++client) {
    for (std::size_t coordinate = 0; coordinate < coordinates; ++coordinate)
      rows[client][coordinate] = value(client, coordinate);
    round.add(rows[client], {.weight = static_cast<double>(client + 1)});
  }

  const unit_result reference = units[0].run(round, coordinates);
  bool same = reference.size() == 3 * (2 * coordinates + 1);
  bool denormals = false;
  for (const std::uint32_t bits : reference)
    denormals = denormals || (bits > 1 && bits < 0x0080'0000U);
  if (!denormals)
    std::printf("no denormal came out: the round cannot show that they are flushed\n");
  for (const named_unit& unit : units) {
    const unit_result result = unit.run(round, coordinates);
    std::size_t differing = 0;
    for (std::size_t i = 0; i < result.size() && i < reference.size(); ++i)
      differing += result[i] != reference[i] ? 1 : 0;
    if (result.size() != reference.size() || differing != 0) {
      std::printf("%s: %zu of %zu values differ from %s\n", unit.name, differing, result.size(), units[0].name);
      same = false;
    }
  }
  return same && denormals ? 0 : 1;
}
