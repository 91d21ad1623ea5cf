// SPDX-License-Identifier: MIT
#include "federation.hpp"

#include <filesystem>
#include <limits>
#include <utility>

#include <fedagg/adapters/eigen.hpp>
#include <fedagg/fedagg.hpp>
#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>

#include "logistic.hpp"

namespace hospitals {
namespace {

constexpr int local_steps = 10;
constexpr float flip = -10; ///< the cheat's update is the honest one times this

/// A model or a scale as the library sees it: in place.
fedagg::model_view view_of(const model& m) {
  return fedagg::model_view().add("linear.weight", m.weight).add("linear.bias", m.bias);
}
fedagg::mutable_model_view view_of(model& m) {
  return fedagg::mutable_model_view().add("linear.weight", m.weight).add("linear.bias", m.bias);
}
/// By name: a file keeps its tensors in an order of its own.
fedagg::model_view view_of(const fedagg::safetensors_file& file) {
  fedagg::model_view m;
  for (const char* name : {"linear.weight", "linear.bias"}) m.add(name, file.view(*file.find(name)));
  return m;
}

void spoil(Eigen::VectorXf& sent, const Eigen::VectorXf& start, conduct c) {
  if (c == conduct::sign_flip) sent = start + flip * (sent - start);
  if (c == conduct::not_a_number) sent.setConstant(std::numeric_limits<float>::quiet_NaN());
}

fedagg::outcome aggregate(rule how, const fedagg::cohort& clients, const fedagg::mutable_model_view& out) {
  switch (how) {
  case rule::median:
    return fedagg::aggregate(fedagg::median{}, clients, out);
  case rule::trimmed_mean:
    return fedagg::aggregate(fedagg::trimmed_mean{.trim = 1}, clients, out);
  case rule::fedavg:
    break;
  }
  return fedagg::aggregate(fedagg::mean{}, clients, out);
}

/// Round zero: the hospitals agree on a scale without showing a patient. Always by the median, so that what is compared
/// afterwards are the rules and not what a cheat made of the scale.
scale agreed_scale(const std::vector<patients>& train, conduct c) {
  std::vector<scale> sent;
  for (const patients& p : train) sent.push_back(scale_of(p));
  if (c != conduct::honest) {
    const Eigen::VectorXf zero = Eigen::VectorXf::Zero(sent[cheat].mean.size());
    spoil(sent[cheat].mean, zero, c);
    spoil(sent[cheat].deviation, zero, c);
  }
  fedagg::cohort clients;
  for (const scale& s : sent) clients.add(fedagg::model_view().add("mean", s.mean).add("deviation", s.deviation));
  scale agreed = sent.front();
  fedagg::aggregate(fedagg::median{}, clients,
                    fedagg::mutable_model_view().add("mean", agreed.mean).add("deviation", agreed.deviation));
  return agreed;
}

/// The last round by way of files: what the hospitals write is what the server maps and aggregates.
fedagg::outcome aggregate_files(const std::string& folder, rule how, const std::vector<model>& sent,
                                const std::vector<patients>& train, const model& start, model& global) {
  std::filesystem::create_directories(folder);
  fedagg::save_safetensors(folder + "/global-before.safetensors", view_of(start));
  std::vector<fedagg::safetensors_file> files;
  fedagg::cohort clients;
  for (std::size_t h = 0; h < sites.size(); ++h) {
    const std::string path = folder + "/" + sites[h].name + ".safetensors";
    fedagg::save_safetensors(path, view_of(sent[h]), {{"patients", std::to_string(train[h].size())}});
    files.push_back(fedagg::safetensors_file::open(path));
    clients.add(view_of(files.back()), {.weight = static_cast<double>(train[h].size()), .id = sites[h].name});
  }
  clients.base(view_of(start));
  auto done = aggregate(how, clients, view_of(global));
  fedagg::save_safetensors(folder + "/global.safetensors", view_of(global));
  return done;
}

/// All rounds of one split; adds the rightly sorted patients after each round to `right_after`.
void federate_split(const split& cut, const plan& how, const std::string& folder, run& into,
                    std::vector<Eigen::Index>& right_after) {
  const scale common = agreed_scale(cut.train, into.cheat);
  std::vector<patients> train;
  for (const patients& p : cut.train) train.push_back(standardised(p, common));
  const patients test = standardised(cut.test, common);

  model global(test.measured.cols());
  right_after[0] += right(global, test);
  for (int round = 1; round <= how.rounds; ++round) {
    std::vector<model> sent(sites.size(), global);
    const model start = global;
    fedagg::cohort clients;
    clients.base(view_of(start));
    for (std::size_t h = 0; h < sites.size(); ++h) {
      hospitals::train(sent[h], train[h], local_steps);
      if (h == cheat) {
        spoil(sent[h].weight, start.weight, into.cheat);
        spoil(sent[h].bias, start.bias, into.cheat);
      }
      clients.add(view_of(std::as_const(sent[h])),
                  {.weight = static_cast<double>(train[h].size()), .id = sites[h].name});
    }
    const bool to_files = round == how.rounds && !folder.empty();
    const fedagg::outcome done = to_files ? aggregate_files(folder, into.how, sent, train, start, global)
                                          : aggregate(into.how, clients, view_of(global));
    into.rejections += static_cast<int>(done.rejected.size());
    right_after[static_cast<std::size_t>(round)] += right(global, test);
  }
}

double per_cent(Eigen::Index right, const patients& all) {
  return 100.0 * static_cast<double>(right) / static_cast<double>(all.size());
}

} // namespace

const char* name_of(rule r) { return r == rule::fedavg ? "FedAvg" : r == rule::median ? "median" : "trimmed mean"; }

const char* name_of(conduct c) {
  return c == conduct::honest ? "all honest" : c == conduct::sign_flip ? "one flips signs" : "one sends NaN";
}

const run& results::of(rule how, conduct c) const {
  for (const run& r : runs)
    if (r.how == how && r.cheat == c) return r;
  return runs.front();
}

results federate(const patients& all, const plan& how) {
  const std::vector<split> cuts = shared_out(all, how.seed);
  const int total = splits * static_cast<int>(1 + rules.size() * conducts.size());
  int done = 0;
  const auto advance = [&] {
    if (how.progress) how.progress(++done, total);
  };

  results r;
  Eigen::Index central = 0;
  std::vector<Eigen::Index> alone(sites.size());
  for (const split& cut : cuts) {
    const scale common = agreed_scale(cut.train, conduct::honest);
    model pooled(cut.test.measured.cols());
    train(pooled, standardised(joined(cut.train), common), how.rounds * local_steps);
    central += right(pooled, standardised(cut.test, common));
    for (std::size_t h = 0; h < sites.size(); ++h) {
      const scale own = scale_of(cut.train[h]);
      model m(cut.test.measured.cols());
      train(m, standardised(cut.train[h], own), how.rounds * local_steps);
      alone[h] += right(m, standardised(cut.test, own));
    }
    advance();
  }
  r.central = per_cent(central, all);
  for (const Eigen::Index a : alone) r.alone.push_back(per_cent(a, all));

  for (const conduct c : conducts)
    for (const rule which : rules) {
      run one{which, c, {}, 0};
      std::vector<Eigen::Index> right_after(static_cast<std::size_t>(how.rounds) + 1);
      for (std::size_t s = 0; s < cuts.size(); ++s) {
        const bool written = s == 0 && !how.out.empty();
        federate_split(cuts[s], how, written ? folder_of(how.out, which, c) : "", one, right_after);
        advance();
      }
      for (const Eigen::Index k : right_after) one.accuracy.push_back(per_cent(k, all));
      r.runs.push_back(std::move(one));
    }
  return r;
}

std::string folder_of(const std::string& out, rule how, conduct c) {
  std::string name = std::string(name_of(how)) + "-" + name_of(c);
  for (char& x : name) x = x == ' ' ? '-' : x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x;
  return out + "/" + name;
}

std::string command_for(const std::string& program, const std::string& folder, rule how) {
  // In single quotes nothing but the quote itself means anything to a shell.
  const auto quoted = [](const std::string& text) {
    if (text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") ==
        std::string::npos)
      return text;
    std::string q = "'";
    for (const char x : text) q += x == '\'' ? std::string("'\\''") : std::string(1, x);
    return q + "'";
  };
  std::string command = quoted(program) + " aggregate";
  if (how == rule::fedavg) command += " --rule mean --weights-from patients --on-bad-client reject";
  if (how == rule::median) command += " --rule median --on-bad-client reject";
  if (how == rule::trimmed_mean) command += " --rule trimmed_mean --trim 1 --on-bad-client reject";
  command += " --base " + quoted(folder + "/global-before.safetensors");
  command += " -o " + quoted(folder + "/by-hand.safetensors");
  for (const hospital& h : sites) command += " " + quoted(folder + "/" + h.name + ".safetensors");
  return command;
}

} // namespace hospitals
