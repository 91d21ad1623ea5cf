// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_DIGITS_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_DIGITS_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <Eigen/Core>
#include <nlohmann/json.hpp>

namespace study {

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

inline constexpr int classes = 10;

/// Images as rows with grey values from 0 to 1, and their digits.
struct images {
  matrix pixels;
  std::vector<int> labels;

  std::size_t size() const { return labels.size(); }
  images select(const std::vector<std::size_t>& rows) const;
};

/// Reads `digits.csv`; throws std::runtime_error that names the line at fault.
images read_digits(const std::string& path);

/// 16 hexadecimal digits that change with the file's bytes (FNV-1a); throws std::runtime_error.
std::string fingerprint(const std::string& path);

/// What one seed makes of the data: a fifth is for the test, a fifth for choosing the learning rate, `root` images are
/// the server's own, and the clients share the rest.
struct split {
  images test, validation, root;
  std::vector<images> clients;
};

/// Throws std::runtime_error where `share_out` could make nothing of it.
void check_heterogeneity(const nlohmann::json& heterogeneity);

/// Shares out the data over the honest clients. `heterogeneity` is {"kind": "dirichlet", "alpha": 0.3} (of every class
/// each client gets a share from a Dirichlet distribution), {"kind": "gamma_similarity", "gamma": 0.5} (that share is
/// dealt at random, the rest sorted by digit and cut) or {"kind": "extreme"} (whole classes: the clients i with
/// i = c mod 10 share class c, or client c mod n has it all where there are fewer than ten). A client that would have
/// nothing gets one image from the one who has most. Throws std::runtime_error.
split share_out(const images& all, const nlohmann::json& heterogeneity, std::size_t clients, std::size_t root,
                std::uint64_t seed);

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_DIGITS_HPP
