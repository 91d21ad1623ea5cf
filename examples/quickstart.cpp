// SPDX-License-Identifier: MIT
#include <cstdio>
#include <vector>

// [readme
#include <fedagg/fedagg.hpp>

std::vector<float> round(const std::vector<float>& north, const std::vector<float>& east, const std::vector<float>& south) {
  fedagg::cohort clients;
  clients.add(north, {.weight = 120, .id = "north"});
  clients.add(east, {.weight = 80, .id = "east"}).add(south, {.weight = 60, .id = "south"});
  std::vector<float> global(north.size());
  const fedagg::outcome done = fedagg::aggregate(fedagg::median{}, clients, global);
  for (const auto& r : done.rejected) std::printf("left out: client %zu, %s\n", r.client, message(r.reason));
  return global;
}
// readme]

int main() {
  const std::vector<float> north{1, 2, 3}, east{2, 3, 4}, poisoned{-1e30f, 1e30f, 3.5f};
  const std::vector<float> global = round(north, east, poisoned);
  std::printf("global model: %g %g %g\n", static_cast<double>(global[0]), static_cast<double>(global[1]),
              static_cast<double>(global[2]));
  return global == std::vector<float>{1, 3, 3.5f} ? 0 : 1;
}
