// SPDX-License-Identifier: MIT
#include <cstddef>
#include <string>
#include <vector>

#include <fedagg/core/scope.hpp>

#include "support/catch.hpp"

using fedagg::scope;

namespace {

/// The definition, by table: no pattern of this size is out of its reach.
bool matches(const std::string& pattern, const std::string& name) {
  std::vector<std::vector<char>> yes(pattern.size() + 1, std::vector<char>(name.size() + 1, 0));
  yes[0][0] = 1;
  for (std::size_t p = 1; p <= pattern.size(); ++p)
    for (std::size_t n = 0; n <= name.size(); ++n) {
      if (pattern[p - 1] == '*')
        yes[p][n] = yes[p - 1][n] || (n > 0 && yes[p][n - 1]);
      else
        yes[p][n] = n > 0 && yes[p - 1][n - 1] && (pattern[p - 1] == '?' || pattern[p - 1] == name[n - 1]);
    }
  return yes[pattern.size()][name.size()] != 0;
}

/// All words over an alphabet up to a length.
std::vector<std::string> words(const std::string& alphabet, std::size_t longest) {
  std::vector<std::string> all = {""};
  for (std::size_t first = 0, length = 0; length < longest; ++length) {
    const std::size_t last = all.size();
    for (; first < last; ++first)
      for (const char c : alphabet) all.push_back(all[first] + c);
  }
  return all;
}

} // namespace

TEST_CASE("every pattern of up to five characters matches what its definition says") {
  std::size_t wrong = 0, seen = 0;
  for (const auto& pattern : words("ab*?", 5))
    for (const auto& name : words("ab", 5)) {
      wrong += scope::matching(pattern).contains(name) != matches(pattern, name);
      ++seen;
    }
  CHECK(wrong == 0);
  CHECK(seen == 1365u * 63u);
}

TEST_CASE("names of real models") {
  CHECK(scope::matching("layer?.weight").contains("layer1.weight"));
  CHECK_FALSE(scope::matching("layer?.weight").contains("layer10.weight"));
  CHECK(scope::matching("*.bias").contains("encoder.layers.11.fc.bias"));
  CHECK_FALSE(scope::matching("*.bias").contains("encoder.layers.11.fc.bias_scale"));
  CHECK(scope::matching("*head*").contains("lm_head.weight"));
  CHECK_FALSE(scope::matching("[ab]").contains("a"));
  CHECK(scope::matching("").contains(""));
  CHECK_FALSE(scope::matching("").contains("a"));
}

TEST_CASE("many stars cost no more than the product of the lengths") {
  // A backtracking matcher takes more steps here than fit in a lifetime.
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  pattern += "*b";
  const std::string name(20000, 'a');
  CHECK_FALSE(scope::matching(pattern).contains(name));
  CHECK(scope::matching(pattern).contains(name + "b"));
}

TEST_CASE("the whole model and each tensor take every name") {
  for (const char* name : {"", "w", "*"}) {
    CHECK(scope::whole_model().contains(name));
    CHECK(scope::each_tensor().contains(name));
  }
  CHECK(scope::each_tensor().each());
  CHECK_FALSE(scope::whole_model().each());
  CHECK_FALSE(scope::matching("*").each());
}

static_assert(scope::matching("a*").contains("abc") && !scope::matching("a*").contains("b"), "constant expressions");
