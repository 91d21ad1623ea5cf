// SPDX-License-Identifier: MIT
#include <cstdio>
#include <vector>

#include <fedagg/fedagg.hpp>

int main() {
  const std::vector<float> north(4, 1.F), south(4, 2.F), east(4, 3.F);
  std::vector<float> global(4);
  fedagg::cohort round;
  round.add(north, {.weight = 120, .id = "north"});
  round.add(south, {.weight = 80});
  round.add(east);

  const fedagg::outcome result = fedagg::aggregate(fedagg::trimmed_mean{.trim = 1}, round, global);
  static_cast<void>(result);
  fedagg::workspace scratch;
  const fedagg::errc code = fedagg::try_aggregate(fedagg::median{}, round, global, scratch);
  std::printf("fedagg %d.%d.%d: %s, %g\n", FEDAGG_VERSION_MAJOR, FEDAGG_VERSION_MINOR, FEDAGG_VERSION_PATCH,
              fedagg::message(code), static_cast<double>(global[0]));
  return code == fedagg::errc::ok && global == south ? 0 : 1;
}
