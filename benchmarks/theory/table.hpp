// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_THEORY_TABLE_HPP
#define FEDAGG_BENCHMARKS_THEORY_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <string>

namespace theory {

/// The table of docs/rules.md: what each rule needs and promises, asked of the rules themselves, and the worst ratios
/// that a search of so many tries finds for it alone and behind nnm, beside what is proven.
std::string table(std::size_t tries, std::uint64_t seed, std::size_t threads);

} // namespace theory

#endif // FEDAGG_BENCHMARKS_THEORY_TABLE_HPP
