// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_ADAPTERS_FOREIGN_HPP
#define FEDAGG_TESTS_ADAPTERS_FOREIGN_HPP

#include <cstddef>
#include <vector>

#include <fedagg/fedagg.hpp>

/// The elements that a view stands for, in row-major order, read through its own shape and strides.
template <class T>
std::vector<T> elements(const fedagg::tensor_view<const T>& v) {
  std::vector<T> all;
  std::vector<std::size_t> index(v.shape().size());
  for (std::size_t k = 0; k < v.size(); ++k) {
    std::ptrdiff_t offset = 0;
    for (std::size_t d = 0; d < index.size(); ++d) offset += static_cast<std::ptrdiff_t>(index[d]) * v.strides()[d];
    all.push_back(v.data()[offset]);
    for (std::size_t d = index.size(); d-- > 0;) {
      if (++index[d] < v.shape()[d]) break;
      index[d] = 0;
    }
  }
  return all;
}

inline std::vector<std::size_t> extents(const auto& v) { return {v.shape().begin(), v.shape().end()}; }

using shape_of = std::vector<std::size_t>;

#endif // FEDAGG_TESTS_ADAPTERS_FOREIGN_HPP
