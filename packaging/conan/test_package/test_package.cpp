// SPDX-License-Identifier: MIT
#include <cstdio>
#include <vector>

#include <fedagg/fedagg.hpp>

int main() {
  const std::vector<float> north(4, 1.F), south(4, 2.F), east(4, 3.F);
  std::vector<float> global(4);
  fedagg::cohort round;
  round.add(north);
  round.add(south);
  round.add(east);
  fedagg::workspace scratch;
  const fedagg::errc code = fedagg::try_aggregate(fedagg::median{}, round, global, scratch);
  std::printf("%s: %g\n", fedagg::message(code), static_cast<double>(global[0]));
  return code == fedagg::errc::ok && global == south ? 0 : 1;
}
