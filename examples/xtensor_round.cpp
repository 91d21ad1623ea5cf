// SPDX-License-Identifier: MIT
// A round over xtensor's containers, adapted memory and views, and with a lazy expression as an update.
#include <array>
#include <cstddef>
#include <iostream>
#include <vector>

#include <fedagg/adapters/xtensor.hpp>
#include <fedagg/fedagg.hpp>

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/io/xio.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xio.hpp>
#endif

int main() {
  const xt::xarray<float> global{{1, 1, 1}, {2, 2, 2}};
  const xt::xtensor<float, 2> first{{2, 2, 2}, {4, 4, 4}};
  std::vector<float> received{3, 3, 3, 6, 6, 6};
  xt::xtensor<float, 3> stored{{{0, 0, 0}, {0, 0, 0}}, {{1, 2, 3}, {4, 5, 6}}};

  // What each client changed, as a lazy expression until it is kept.
  const auto change = fedagg::evaluate(first - global);
  fedagg::cohort clients;
  clients.updates();
  clients.add(change, {.id = "expression"});
  clients.add(xt::adapt(received, std::array<std::size_t, 2>{2, 3}), {.id = "adapted"});
  clients.add(xt::view(stored, 1), {.id = "view"});

  xt::xarray<float> update = xt::zeros<float>({2, 3});
  fedagg::aggregate(fedagg::median{}, clients, update);

  const xt::xarray<float> expected{{1, 2, 3}, {4, 5, 6}};
  const xt::xarray<float> next = global + update;
  std::cout << "median update:\n" << update << "\nnext model:\n" << next << "\n";
  const bool right = update == expected && next == xt::xarray<float>{{2, 3, 4}, {6, 7, 8}};
  std::cout << (right ? "as expected\n" : "WRONG\n");
  return right ? 0 : 1;
}
