// SPDX-License-Identifier: MIT
#include "unit.hpp"

#include <cstring>

namespace {

void append(unit_result& all, const std::vector<float>& values) {
  for (const float& value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits); // a float register may flush what the memory holds
    all.push_back(bits);
  }
}

template <class Rule>
void run(unit_result& all, const Rule& rule, const fedagg::cohort& round, std::size_t coordinates) {
  std::vector<float> out(coordinates);
  const fedagg::outcome result = fedagg::aggregate(rule, round, out);
  static_cast<void>(result);
  append(all, out);

  std::vector<float> again(coordinates);
  fedagg::workspace scratch;
  const fedagg::errc code = fedagg::try_aggregate(rule, round, again, scratch);
  all.push_back(static_cast<std::uint32_t>(code));
  append(all, again);
}

} // namespace

unit_result FEDAGG_UNIT(const fedagg::cohort& round, std::size_t coordinates);

unit_result FEDAGG_UNIT(const fedagg::cohort& round, std::size_t coordinates) {
  unit_result all;
  run(all, fedagg::mean{}, round, coordinates);
  run(all, fedagg::median{}, round, coordinates);
  run(all, fedagg::trimmed_mean{.trim = 1}, round, coordinates);
  return all;
}
