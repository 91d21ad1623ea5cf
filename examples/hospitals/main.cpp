// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

#include <nlohmann/json.hpp>

#include "chart.hpp"
#include "federation.hpp"

using namespace hospitals;

namespace {

constexpr const char* usage = "usage: hospitals [--out DIR] [--seed N] [--rounds N]\n"
                              "\n"
                              "Five hospitals train one model on 569 real patients; one of them may cheat.\n"
                              "\n"
                              "  --out DIR     where the curves, the figures and the checkpoints go (hospitals-out)\n"
                              "  --seed N      shares out the patients and shifts the instruments (1)\n"
                              "  --rounds N    rounds of training, 1 to 1000 (20)\n"
                              "  --help        this text\n";

struct bad_usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

unsigned long long number(const std::string& option, const std::string& text, unsigned long long low,
                          unsigned long long high) {
  const bool digits = !text.empty() && text.size() < 19 && text.find_first_not_of("0123456789") == std::string::npos;
  const unsigned long long value = digits ? std::strtoull(text.c_str(), nullptr, 10) : 0;
  if (!digits || value < low || value > high)
    throw bad_usage(option + " takes a number from " + std::to_string(low) + " to " + std::to_string(high) + ", not '" +
                    text + "'");
  return value;
}

bool on_a_terminal() {
#if defined(_WIN32)
  return _isatty(2) != 0;
#else
  return isatty(2) != 0;
#endif
}

void save(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

nlohmann::json as_json(const results& r, const plan& how) {
  nlohmann::json j{{"seed", how.seed}, {"rounds", how.rounds}, {"central", r.central}};
  for (std::size_t h = 0; h < sites.size(); ++h) j["alone"][sites[h].name] = r.alone[h];
  for (const run& one : r.runs)
    j["runs"].push_back({{"strategy", name_of(one.how)},
                         {"conduct", name_of(one.cheat)},
                         {"accuracy", one.accuracy},
                         {"rejections", one.rejections}});
  return j;
}

void print(const results& r) {
  std::printf("\nHeld-out patients sorted rightly after the last round, per cent of 569 decisions\n\n");
  std::printf("  %-24s", "");
  for (const conduct c : conducts) std::printf("%17s", name_of(c));
  std::printf("\n  %-24s%17.1f\n", "central training", r.central);
  for (const strategy& how : strategies) {
    std::printf("  %-24s", name_of(how).c_str());
    for (const conduct c : conducts) std::printf("%17.1f", r.of(how, c).last());
    std::printf("\n");
  }
  for (std::size_t h = 0; h < sites.size(); ++h)
    std::printf("  %-24s%17.1f\n", (std::string(sites[h].name) + " alone").c_str(), r.alone[h]);
  std::printf(
      "\nOne decision is 0.2 points. Where one cheats, it is %s, with %zu of the 569 patients. A hospital that\n"
      "sends NaN is left out of the round by every strategy, and named: %d times here.\n",
      sites[cheat].name, sites[cheat].patients, r.of(strategy{}, conduct::not_a_number).rejections);
}

plan parse(int argc, char** argv) {
  plan how;
  how.out = "hospitals-out";
  for (int k = 1; k < argc; ++k) {
    const std::string option = argv[k];
    if (option != "--out" && option != "--seed" && option != "--rounds")
      throw bad_usage("unknown option '" + option + "'");
    if (++k == argc) throw bad_usage(option + " needs a value");
    if (option == "--seed") how.seed = number(option, argv[k], 0, 1000000000000);
    if (option == "--rounds") how.rounds = static_cast<int>(number(option, argv[k], 1, 1000));
    if (option == "--out") how.out = argv[k];
    if (how.out.empty()) throw bad_usage("--out needs a folder");
  }
  return how;
}

} // namespace

int main(int argc, char** argv) try {
  for (int k = 1; k < argc; ++k)
    if (std::string(argv[k]) == "--help" || std::string(argv[k]) == "-h") return std::fputs(usage, stdout) < 0;
  plan how = parse(argc, argv);
  const patients all = read_csv(HOSPITALS_DATA);
  // The command at the end is to work from any folder.
  how.out = std::filesystem::absolute(how.out).lexically_normal().string();
  std::filesystem::create_directories(how.out);
  const bool live = on_a_terminal();
  how.progress = [live](int done, int total) {
    if (!live) return;
    const int bar = 40 * done / total;
    std::fprintf(stderr, "\r  training [%-40s] %3d %%", std::string(static_cast<std::size_t>(bar), '#').c_str(),
                 100 * done / total);
    if (done == total) std::fprintf(stderr, "\r%60s\r", "");
  };
  std::printf("Five hospitals, 569 patients, %d rounds, %d splits, seed %llu\n", how.rounds, splits,
              static_cast<unsigned long long>(how.seed));
  std::fflush(stdout);
  const results r = federate(all, how);
  print(r);
  save(how.out + "/curves.svg", chart(r));
  save(how.out + "/results.json", as_json(r, how).dump(2) + "\n");
  std::printf("\nLearning curves: %s/curves.svg, figures: %s/results.json\n", how.out.c_str(), how.out.c_str());
  const std::string folder = folder_of(how.out, {rule::trimmed_mean, method::plain}, conduct::sign_flip);
  std::printf(
      "\nThe models that the hospitals sent in the last round, %s's with its signs flipped, aggregated by hand:\n\n"
      "  %s\n\nThis gives %s/global.safetensors again.\n",
      sites[cheat].name, command_for(HOSPITALS_PROGRAM, folder, rule::trimmed_mean).c_str(), folder.c_str());
  return 0;
} catch (const bad_usage& e) {
  std::fprintf(stderr, "hospitals: %s\n\n%s", e.what(), usage);
  return 2;
} catch (const std::exception& e) {
  std::fprintf(stderr, "hospitals: %s\n", e.what());
  return 1;
}
