// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_ROBUSTNESS_RESULTS_HPP
#define FEDAGG_BENCHMARKS_ROBUSTNESS_RESULTS_HPP

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
  /// Throws std::runtime_error.
  explicit results(std::string path);

  /// The record of these parameters, or null.
  const nlohmann::json* find(const nlohmann::json& parameters) const;
  /// From any thread; the record has the key "parameters". Throws std::runtime_error where it cannot be written.
  void add(nlohmann::json record);

private:
  std::string path_;
  std::unordered_map<std::string, nlohmann::json> records_; // by their parameters
  std::mutex mutex_;
};

/// For every model, heterogeneity, f and rule the learning rate whose worst attack leaves the most accuracy on the
/// validation data (mean over seeds, last round; of equal ones the lowest), and what the test data say at that rate:
/// an array of {"model", "heterogeneity", "f", "rule", "learning_rate", "worst": {attack, test}, "attacks": [{"attack",
/// "validation", "test", "tests", "refused"}]}. Attacks and rules by their labels. Trainings without a record are left
/// out.
nlohmann::json summary(const std::vector<nlohmann::json>& all, const results& done);

/// The summary for people: a table for each model, heterogeneity and f.
std::string table(const nlohmann::json& summary);

} // namespace study

#endif // FEDAGG_BENCHMARKS_ROBUSTNESS_RESULTS_HPP
