// SPDX-License-Identifier: MIT
#include "federation.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <stdexcept>

#include <fedagg/attacks/label_flip.hpp>
#include <fedagg/core/error.hpp>
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

fedagg::errc craft_row(const attack& kind, const aggregation& rule, std::span<const std::span<const float>> honest,
                       std::size_t hostile, std::span<const float> trusted, std::span<float> out,
                       fedagg::cohort& clients, fedagg::workspace& space) {
  fedagg::knowledge<float> k;
  k.honest = honest;
  k.clients = honest.size() + hostile;
  k.hostile = hostile;
  return kind.craft(k, out, [&](std::span<const std::span<const float>> rows, std::span<float> result) {
    return aggregate_rows(rule, rows, trusted, result, clients, space);
  });
}

/// True for what no client's row can cause.
bool is_callers(fedagg::errc rc) {
  switch (rc) {
  case fedagg::errc::ok:
  case fedagg::errc::too_few_clients: // than the rule needs, once some were rejected
  case fedagg::errc::too_many_rejected:
  case fedagg::errc::overflow:
  case fedagg::errc::search_limit:
  case fedagg::errc::no_client_selected:
  case fedagg::errc::non_finite:
    return false;
  default:
    return true;
  }
}

/// Whether rule and attack can work with these numbers of clients, tried on rows that nothing is wrong with.
void try_out(const json& rule, const json& kind, const json& f, std::size_t honest, std::size_t size) {
  const auto hostile = f["true"].get<std::size_t>();
  const words w{f["declared"].get<std::int64_t>(), 0, 0};
  const std::string counts = " with " + std::to_string(honest) + " honest and " + std::to_string(hostile) +
                             " hostile clients, f declared as " + f["declared"].dump();
  std::vector<std::vector<float>> values(honest + hostile + 1, std::vector<float>(size));
  fedagg::random_stream stream(0, "rows");
  for (auto& row : values)
    for (float& x : row) x = static_cast<float>(stream() >> 40) * 0x1p-24f;
  const std::vector<std::span<const float>> rows(values.begin(), values.end() - 1);
  std::vector<float> out(size);
  fedagg::cohort clients;
  fedagg::workspace space;
  const auto refuse_if = [&](fedagg::errc rc, const char* what, const json& which) {
    if (is_callers(rc) || rc == fedagg::errc::too_few_clients)
      throw configuration_error(std::string(what) + " \"" + label_of(which) + "\" cannot work" + counts + ": " +
                                fedagg::message(rc) +
                                (rc == fedagg::errc::bad_parameter ? ", or one that is needed is not given" : ""));
  };
  const aggregation aggregate = read_rule(rule, w);
  refuse_if(aggregate_rows(aggregate, rows, values.back(), out, clients, space), "the rule", rule);
  const attack a = read_attack(kind, w);
  if (a.craft && hostile > 0)
    refuse_if(craft_row(a, aggregate, std::span(rows).first(honest), hostile, values.back(), out, clients, space),
              "the attack", kind);
}

bool finite(std::span<const float> row) {
  return std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); });
}

bool ends_in_centered_clipping(const json& rule) {
  return (rule.contains("chain") ? rule["chain"].back() : rule).value("rule", "") == "centered_clipping";
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
  const bool keeps_state = ends_in_centered_clipping(p.at("rule"));

  words w{p.at("f").at("declared").get<std::int64_t>(), 0, 0};
  fedagg::random_stream seeds(seed, "rounds");
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
    w.seed = static_cast<std::int64_t>(seeds() >> 12); // JSON numbers are exact to 2^53
    const aggregation rule = read_rule(p.at("rule"), w);
    for (std::size_t i = 0; i < trainers.size(); ++i) {
      trainers[i].step(net, model, batch, beta, decay);
      rows[i] = trainers[i].momentum;
    }
    server.step(net, model, batch, beta, decay);
    const bool diverged = !std::all_of(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(honest), finite);
    const std::span<const float> trusted = keeps_state ? state : server.momentum;
    fedagg::errc rc = fedagg::errc::ok;
    if (kind.craft && hostile > 0 && !diverged) {
      rc = craft_row(read_attack(p.at("attack"), w), rule, std::span(rows).first(honest), hostile, trusted, crafted,
                     tried, trial_space);
      for (std::size_t i = 0; i < hostile; ++i) rows[honest + i] = crafted;
    }
    bool complete = true;
    if (rc == fedagg::errc::ok && !diverged) {
      rc = aggregate_rows(rule, rows, trusted, aggregate, clients, space);
      complete = space.result().rejected.empty();
    }
    if (is_callers(rc) && complete) // with fewer clients than declared the same parameters may be impossible
      throw fedagg::error(rc, label_of(p.at("rule")) + " against " + label_of(p.at("attack")));
    if (diverged) {
      ++c.diverged;
    } else if (rc == fedagg::errc::ok) {
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
  const auto need = [](bool fine, const std::string& what) {
    if (!fine) throw configuration_error(what);
  };
  need(configuration.is_object(), "the configuration is not a JSON object");
  for (const auto& [key, value] : configuration.items()) c[key] = value;
  const auto whole = [](const json& j) { return j.is_number_integer() && j.get<std::int64_t>() >= 0; };
  const auto positive = [&](const json& j) { return whole(j) && j.get<std::int64_t>() > 0; };
  for (const char* key : {"rules", "attacks", "f", "heterogeneity", "models", "seeds", "learning_rates"})
    need(c.contains(key) && c[key].is_array() && !c[key].empty(),
         "the configuration lacks the list \"" + std::string(key) + "\"");
  for (const auto& [key, value] : c.items())
    need(standard.contains(key) ||
             std::string(" rules attacks f heterogeneity seeds learning_rates ").find(" " + key + " ") !=
                 std::string::npos,
         "the configuration has an unknown key \"" + key + "\"");
  need(positive(c["honest"]) && positive(c["rounds"]) && positive(c["batch"]) && positive(c["evaluate_every"]) &&
           positive(c["root"]),
       "\"honest\", \"rounds\", \"batch\", \"evaluate_every\" and \"root\" are whole numbers from 1");
  need(c["momentum"].is_number() && c["momentum"] >= 0 && c["momentum"] < 1,
       "\"momentum\" is a number from 0, below 1");
  need(c["weight_decay"].is_number() && c["weight_decay"] >= 0, "\"weight_decay\" is a number from 0");
  for (const auto& seed : c["seeds"]) need(whole(seed), "seeds are whole numbers from 0");
  for (const auto& rate : c["learning_rates"]) need(rate.is_number() && rate > 0, "learning rates are numbers above 0");
  for (const auto& model : c["models"])
    need(model.is_array() && std::all_of(model.begin(), model.end(), positive),
         "a model is a list of hidden widths, whole numbers from 1, or [] for softmax regression");
  for (auto& f : c["f"]) {
    if (!f.is_object()) f = {{"true", f}, {"declared", f}};
    need(f.size() == 2 && f.contains("true") && f.contains("declared") && whole(f["true"]) && whole(f["declared"]),
         "f is a whole number or {\"true\": ..., \"declared\": ...}");
  }
  try {
    for (const auto& heterogeneity : c["heterogeneity"]) check_heterogeneity(heterogeneity);
    for (const char* key : {"rules", "attacks"})
      for (const auto& entry : c[key])
        need(!entry.contains("label") || entry["label"].is_string(),
             "a label is a text, this is none: " + entry.dump());
    for (const auto& attack : c["attacks"]) read_attack(attack, {});
    for (const auto& rule : c["rules"])
      for (const auto& f : c["f"]) read_rule(rule, {f["declared"].get<std::int64_t>(), 0, 0});
  } catch (const std::exception& e) {
    throw configuration_error(e.what());
  }
  // What has one name would be taken for one thing in every table and picture.
  for (const char* key : {"rules", "attacks", "f", "heterogeneity", "models", "seeds", "learning_rates"}) {
    const bool labelled = c[key][0].contains("rule") || c[key][0].contains("chain") || c[key][0].contains("attack");
    std::set<std::string> names;
    for (const auto& value : c[key]) {
      const std::string name = labelled ? label_of(value) : value.dump();
      need(names.insert(name).second, "the list \"" + std::string(key) + "\" has two entries called " + name +
                                          (labelled ? "; give one of them another \"label\"" : ""));
    }
  }

  std::vector<json> all;
  for (const auto& model : c["models"]) {
    const std::size_t size = network(model.get<std::vector<std::size_t>>()).size();
    for (const auto& f : c["f"])
      for (const auto& rule : c["rules"])
        for (const auto& attack : c["attacks"]) try_out(rule, attack, f, c["honest"].get<std::size_t>(), size);
    for (const auto& heterogeneity : c["heterogeneity"])
      for (const auto& f : c["f"])
        for (const auto& rule : c["rules"])
          for (const auto& attack : c["attacks"])
            for (const auto& seed : c["seeds"])
              for (const auto& rate : c["learning_rates"]) {
                json p = {
                    {"model", model}, {"heterogeneity", heterogeneity}, {"f", f}, {"rule", rule}, {"attack", attack},
                    {"seed", seed},   {"learning_rate", rate}};
                for (const char* key :
                     {"honest", "rounds", "batch", "evaluate_every", "momentum", "weight_decay", "root"})
                  p[key] = c[key];
                all.push_back(std::move(p));
              }
  }
  return all;
}

} // namespace study
