// SPDX-License-Identifier: MIT
#include "laws/instances.hpp"

// A cross build has no Eigen.
#if __has_include(<Eigen/Core>)
#include "compiled/spectral.hpp"

std::vector<laws::family> laws::spectral_families() { return families_of(fedagg::spectral_rule_list{}); }
#else
std::vector<laws::family> laws::spectral_families() { return {}; }
#endif
