// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_CHART_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_CHART_HPP

#include <string>

#include "federation.hpp"

namespace hospitals {

/// The learning curves as an SVG picture: a column for each conduct; a row for the mean, one for the top of
/// its scale, one for the robust rules.
std::string chart(const results& r);

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_CHART_HPP
