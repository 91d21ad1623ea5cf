// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_RESULTS_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_RESULTS_HPP

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

namespace study {

/// A file of JSON lines, one for each training, to which lines are only ever added. What a killed run left half written
/// is cut off when it is opened.
class results {
public:
  /// Records from other data or another version of the library stay in the file and are not found. Throws
  /// std::runtime_error.
  results(std::string path, std::string data, std::string version);

  /// How many records of the file are from other data or another version.
  std::size_t foreign() const { return foreign_; }

  /// The record of these parameters, or null.
  const nlohmann::json* find(const nlohmann::json& parameters) const;
  /// From any thread; the record has the key "parameters", and gets "data" and "version". Throws std::runtime_error
  /// where it cannot be written.
  void add(nlohmann::json record);

private:
  std::string path_, data_, version_;
  std::size_t foreign_ = 0;
  std::unordered_map<std::string, nlohmann::json> records_; // by their parameters
  std::mutex mutex_;
};

/// For every model, heterogeneity, f and rule the learning rate whose worst attack leaves the most accuracy on the
/// validation data (mean over seeds, last round; of equal ones the lowest), and what the test data say at that rate:
/// an array of {"model", "heterogeneity", "f", "rule", "learning_rate", "worst_validation", "worst", "attacks"}.
/// "attacks" has for every attack {"attack", "validation", "test", "rounds", "curves", "refused", "diverged"}: the
/// means, the rounds after which the model was tried and the test accuracies there (a list for each seed), and the
/// shares of the rounds that were refused, and that came after an update had left the finite numbers. "worst" is the
/// one of least test accuracy. Attacks and rules by their labels. Trainings without a record are left out.
nlohmann::json summary(const std::vector<nlohmann::json>& all, const results& done);

/// The summary for people: a table for each model, heterogeneity and f.
std::string table(const nlohmann::json& summary);

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_RESULTS_HPP
