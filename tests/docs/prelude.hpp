// SPDX-License-Identifier: MIT
// What the short blocks of the pages may use besides the headers they include: docs/index.md says so to readers.
#ifndef FEDAGG_TESTS_DOCS_PRELUDE_HPP
#define FEDAGG_TESTS_DOCS_PRELUDE_HPP

#include <cstddef>
#include <cstdio>
#include <vector>

#include <fedagg/fedagg.hpp>
#include <fedagg/passes/accumulator.hpp>

inline std::vector<float> north{1, 2, 3, 4}, south{2, 3, 4, 5}, west{3, 4, 5, 6}, global(4);
inline fedagg::cohort clients;

/// Some user's thread pool.
struct pool {
  void parallel_for(std::size_t first, std::size_t last, auto body) {
    for (std::size_t i = first; i < last; ++i) body(i);
  }
};
inline pool my_pool;

#endif // FEDAGG_TESTS_DOCS_PRELUDE_HPP
