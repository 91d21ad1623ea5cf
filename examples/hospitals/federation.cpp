// SPDX-License-Identifier: MIT
#include "federation.hpp"

#include <filesystem>
#include <limits>
#include <utility>

#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>

#include "logistic.hpp"
#include "server.hpp"
#include "site.hpp"

namespace hospitals {
namespace {

constexpr float flip = -10; ///< the cheat's update is the honest one times this

/// By name: a file keeps its tensors in an order of its own.
fedagg::model_view view_of(const fedagg::safetensors_file& file) {
  fedagg::model_view m;
  for (const char* name : {"linear.weight", "linear.bias", "control.weight", "control.bias"})
    if (const auto* tensor = file.find(name)) m.add(name, file.view(*tensor));
  return m;
}

void spoil(Eigen::VectorXf& sent, const Eigen::VectorXf& start, conduct c) {
  if (c == conduct::sign_flip || c == conduct::model_flip) sent = start + flip * (sent - start);
  if (c == conduct::not_a_number) sent.setConstant(std::numeric_limits<float>::quiet_NaN());
}

void spoil(model& sent, const model& start, conduct c) {
  spoil(sent.weight, start.weight, c);
  spoil(sent.bias, start.bias, c);
}

void spoil(update& sent, const update& start, conduct c) {
  spoil(sent.trained, start.trained, c);
  if (sent.change && c != conduct::model_flip) spoil(*sent.change, *start.change, c);
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
  aggregate(rule::median, clients,
            fedagg::mutable_model_view().add("mean", agreed.mean).add("deviation", agreed.deviation));
  return agreed;
}

/// The last round by way of files: what the hospitals write is what the server maps and aggregates.
fedagg::outcome round_of_files(const std::string& folder, const std::vector<update>& sent,
                               const std::vector<site>& hospitals, server& center) {
  std::filesystem::create_directories(folder);
  fedagg::save_safetensors(folder + "/global-before.safetensors", view_of(std::as_const(center).base()));
  std::vector<fedagg::safetensors_file> files;
  fedagg::cohort clients;
  for (std::size_t h = 0; h < sites.size(); ++h) {
    const std::string path = folder + "/" + sites[h].name + ".safetensors";
    fedagg::save_safetensors(path, view_of(sent[h]), {{"patients", std::to_string(hospitals[h].size())}});
    files.push_back(fedagg::safetensors_file::open(path));
    clients.add(view_of(files.back()), {.weight = static_cast<double>(hospitals[h].size()), .id = sites[h].name});
  }
  fedagg::outcome done = center.round(clients);
  fedagg::save_safetensors(folder + "/global.safetensors", view_of(center.global()));
  return done;
}

/// All rounds of one split; adds the rightly sorted patients after each round to `right_after`.
void federate_split(const split& cut, const plan& how, const std::string& folder, run& into,
                    std::vector<Eigen::Index>& right_after) {
  const scale common = agreed_scale(cut.train, into.cheat);
  std::vector<site> hospitals;
  for (const patients& p : cut.train) hospitals.emplace_back(standardised(p, common), into.how.with);
  const patients test = standardised(cut.test, common);

  server center(into.how, test.measured.cols());
  right_after[0] += right(center.global(), test);
  for (int round = 1; round <= how.rounds; ++round) {
    std::vector<update> sent;
    fedagg::cohort clients;
    for (std::size_t h = 0; h < sites.size(); ++h)
      sent.push_back(hospitals[h].round(center.global(), center.control()));
    spoil(sent[cheat], center.base(), into.cheat);
    for (std::size_t h = 0; h < sites.size(); ++h)
      clients.add(view_of(std::as_const(sent[h])),
                  {.weight = static_cast<double>(hospitals[h].size()), .id = sites[h].name});
    const bool to_files = round == how.rounds && !folder.empty();
    const fedagg::outcome done = to_files ? round_of_files(folder, sent, hospitals, center) : center.round(clients);
    into.rejections += static_cast<int>(done.rejected.size());
    right_after[static_cast<std::size_t>(round)] += right(center.global(), test);
  }
}

double per_cent(Eigen::Index right, Eigen::Index all) {
  return 100.0 * static_cast<double>(right) / static_cast<double>(all);
}

} // namespace

const char* name_of(conduct c) {
  static constexpr const char* names[] = {"all honest", "one flips signs", "one sends NaN", "one flips its model"};
  return names[static_cast<std::size_t>(c)];
}

const run& results::of(const strategy& how, conduct c) const {
  for (const run& r : runs)
    if (r.how == how && r.cheat == c) return r;
  return runs.front();
}

run federate(const std::vector<split>& cuts, const plan& how, const strategy& which, conduct c,
             const std::function<void()>& advance) {
  run one{which, c, {}, 0};
  Eigen::Index patients = 0;
  std::vector<Eigen::Index> right_after(static_cast<std::size_t>(how.rounds) + 1);
  for (std::size_t s = 0; s < cuts.size(); ++s) {
    const bool written = s == 0 && !how.out.empty();
    federate_split(cuts[s], how, written ? folder_of(how.out, which, c) : "", one, right_after);
    patients += cuts[s].test.size();
    if (advance) advance();
  }
  for (const Eigen::Index k : right_after) one.accuracy.push_back(per_cent(k, patients));
  return one;
}

results federate(const patients& all, const plan& how) {
  const std::vector<split> cuts = shared_out(all, how.seed);
  const int total = splits * static_cast<int>(1 + strategies.size() * conducts.size());
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
  r.central = per_cent(central, all.size());
  for (const Eigen::Index a : alone) r.alone.push_back(per_cent(a, all.size()));

  for (const conduct c : conducts)
    for (const strategy& which : strategies) r.runs.push_back(federate(cuts, how, which, c, advance));
  return r;
}

std::string folder_of(const std::string& out, const strategy& how, conduct c) {
  std::string name;
  for (const char x : name_of(how) + "-" + name_of(c)) {
    if (x == '+') continue;
    if (x != ' ')
      name += x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x;
    else if (name.back() != '-')
      name += '-';
  }
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
  if (how == rule::mean) command += " --rule mean --weights-from patients --on-bad-client reject";
  if (how == rule::median) command += " --rule median --on-bad-client reject";
  if (how == rule::trimmed_mean) command += " --rule trimmed_mean --trim 1 --on-bad-client reject";
  command += " --base " + quoted(folder + "/global-before.safetensors");
  command += " -o " + quoted(folder + "/by-hand.safetensors");
  for (const hospital& h : sites) command += " " + quoted(folder + "/" + h.name + ".safetensors");
  return command;
}

} // namespace hospitals
