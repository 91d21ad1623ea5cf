// SPDX-License-Identifier: MIT
#include "results.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "rules.hpp"

namespace study {
namespace {

using nlohmann::json;

double mean(const json& numbers) {
  double sum = 0;
  for (const auto& x : numbers) sum += x.get<double>();
  return sum / static_cast<double>(numbers.size());
}

/// The element of an array whose `key` has this value; appended if there is none.
json& entry(json& array, const char* key, const json& value) {
  for (auto& e : array)
    if (e[key] == value) return e;
  array.push_back({{key, value}});
  return array.back();
}

constexpr std::size_t column = 5; // at least so wide

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

} // namespace

results::results(std::string path, std::string data, std::string version)
    : path_(std::move(path)), data_(std::move(data)), version_(std::move(version)) {
  std::ifstream file(path_, std::ios::binary);
  std::uintmax_t whole = 0;
  for (std::string line; std::getline(file, line) && !file.eof(); whole += line.size() + 1) {
    const json record = json::parse(line, nullptr, false);
    if (!record.is_object() || !record.contains("parameters"))
      throw std::runtime_error(path_ + ": a line is no result: " + line.substr(0, 60));
    if (record.value("data", "") == data_ && record.value("version", "") == version_)
      records_[record["parameters"].dump()] = record;
    else
      ++foreign_;
  }
  file.close();
  if (std::filesystem::exists(path_) && std::filesystem::file_size(path_) != whole)
    std::filesystem::resize_file(path_, whole);
}

const json* results::find(const json& parameters) const {
  const auto found = records_.find(parameters.dump());
  return found == records_.end() ? nullptr : &found->second;
}

void results::add(json record) {
  record["data"] = data_;
  record["version"] = version_;
  const std::string line = record.dump() + "\n", key = record["parameters"].dump();
  const std::lock_guard lock(mutex_);
  std::FILE* file = std::fopen(path_.c_str(), "ab");
  const bool written = file != nullptr && std::fwrite(line.data(), 1, line.size(), file) == line.size();
  if (file == nullptr || std::fclose(file) != 0 || !written) throw std::runtime_error("cannot write " + path_);
  records_[key] = std::move(record);
}

json summary(const std::vector<json>& all, const results& done) {
  json groups = json::array();
  for (const json& p : all) {
    const json* record = done.find(p);
    if (record == nullptr) continue;
    const json key = {
        {"model", p["model"]}, {"heterogeneity", p["heterogeneity"]}, {"f", p["f"]}, {"rule", label_of(p["rule"])}};
    json& rate = entry(entry(groups, "key", key)["rates"], "learning_rate", p["learning_rate"]);
    json& attack = entry(rate["attacks"], "attack", label_of(p["attack"]));
    attack["rounds"] = (*record)["rounds"];
    attack["curves"].push_back((*record)["test"]);
    attack["validations"].push_back((*record)["validation"].back());
    attack["tests"].push_back((*record)["test"].back());
    for (const char* word : {"refused", "diverged"})
      attack[word].push_back((*record)[word].get<double>() / p["rounds"].get<double>());
  }
  json lines = json::array();
  for (json& g : groups) {
    const json* best = nullptr;
    double best_worst = -1;
    for (json& rate : g["rates"]) {
      double worst = 2;
      for (json& a : rate["attacks"]) {
        a["validation"] = mean(a["validations"]);
        a["test"] = mean(a["tests"]);
        for (const char* key : {"refused", "diverged"}) a[key] = mean(a[key]);
        a.erase("validations");
        a.erase("tests");
        worst = std::min(worst, a["validation"].get<double>());
      }
      if (worst > best_worst || (worst == best_worst && rate["learning_rate"] < (*best)["learning_rate"])) {
        best = &rate;
        best_worst = worst;
      }
    }
    json line = g["key"];
    line["learning_rate"] = (*best)["learning_rate"];
    line["worst_validation"] = best_worst;
    line["attacks"] = (*best)["attacks"];
    const auto& attacks = line["attacks"];
    line["worst"] = *std::min_element(attacks.begin(), attacks.end(),
                                      [](const json& a, const json& b) { return a["test"] < b["test"]; });
    for (const char* key : {"rounds", "curves"}) line["worst"].erase(key);
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string table(const json& lines) {
  std::string text;
  json group;
  std::size_t first = 4;
  bool refused = false, diverged = false;
  // A number, and what else there is to say of it.
  const auto cell = [&](const json& a) {
    char number[64];
    const double share = a["refused"].get<double>();
    std::snprintf(number, sizeof number, "%.1f%s", 100 * a["test"].get<double>(),
                  a["diverged"].get<double>() > 0 ? " inf" : "");
    std::string shown = number;
    if (share > 0) {
      std::snprintf(number, sizeof number, " r%.0f", std::max(1.0, 100 * share));
      shown += number;
    }
    refused = refused || share > 0;
    diverged = diverged || a["diverged"].get<double>() > 0;
    return shown;
  };
  for (const json& line : lines) first = std::max(first, line["rule"].get<std::string>().size());
  for (const json& line : lines) {
    const json here = {line["model"], line["heterogeneity"], line["f"]};
    if (here != group) {
      group = here;
      text += "\nmodel " + (line["model"].empty() ? "softmax" : line["model"].dump()) + ", " +
              line["heterogeneity"].dump() + ", f " + line["f"]["true"].dump() + " (declared " +
              line["f"]["declared"].dump() + ")\n" + padded("rule", first) + "  rate";
      for (const json& a : line["attacks"]) text += "  " + padded(a["attack"], column);
      text += "  worst\n";
    }
    text += padded(line["rule"], first);
    char number[32];
    std::snprintf(number, sizeof number, "%6g", line["learning_rate"].get<double>());
    text += number;
    for (const json& a : line["attacks"])
      text += "  " + padded(cell(a), std::max(column, a["attack"].get<std::string>().size()));
    text += "  " + cell(line["worst"]) + "\n";
  }
  text += "\nTest accuracy in % after the last round, mean over seeds; the learning rate by validation data.\n";
  if (refused)
    text += "r: in this many % of the rounds the library refused what it got, and the model stayed as it was\n";
  if (diverged) text += "inf: the attack won for good, the model left the finite numbers\n";
  return text;
}

} // namespace study
