// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_HOSPITALS_PATIENTS_HPP
#define FEDAGG_EXAMPLES_HOSPITALS_PATIENTS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <Eigen/Core>

namespace hospitals {

/// Patients as rows: measurements, and 1 for malignant.
struct patients {
  Eigen::MatrixXd measured;
  Eigen::VectorXd malignant;

  Eigen::Index size() const { return malignant.size(); }
};

patients read_csv(const std::string& path);
patients rows_of(const patients& all, const std::vector<Eigen::Index>& rows);
patients joined(const std::vector<patients>& parts);

/// Five hospitals of unequal size and case mix, which together take all 569 patients.
struct hospital {
  const char* name;
  std::size_t patients;
  std::size_t malignant;
};
inline constexpr std::array<hospital, 5> sites{
    {{"north", 171, 51}, {"east", 137, 62}, {"south", 114, 28}, {"west", 85, 47}, {"harbour", 62, 24}}};

/// Every patient is held out in exactly one of so many splits.
inline constexpr int splits = 5;

struct split {
  std::vector<patients> train; ///< one per hospital
  patients test;               ///< of all hospitals
};

/// Shares the patients out by the seed, shifts each hospital's instruments, and cuts off the held-out patients of each
/// split, in each hospital the same share of the malignant and of the benign.
std::vector<split> shared_out(const patients& all, std::uint64_t seed);

} // namespace hospitals

#endif // FEDAGG_EXAMPLES_HOSPITALS_PATIENTS_HPP
