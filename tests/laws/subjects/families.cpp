// SPDX-License-Identifier: MIT
// Every rule, compiled once for all laws.
#include "compiled/rules.hpp"
#include "laws/instances.hpp"

const std::vector<laws::family>& laws::families() {
  static const std::vector<family> all = [] {
    auto rules = families_of(fedagg::rule_list{});
    for (const family& rule : spectral_families()) rules.push_back(rule);
    return rules;
  }();
  return all;
}
