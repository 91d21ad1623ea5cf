// SPDX-License-Identifier: MIT
#include "federation.hpp"

#include <span>
#include <stdexcept>

#include <fedagg/attacks/label_flip.hpp>
#include <fedagg/core/random.hpp>
#include <fedagg/core/workspace.hpp>

#include "attacks.hpp"
#include "network.hpp"
#include "rules.hpp"

namespace study {
namespace {

using nlohmann::json;

/// A client that trains: its data, its order of batches and its momentum.
struct trainer {
  images data;
  fedagg::random_stream batches;
  std::vector<float> momentum, gradient;

  trainer(images d, std::uint64_t seed, std::size_t index, std::size_t size)
      : data(std::move(d)), batches(seed, ("batches " + std::to_string(index)).c_str()), momentum(size),
        gradient(size) {}

  void step(const network& net, std::span<const float> model, std::size_t batch, float beta, float decay) {
    std::vector<std::size_t> rows(batch);
    for (auto& r : rows) r = static_cast<std::size_t>(batches.below(data.size()));
    net.gradient(model, data.select(rows), decay, gradient);
    for (std::size_t j = 0; j < momentum.size(); ++j) momentum[j] = beta * momentum[j] + (1 - beta) * gradient[j];
  }
};

fedagg::errc aggregate_rows(const aggregation& rule, std::span<const std::span<const float>> rows,
                            std::span<const float> trusted, std::span<float> out, fedagg::cohort& clients,
                            fedagg::workspace& space) {
  clients.clear();
  clients.updates().trusted(trusted);
  for (const auto& row : rows) clients.add(row);
  return rule(clients, out, space);
}

} // namespace

curve train(const images& all, const json& p) {
  const auto seed = p.at("seed").get<std::uint64_t>();
  const auto honest = p.at("honest").get<std::size_t>(), hostile = p.at("f").at("true").get<std::size_t>();
  const auto rounds = p.at("rounds").get<std::size_t>(), batch = p.at("batch").get<std::size_t>();
  const auto every = p.at("evaluate_every").get<std::size_t>();
  const auto beta = p.at("momentum").get<float>(), decay = p.at("weight_decay").get<float>();
  const auto rate = p.at("learning_rate").get<float>();
  const split data = share_out(all, p.at("heterogeneity"), honest, p.at("root").get<std::size_t>(), seed);
  const network net(p.at("model").get<std::vector<std::size_t>>());
  const bool keeps_state = p.at("rule").value("rule", "") == "centered_clipping";

  words w{p.at("f").at("declared").get<std::int64_t>(), 0};
  const attack kind = read_attack(p.at("attack"), w);
  std::vector<trainer> trainers;
  for (std::size_t i = 0; i < honest; ++i) trainers.emplace_back(data.clients[i], seed, i, net.size());
  for (std::size_t i = 0; i < hostile && !kind.craft; ++i) {
    trainers.emplace_back(data.clients[i % honest], seed, honest + i, net.size());
    auto& labels = trainers.back().data.labels;
    if (kind.flips_labels && fedagg::label_flip{.classes = classes}.apply(std::span<int>(labels)) != fedagg::errc::ok)
      throw std::runtime_error("labels beyond the classes");
  }
  trainer server(data.root, seed, honest + hostile, net.size());

  std::vector<float> model = net.initial(seed), aggregate(net.size()), state(net.size()), crafted(net.size());
  std::vector<std::span<const float>> rows(honest + hostile);
  fedagg::cohort clients, tried;
  fedagg::workspace space, trial_space;
  curve c;
  for (std::size_t round = 0; round < rounds; ++round) {
    w.round = static_cast<std::int64_t>(round);
    const aggregation rule = read_rule(p.at("rule"), w);
    for (std::size_t i = 0; i < trainers.size(); ++i) {
      trainers[i].step(net, model, batch, beta, decay);
      rows[i] = trainers[i].momentum;
    }
    server.step(net, model, batch, beta, decay);
    const std::span<const float> trusted = keeps_state ? state : server.momentum;
    fedagg::errc rc = fedagg::errc::ok;
    if (kind.craft && hostile > 0) {
      const attack now = read_attack(p.at("attack"), w);
      fedagg::knowledge<float> k;
      k.honest = std::span(rows).first(honest);
      k.clients = honest + hostile;
      k.hostile = hostile;
      rc = now.craft(k, crafted, [&](std::span<const std::span<const float>> all_rows, std::span<float> out) {
        return aggregate_rows(rule, all_rows, trusted, out, tried, trial_space);
      });
      for (std::size_t i = 0; i < hostile; ++i) rows[honest + i] = crafted;
    }
    if (rc == fedagg::errc::ok) rc = aggregate_rows(rule, rows, trusted, aggregate, clients, space);
    if (rc == fedagg::errc::ok) {
      for (std::size_t j = 0; j < model.size(); ++j) model[j] -= rate * aggregate[j];
      state = aggregate;
    } else if (c.refused++ == 0) {
      c.why = fedagg::message(rc);
    }
    if ((round + 1) % every == 0 || round + 1 == rounds) {
      c.rounds.push_back(round + 1);
      c.validation.push_back(net.accuracy(model, data.validation));
      c.test.push_back(net.accuracy(model, data.test));
    }
  }
  return c;
}

std::vector<json> settings(const json& configuration) {
  static const json standard = {{"honest", 10},    {"rounds", 200},        {"batch", 25}, {"evaluate_every", 10},
                                {"momentum", 0.9}, {"weight_decay", 1e-4}, {"root", 50},  {"models", {json::array()}}};
  json c = standard;
  if (!configuration.is_object()) throw std::runtime_error("the configuration is not a JSON object");
  for (const auto& [key, value] : configuration.items()) c[key] = value;
  const auto need = [](bool fine, const char* what) {
    if (!fine) throw std::runtime_error(what);
  };
  const auto whole = [](const json& j) { return j.is_number_integer() && j.get<std::int64_t>() >= 0; };
  const auto positive = [&](const json& j) { return whole(j) && j.get<std::int64_t>() > 0; };
  for (const char* key : {"rules", "attacks", "f", "heterogeneity", "models", "seeds", "learning_rates"})
    if (!c.contains(key) || !c[key].is_array() || c[key].empty())
      throw std::runtime_error("the configuration lacks the list \"" + std::string(key) + "\"");
  for (const auto& [key, value] : c.items())
    if (!standard.contains(key) &&
        std::string(" rules attacks f heterogeneity seeds learning_rates ").find(" " + key + " ") == std::string::npos)
      throw std::runtime_error("the configuration has an unknown key \"" + key + "\"");
  need(positive(c["honest"]) && positive(c["rounds"]) && positive(c["batch"]) && positive(c["evaluate_every"]) &&
           positive(c["root"]),
       "\"honest\", \"rounds\", \"batch\", \"evaluate_every\" and \"root\" are whole numbers from 1");
  need(c["momentum"].is_number() && c["momentum"] >= 0 && c["momentum"] < 1,
       "\"momentum\" is a number from 0, below 1");
  need(c["weight_decay"].is_number() && c["weight_decay"] >= 0, "\"weight_decay\" is a number from 0");

  for (const auto& attack : c["attacks"]) read_attack(attack, {});
  for (const auto& heterogeneity : c["heterogeneity"]) check_heterogeneity(heterogeneity);

  std::vector<json> all;
  for (const auto& model : c["models"]) {
    need(model.is_array(), "a model is a list of hidden widths, [] for softmax regression");
    for (const auto& width : model) need(positive(width), "hidden widths are whole numbers from 1");
    for (const auto& heterogeneity : c["heterogeneity"])
      for (const auto& f : c["f"]) {
        const json pair = f.is_object() ? f : json{{"true", f}, {"declared", f}};
        need(pair.size() == 2 && pair.contains("true") && pair.contains("declared") && whole(pair["true"]) &&
                 whole(pair["declared"]),
             "f is a whole number or {\"true\": ..., \"declared\": ...}");
        for (const auto& rule : c["rules"]) read_rule(rule, {pair["declared"].get<std::int64_t>(), 0});
        for (const auto& rule : c["rules"])
          for (const auto& attack : c["attacks"])
            for (const auto& seed : c["seeds"])
              for (const auto& rate : c["learning_rates"]) {
                need(whole(seed), "seeds are whole numbers from 0");
                need(rate.is_number() && rate > 0, "learning rates are numbers above 0");
                json p = {
                    {"model", model}, {"heterogeneity", heterogeneity}, {"f", pair}, {"rule", rule}, {"attack", attack},
                    {"seed", seed},   {"learning_rate", rate}};
                for (const char* key :
                     {"honest", "rounds", "batch", "evaluate_every", "momentum", "weight_decay", "root"})
                  p[key] = c[key];
                all.push_back(std::move(p));
              }
      }
  }
  return all;
}

} // namespace study
