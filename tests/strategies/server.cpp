// SPDX-License-Identifier: MIT
// A server of 50 rounds that can be killed at any time: what it needs is in one saved state, committed after every
// client. Its clients are deterministic, so that only what is lost or done twice can change the end.
//
// usage: server STATE [--stop COMMITS] [--forget ENTRY] [--in-place] [--rate ETA]
//
// Prints a byte before ('w') and after ('c') every commit, so that whoever kills it knows where it is. `--forget` loads
// all but an entry, `--in-place` writes the file piece by piece under its own name: what a test must notice.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <unistd.h>

#include <fedagg/formats/saved_state.hpp>
#include <fedagg/optimizers/fed_adam.hpp>
#include <fedagg/passes/accumulator.hpp>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/passes/fixed_point_accumulator.hpp>
#include <fedagg/protocols/client_history.hpp>
#include <fedagg/rules/centered_clipping.hpp>
#include <fedagg/rules/foolsgold.hpp>

#include "compiled/rules.hpp"

namespace {

constexpr std::uint64_t rounds = 50, population = 8, per_round = 5;
constexpr std::size_t width = 48, height = 100;

/// A layer, BatchNorm's statistics and its counter.
struct tensors {
  std::vector<float> weight = std::vector<float>(width * height), variance = std::vector<float>(width, 1.0f);
  std::vector<double> head = std::vector<double>(width);
  std::vector<std::int64_t> seen = {0};

  fedagg::mutable_model_view view() {
    const std::size_t shape[] = {height, width};
    fedagg::mutable_model_view m;
    m.add("fc.weight", fedagg::tensor_view<float>(weight.data(), shape)).add("head", head);
    m.add("bn.running_var", variance).add("bn.num_batches_tracked", seen, fedagg::integers::average);
    return m;
  }
};

/// In [-1, 1), a function of its arguments alone.
double noise(std::uint64_t round, std::uint64_t client, std::uint64_t index) {
  std::uint64_t x = (round * 1000003 + client) * 1000003 + index;
  for (int k = 0; k < 3; ++k) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
  }
  return static_cast<double>(x >> 12) * 0x1p-51 - 1;
}

std::uint64_t client_of(std::uint64_t round, std::uint64_t arrival) { return (round * 3 + arrival * 5) % population; }

/// What a client sends: a step towards its own optimum, with noise.
tensors update_of(const tensors& x, std::uint64_t round, std::uint64_t client) {
  tensors u;
  const auto towards = [&](auto& to, const auto& from, std::uint64_t stream) {
    for (std::size_t k = 0; k < to.size(); ++k) {
      const double optimum = 2 * noise(stream, client, k) + noise(stream, 99, k);
      to[k] = static_cast<std::remove_reference_t<decltype(to[k])>>(0.3 * (optimum - static_cast<double>(from[k])) +
                                                                    0.1 * noise(round + 1000, client * 8 + stream, k));
    }
  };
  towards(u.weight, x.weight, 1);
  towards(u.head, x.head, 2);
  towards(u.variance, x.variance, 3);
  u.seen = {static_cast<std::int64_t>(client) + 1};
  return u;
}

void say(char c) {
  if (::write(STDOUT_FILENO, &c, 1) != 1) std::exit(5);
}

/// Writes as nobody should: the old file is gone before the new one is there.
void write_in_place(const std::string& path) {
  std::ifstream in(path + ".whole", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(in), {}};
  std::ofstream out(path, std::ios::binary);
  for (std::size_t at = 0; at < all.size(); at += 4096) {
    out.write(all.data() + at, static_cast<std::streamsize>(std::min<std::size_t>(4096, all.size() - at)));
    out.flush();
    say('p');
  }
}

struct server {
  fedagg::fed_adam optimizer{.learning_rate = 0.02};
  std::string settings;
  tensors x, trusted;
  fedagg::optimizer_state moments{fedagg::precision::f64};
  fedagg::mean_accumulator mean;
  fedagg::fixed_point_accumulator exact;
  fedagg::client_history history;
  std::uint64_t round = 0, arrived = 0;

  server() : mean(x.view()), exact(x.view(), fedagg::fixed_point::finest(64, 1, per_round)) {
    trusted.variance.assign(width, 0);
    history = fedagg::client_history(fedagg::model_layout(x.view()));
    for (std::uint64_t k = 0; k < population; ++k) history.declare(std::to_string(k));
  }

  void load(const std::string& path, std::string_view forgotten) {
    const auto saved = fedagg::state_reader::open(path);
    const auto wanted = [&](std::string_view name) { return name != forgotten; };
    if (wanted("model")) saved.load("model", x.view());
    if (wanted("trusted")) saved.load("trusted", trusted.view());
    if (wanted("optimizer")) saved.load("optimizer", moments, settings);
    if (wanted("mean")) saved.load("mean", mean);
    if (wanted("exact")) saved.load("exact", exact);
    if (wanted("history")) saved.load("history", history);
    saved.load("round", round);
    if (wanted("arrived")) saved.load("arrived", arrived);
  }

  void commit(const std::string& path, bool in_place) {
    fedagg::state_writer all;
    all.add("model", x.view()).add("trusted", trusted.view()).add("optimizer", moments, settings);
    all.add("mean", mean).add("exact", exact).add("history", history);
    all.add("round", round).add("arrived", arrived);
    say('w');
    if (in_place) {
      all.commit(path + ".whole");
      write_in_place(path);
    } else {
      all.commit(path);
    }
    say('c');
  }

  void absorb() {
    const std::uint64_t client = client_of(round, arrived);
    tensors u = update_of(x, round, client);
    const std::string id = std::to_string(client);
    fedagg::cohort alone;
    alone.add(u.view(), {.id = id}).updates();
    history.absorb(alone);
    if (round % 2 == 0)
      mean.absorb(u.view());
    else
      exact.absorb(u.view());
    ++arrived;
  }

  /// Means, but now and then a rule with a history or a state of its own.
  void finish() {
    tensors delta;
    const auto out = delta.view();
    if (round % 5 == 3 || round % 7 == 4) {
      std::vector<tensors> sent;
      std::vector<std::string> ids;
      for (std::uint64_t k = 0; k < per_round; ++k) {
        sent.push_back(update_of(x, round, client_of(round, k)));
        ids.push_back(std::to_string(client_of(round, k)));
      }
      fedagg::cohort clients, sums;
      for (std::size_t k = 0; k < sent.size(); ++k) clients.add(sent[k].view(), {.id = ids[k]});
      clients.updates();
      if (round % 5 == 3) {
        history.view(clients, sums);
        fedagg::aggregate(fedagg::foolsgold{}, clients.history(sums), out);
      } else {
        fedagg::aggregate(fedagg::centered_clipping{.tau = 5}, clients.trusted(trusted.view()), out);
        trusted = delta;
      }
    } else if (round % 2 == 0) {
      mean.finish(out);
    } else {
      exact.finish(out);
    }
    const fedagg::model_view aggregate = out;
    fedagg::step(optimizer, x.view(), fedagg::pseudo_gradient::delta(aggregate), moments);
    mean.clear();
    exact.clear();
    arrived = 0;
    ++round;
  }
};

} // namespace

int main(int argc, char* argv[]) {
  std::string path, forgotten;
  bool in_place = false;
  long commits = -1;
  server s;
  for (int k = 1; k < argc; ++k) {
    const std::string_view argument = argv[k];
    if (argument == "--forget" && k + 1 < argc)
      forgotten = argv[++k];
    else if (argument == "--stop" && k + 1 < argc)
      commits = std::atol(argv[++k]);
    else if (argument == "--in-place")
      in_place = true;
    else if (argument == "--rate" && k + 1 < argc)
      s.optimizer.learning_rate = std::atof(argv[++k]);
    else
      path = argument;
  }
  s.settings = R"({"optimizer":"fed_adam","learning_rate":)" + std::to_string(s.optimizer.learning_rate) + '}';
  try {
    if (std::filesystem::exists(path)) s.load(path, forgotten);
    for (; s.round < rounds && commits != 0; --commits) {
      if (s.arrived < per_round)
        s.absorb();
      else
        s.finish();
      s.commit(path, in_place);
    }
  } catch (const fedagg::error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 3;
  }
  return 0;
}
