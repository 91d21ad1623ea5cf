// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fedagg/formats/safetensors.hpp>

#include "chart.hpp"
#include "federation.hpp"
#include "support/catch.hpp"

using namespace hospitals;

namespace {

const patients& wdbc() {
  static const patients all = read_csv(HOSPITALS_DATA);
  return all;
}

double mean(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

} // namespace

TEST_CASE("hospitals: what the demo claims holds for several seeds") {
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u, 5u, 6u}) {
    CAPTURE(seed);
    const results r = federate(wdbc(), {.seed = seed});
    const auto last = [&](const strategy& how, conduct c) { return r.of(how, c).last(); };
    const double fedavg = last({}, conduct::honest);
    CAPTURE(r.central, fedavg, r.alone);
    // Central training learns, and learns more than the hospitals do alone.
    CHECK(r.central > 90);
    CHECK(mean(r.alone) < r.central);
    CHECK(mean(r.alone) < fedavg);
    CHECK(std::abs(fedavg - r.central) <= 1);
    // Two decisions at most: SCAFFOLD goes where central training goes.
    CHECK(std::abs(last({rule::mean, method::scaffold}, conduct::honest) - r.central) <= 0.36);
    for (const strategy& any : strategies) {
      CAPTURE(name_of(any));
      const double honest = last(any, conduct::honest);
      CHECK(std::abs(honest - fedavg) <= (any.with == method::plain ? 1 : 1.3));
      // One hospital of five breaks the mean: worse than calling every patient benign (62.7 %).
      const double flipped = last(any, conduct::sign_flip);
      if (any.how != rule::mean)
        CHECK(std::abs(flipped - honest) <= (any.with == method::plain ? 2 : 4));
      else if (any.with != method::scaffold)
        CHECK(flipped < 60);
      else
        CHECK(flipped < honest - 2);
      CHECK(std::abs(last(any, conduct::not_a_number) - honest) <= 2);
      // It is left out in every round of every split, and nobody else ever is.
      CHECK(r.of(any, conduct::not_a_number).rejections == 20 * splits);
      CHECK(r.of(any, conduct::honest).rejections == 0);
      CHECK(r.of(any, conduct::sign_flip).rejections == 0);
    }
  }
}

TEST_CASE("hospitals: SCAFFOLD is broken by a cheat that flips its model and not its control variate") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    CAPTURE(seed);
    const auto cuts = shared_out(wdbc(), seed);
    const auto last = [&](rule how) {
      return federate(cuts, {.seed = seed}, {how, method::scaffold}, conduct::model_flip).last();
    };
    CHECK(last(rule::mean) < 60);
    CHECK(last(rule::trimmed_mean) > 90);
  }
}

TEST_CASE("hospitals: the same seed gives the same figures, another one others") {
  const plan first{.seed = 7, .rounds = 3}, second{.seed = 8, .rounds = 3};
  const results a = federate(wdbc(), first), b = federate(wdbc(), first), c = federate(wdbc(), second);
  std::size_t changed = a.alone != c.alone;
  for (std::size_t k = 0; k < a.runs.size(); ++k) {
    CHECK(a.runs[k].accuracy == b.runs[k].accuracy);
    CHECK(a.runs[k].accuracy.size() == 4);
    changed += a.runs[k].accuracy != c.runs[k].accuracy;
  }
  CHECK(a.alone == b.alone);
  CHECK(changed > 0);
}

TEST_CASE("hospitals: every patient is held out once, and the shares are those of the table") {
  const auto cuts = shared_out(wdbc(), 1);
  REQUIRE(cuts.size() == splits);
  Eigen::Index tested = 0, malignant = 0;
  for (const split& cut : cuts) {
    REQUIRE(cut.train.size() == sites.size());
    tested += cut.test.size();
    malignant += static_cast<Eigen::Index>(cut.test.malignant.sum());
    Eigen::Index trained = 0;
    for (std::size_t h = 0; h < sites.size(); ++h) {
      trained += cut.train[h].size();
      const double rate = cut.train[h].malignant.mean();
      const double whole = static_cast<double>(sites[h].malignant) / static_cast<double>(sites[h].patients);
      // The hold-out takes a fifth of each class, to within one patient of each.
      CHECK(std::abs(rate - whole) * static_cast<double>(cut.train[h].size()) < 2);
    }
    CHECK(trained + cut.test.size() == wdbc().size());
  }
  CHECK(tested == 569);
  CHECK(malignant == 212);
}

TEST_CASE("hospitals: the files of the last round give the last model again") {
  const auto folder = std::filesystem::temp_directory_path() / "fedagg-hospitals-test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  federate(wdbc(), {.rounds = 2, .out = folder.string()});
  for (const strategy& how : strategies)
    for (const conduct c : conducts) {
      const std::string in = folder_of(folder.string(), how, c);
      CAPTURE(in);
      const auto global = fedagg::safetensors_file::open(in + "/global.safetensors");
      CHECK(global.tensors().size() == 2);
      for (const hospital& h : sites) {
        const auto sent = fedagg::safetensors_file::open(in + "/" + h.name + ".safetensors");
        REQUIRE(sent.find("linear.weight") != nullptr);
        CHECK(sent.find("linear.weight")->shape == global.find("linear.weight")->shape);
        CHECK(sent.tensors().size() == (how.with == method::scaffold ? 4 : 2));
        CHECK(sent.metadata().size() == 1);
      }
    }
  std::filesystem::remove_all(folder);
}

TEST_CASE("hospitals: the picture has every curve, and its levels") {
  const results r = federate(wdbc(), {.rounds = 2});
  const std::string svg = chart(r);
  std::size_t lines = 0;
  for (std::size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1)) ++lines;
  // Those of the mean twice: the whole scale, and its top.
  CHECK(lines == (2 * 4 + 5) * conducts.size());
  for (const char* name : {"FedAvg", "FedProx", "FedAdam", "SCAFFOLD", "median", "trimmed mean"})
    CHECK(svg.find(name) != std::string::npos);
  for (const conduct c : conducts) CHECK(svg.find(name_of(c)) != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
}

TEST_CASE("hospitals: a file that is not the data is refused") {
  const auto path = std::filesystem::temp_directory_path() / "fedagg-hospitals-test.csv";
  for (const char* text : {"", "2,1,a,b\n1,0\n", "1,2,a,b\n1,0\n", "0,0,a,b\n", "2,1,a,b\n1,0\n2,1\n"}) {
    CAPTURE(text);
    std::ofstream(path) << text;
    CHECK_THROWS_AS(shared_out(read_csv(path.string()), 1), std::exception);
  }
  std::filesystem::remove(path);
  CHECK_THROWS_AS(read_csv(path.string()), std::exception);
}
