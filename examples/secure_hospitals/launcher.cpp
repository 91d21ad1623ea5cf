// SPDX-License-Identifier: MIT
#include "launcher.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "frames.hpp"
#include "text.hpp"

namespace secure_hospitals {
namespace {

/// Longer than anything takes that is waited for here.
constexpr auto patience = std::chrono::seconds(200);

} // namespace

const char* name_of(fedagg::client_stage made) {
  static constexpr const char* names[] = {"nothing", "keys", "shares", "input", "consent", "openings"};
  return names[static_cast<std::size_t>(made)];
}

launcher::launcher(launch how) : how_(std::move(how)) {
  // A folder of secrets and children are left behind otherwise.
  signals_.async_wait([this](std::error_code cancelled, int) { interrupted_ = interrupted_ || !cancelled; });
  agreement agreed;
  for (const auto& site : hospitals::sites) agreed.roster.push_back(enrol(how_.folder + "/" + site.name));
  if (!suite().random(agreed.session)) throw std::runtime_error("the system has no random bytes");
  write_agreement(how_.folder + "/agreement", agreed);

  const auto patient =
      std::find_if(how_.rounds.begin(), how_.rounds.end(), [](const auto& a) { return a.back_at_once; });
  const std::vector<std::string> arguments{how_.program, "server", how_.folder, std::to_string(how_.rounds.size()),
                                           std::to_string(patient - how_.rounds.begin() + 1)};
  server_ = std::make_unique<process>(io_, arguments, [this](const std::string& line) { heard_from_server(line); });
  wait("the server", [this] { return !port_.empty(); });
  for (std::size_t h = 0; h < hospitals_.size(); ++h) start(h, 1);
}

void launcher::start(std::size_t h, std::uint64_t round) {
  std::vector<std::string> arguments{
      how_.program, "hospital", how_.folder, std::to_string(h), std::to_string(how_.seed), port_};
  for (; round <= how_.rounds.size(); ++round) {
    const accident& a = how_.rounds[static_cast<std::size_t>(round - 1)];
    if (std::count(a.killed.begin(), a.killed.end(), h) != 0)
      arguments.push_back(std::to_string(round) + ":" + name_of(a.at));
  }
  hospitals_[h].reset();
  hospitals_[h] =
      std::make_unique<process>(io_, arguments, [this, h](const std::string& line) { heard_from(h, line); });
}

void launcher::kill(std::size_t h, std::uint64_t round) {
  of(h, round, how_.rounds[static_cast<std::size_t>(round - 1)].at);
  hospitals_[h]->kill();
}

const account& launcher::of(std::size_t h, std::uint64_t round, fedagg::client_stage made) {
  const account& a = said_[{h, round}];
  wait("a hospital's message", [&] { return a.made.count(name_of(made)) != 0; });
  return a;
}

std::optional<ended_round> launcher::end_of(std::uint64_t round, std::string& why) {
  wait("the end of a round", [&] { return ended_.count(round) != 0; });
  const std::vector<std::string>& words = ended_[round];
  ended_round r;
  if (words.size() != 3 || !read(from_hex(words[2]), r.next)) {
    why.clear();
    for (const std::string& w : words) why += (why.empty() ? "" : " ") + w;
    return std::nullopt;
  }
  for (std::size_t h = 0; h < hospitals_.size(); ++h) {
    r.inputs.emplace_back();
    if (words[0].find(std::to_string(h)) == std::string::npos) continue;
    r.accepted.push_back(h);
    r.inputs.back() = of(h, round, fedagg::client_stage::sent_input).input;
  }
  r.sum = from_hex(words[1]);
  return r;
}

bool launcher::finish() {
  bool fine = true;
  for (const auto& h : hospitals_) fine = h->finish(patience) && fine;
  return server_->finish(patience) && fine;
}

template <class Done>
void launcher::wait(const char* what, const Done& done) {
  // Where the server is gone, so are the hospitals soon, but not before all that they said was read.
  const auto over = [this] {
    return !server_->running() &&
           std::none_of(hospitals_.begin(), hospitals_.end(), [](const auto& h) { return h && h->running(); });
  };
  run_until(io_, patience, [&] { return done() || interrupted_ || over(); });
  if (interrupted_) throw std::runtime_error("interrupted");
  if (!done()) throw std::runtime_error(std::string("waited in vain for ") + what);
}

// "port P", "round R ACCEPTED SUM TASK", "round R gave up: WHY"
void launcher::heard_from_server(const std::string& line) {
  std::istringstream words(line);
  std::string what, word;
  std::uint64_t round = 0;
  words >> what;
  if (what == "port") words >> port_;
  if (what != "round" || !(words >> round)) return;
  std::vector<std::string> rest;
  while (words >> word) rest.push_back(word);
  ended_[round] = rest;
}

// "input R VECTOR", "made R STAGE HASH", "restored R STAGE HASH"
void launcher::heard_from(std::size_t h, const std::string& line) {
  std::istringstream words(line);
  std::string what, first, second;
  std::uint64_t round = 0;
  if (!(words >> what >> round >> first)) return;
  words >> second;
  account& a = said_[{h, round}];
  if (what == "input") a.input = from_hex(first);
  if (what == "made") a.made[first] = second;
  if (what == "restored") {
    a.restored = first;
    a.sent_the_same = a.made[first] == second;
  }
}

} // namespace secure_hospitals
