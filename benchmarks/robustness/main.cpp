// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <fedagg/adapters/threads.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/version.hpp>

#include "federation.hpp"
#include "results.hpp"
#include "support/machine.hpp"

namespace {

using nlohmann::json;

/// "0.1.0"
std::string version() {
  return std::to_string(FEDAGG_VERSION_MAJOR) + "." + std::to_string(FEDAGG_VERSION_MINOR) + "." +
         std::to_string(FEDAGG_VERSION_PATCH);
}

constexpr const char* usage =
    "usage: robustness [CONFIGURATION] [--out FOLDER] [--threads N] [--data FILE] [--quiet]\n"
    "\n"
    "Trains on digits.csv under attack, once for every combination that the configuration lists, and prints the test\n"
    "accuracies. Results are added to FOLDER/runs.jsonl (build/robustness); what is there already is not run again.\n"
    "FOLDER/summary.json holds the table and the curves. Without a configuration: defaults.json.\n"
    "\n"
    "Exit status: 0 done, 1 a file or a training failed, 2 wrong options or a configuration that asks for what cannot\n"
    "be: impossible parameters, too few clients for a rule, two entries of one name.\n";

struct arguments {
  std::string configuration = ROBUSTNESS_FOLDER "/defaults.json", data = ROBUSTNESS_FOLDER "/digits.csv";
  std::string out = "build/robustness";
  std::size_t threads = 0;
  bool quiet = false;
};

bool read(int count, char** words, arguments& a) {
  bool given = false;
  for (int k = 1; k < count; ++k) {
    const std::string word = words[k];
    const auto value = [&](std::string& to) {
      if (++k >= count || *words[k] == '\0') return false;
      to = words[k];
      return true;
    };
    std::string number;
    if (word == "--quiet") {
      a.quiet = true;
    } else if (word == "--out") {
      if (!value(a.out)) return false;
    } else if (word == "--data") {
      if (!value(a.data)) return false;
    } else if (word == "--threads") {
      if (!value(number) || number.size() > 4 || number.find_first_not_of("0123456789") != std::string::npos)
        return false;
      a.threads = std::stoul(number);
    } else {
      if (given || word.empty() || word[0] == '-') return false;
      a.configuration = word;
      given = true;
    }
  }
  return true;
}

/// A line on the standard error; silent unless that is a terminal.
class progress {
public:
  progress(std::size_t total, bool quiet) : total_(total), shown_(!quiet && ::isatty(STDERR_FILENO) != 0) {}

  void step() {
    const std::size_t done = ++done_;
    if (!shown_) return;
    const double gone = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const std::size_t full = 30 * done / total_;
    std::fprintf(stderr, "\r\x1b[K[%s%s] %zu of %zu trainings, %.0f s left", std::string(full, '#').c_str(),
                 std::string(30 - full, '.').c_str(), done, total_,
                 gone / static_cast<double>(done) * static_cast<double>(total_ - done));
    if (done == total_) std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
  }

private:
  std::size_t total_;
  bool shown_;
  std::atomic<std::size_t> done_{0};
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

int run(const arguments& a) {
  std::ifstream file(a.configuration);
  if (!file) throw std::runtime_error("cannot read " + a.configuration);
  const json configuration = json::parse(file, nullptr, false);
  if (configuration.is_discarded()) throw study::configuration_error(a.configuration + " is not valid JSON");
  const std::vector<json> all = study::settings(configuration);
  const study::images digits = study::read_digits(a.data);
  std::filesystem::create_directories(a.out);
  study::results done(a.out + "/runs.jsonl", study::fingerprint(a.data), version());

  std::vector<const json*> open;
  for (const json& p : all)
    if (done.find(p) == nullptr) open.push_back(&p);
  std::printf("%zu trainings, %zu of them done before\n", all.size(), all.size() - open.size());
  if (done.foreign() != 0)
    std::printf("%zu results in %s/runs.jsonl are from other data or another version and do not count\n",
                done.foreign(), a.out.c_str());
  std::fflush(stdout);
  progress bar(open.size(), a.quiet);
  const auto start = std::chrono::steady_clock::now();
  const std::string compiler = bench::compiler(), processor = bench::processor();
  fedagg::thread_pool pool(a.threads);
  pool(open.size(), [&](std::size_t i) {
    const auto begin = std::chrono::steady_clock::now();
    const study::curve c = study::train(digits, *open[i]);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    json record = {{"parameters", *open[i]},     {"rounds", c.rounds},
                   {"validation", c.validation}, {"test", c.test},
                   {"refused", c.refused},       {"diverged", c.diverged},
                   {"seconds", seconds.count()}, {"compiler", compiler},
                   {"processor", processor},     {"isa", fedagg::name_of(fedagg::active_isa())}};
    if (c.refused != 0) record["why"] = c.why;
    done.add(std::move(record));
    bar.step();
  });
  const json lines = study::summary(all, done);
  std::ofstream(a.out + "/summary.json") << lines.dump(1) << '\n';
  std::fputs(study::table(lines).c_str(), stdout);
  std::printf("%zu trainings in %.0f s on %zu threads; %s/runs.jsonl has every curve\n", open.size(),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), pool.concurrency(),
              a.out.c_str());
  return EXIT_SUCCESS;
}

} // namespace

int main(int count, char** words) {
  if (count == 2 && (std::strcmp(words[1], "--help") == 0 || std::strcmp(words[1], "-h") == 0)) {
    std::fputs(usage, stdout);
    return EXIT_SUCCESS;
  }
  arguments a;
  if (!read(count, words, a)) {
    std::fputs(usage, stderr);
    return 2;
  }
  try {
    return run(a);
  } catch (const study::configuration_error& e) {
    std::fprintf(stderr, "robustness: %s\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "robustness: %s\n", e.what());
    return EXIT_FAILURE;
  }
}
