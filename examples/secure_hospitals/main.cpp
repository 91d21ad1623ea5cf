// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hospital.hpp"
#include "launcher.hpp"
#include "server.hpp"
#include "text.hpp"
#include "trial.hpp"

using namespace secure_hospitals;

namespace {

constexpr const char* usage =
    "usage: secure_hospitals [--rounds N] [--seed N] [--keep DIR]\n"
    "\n"
    "Five hospitals train one model by secure aggregation, each in a process of its own; hospitals are killed at\n"
    "every stage of the protocol, and the sums stay exact.\n"
    "\n"
    "  --rounds N    rounds of training, 14 to 1000 (14)\n"
    "  --seed N      shares out the patients and shifts the instruments (1)\n"
    "  --keep DIR    where keys and saved states go, and stay; else they are gone at the end\n"
    "  --help        this text\n"
    "\n"
    "The processes that it starts:\n"
    "  secure_hospitals server DIR ROUNDS PATIENT_FROM\n"
    "  secure_hospitals hospital DIR PLACE SEED PORT [ROUND:STAGE...]\n";

constexpr std::uint64_t most_seed = 1000000000000;

struct bad_usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::uint64_t number(const std::string& text, std::uint64_t low, std::uint64_t high) {
  const bool digits = !text.empty() && text.size() < 19 && text.find_first_not_of("0123456789") == std::string::npos;
  const std::uint64_t value = digits ? std::strtoull(text.c_str(), nullptr, 10) : 0;
  if (!digits || value < low || value > high)
    throw bad_usage("a number from " + std::to_string(low) + " to " + std::to_string(high) + ", not '" + text + "'");
  return value;
}

/// A line for the launcher, at once.
void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

bytes packed(const fedagg::ring_vector& x) {
  bytes out(x.layout().packed_bytes());
  (void)fedagg::try_pack(x, out);
  return out;
}

std::string hash(fedagg::bytes_view message) {
  suite::hasher h;
  h.update(message);
  return hex(h.finish());
}

int run_server(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) throw bad_usage("server DIR ROUNDS PATIENT_FROM");
  server_options how;
  how.rounds = number(arguments[1], 1, 1000);
  how.patient_from = number(arguments[2], 1, 1001);
  how.on_round = [](std::uint64_t round, fedagg::errc rc, const fedagg::client_set& accepted,
                    const fedagg::ring_vector& sum, const task& next) {
    std::string line = "round " + std::to_string(round) + " ";
    if (rc != fedagg::errc::ok) return say(line + "gave up: " + fedagg::message(rc));
    for (std::uint32_t i = 0; i < accepted.roster(); ++i)
      if (accepted.contains(i)) line += std::to_string(i);
    say(line + " " + hex(packed(sum)) + " " + hex(written(next)));
  };
  server center(how, read_agreement(arguments[0] + "/agreement"));
  say("port " + std::to_string(center.port()));
  center.run();
  return 0;
}

int run_hospital(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) throw bad_usage("hospital DIR PLACE SEED PORT [ROUND:STAGE...]");
  hospital_options how;
  how.place = static_cast<std::uint32_t>(number(arguments[1], 0, hospitals::sites.size() - 1));
  how.folder = arguments[0] + "/" + hospitals::sites[how.place].name;
  how.port = static_cast<unsigned short>(number(arguments[3], 1, 65535));
  const std::vector<std::string> held(arguments.begin() + 4, arguments.end());
  // Said for the launcher's comparison. In earnest nobody says what is to be masked.
  how.on_input = [](std::uint64_t round, const fedagg::ring_vector& input) {
    say("input " + std::to_string(round) + " " + hex(packed(input)));
  };
  how.on_restored = [](std::uint64_t round, fedagg::client_stage made, fedagg::bytes_view message) {
    say("restored " + std::to_string(round) + " " + name_of(made) + " " + hash(message));
  };
  how.on_made = [held](std::uint64_t round, fedagg::client_stage made, fedagg::bytes_view message) {
    say("made " + std::to_string(round) + " " + name_of(made) + " " + hash(message));
    if (std::count(held.begin(), held.end(), std::to_string(round) + ":" + name_of(made)) == 0) return;
    // To be killed here. If the launcher itself was, its end of the pipe is closed, and this ends at once.
    ::pollfd launcher{STDOUT_FILENO, 0, 0};
    ::poll(&launcher, 1, 60000);
    throw std::runtime_error("nobody killed me");
  };
  // Stands for the hospital's own records: it takes its share of the file, and looks at no other.
  const std::uint64_t seed = number(arguments[2], 0, most_seed);
  const hospitals::split cut = hospitals::shared_out(hospitals::read_csv(HOSPITALS_DATA), seed).front();
  hospital(how, read_agreement(arguments[0] + "/agreement"), cut.train[how.place]).run();
  return 0;
}

int run_all(const std::vector<std::string>& arguments, const std::string& self) {
  trial_options how;
  std::string keep;
  for (std::size_t k = 0; k < arguments.size(); k += 2) {
    if (k + 1 == arguments.size()) throw bad_usage("'" + arguments[k] + "' needs a value, or is no option");
    if (arguments[k] == "--rounds")
      how.rounds = number(arguments[k + 1], 14, 1000);
    else if (arguments[k] == "--seed")
      how.seed = number(arguments[k + 1], 0, most_seed);
    else if (arguments[k] == "--keep")
      keep = arguments[k + 1];
    else
      throw bad_usage("unknown option '" + arguments[k] + "'");
  }
  // On Linux exactly this file, whatever the name it was started by.
  std::error_code failed;
  const auto exact = std::filesystem::read_symlink("/proc/self/exe", failed);
  how.program = failed ? self : exact.string();
  if (!keep.empty()) {
    std::filesystem::create_directories(keep);
    if (!std::filesystem::is_empty(keep)) throw bad_usage("--keep: " + keep + " is not empty");
    how.folder = keep;
    return run_trial(how) ? 0 : 1;
  }
  std::string name = (std::filesystem::temp_directory_path() / "secure-hospitals-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("cannot make a folder like " + name);
  struct remover {
    const std::string& folder;
    ~remover() {
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
    }
  } cleanup{name};
  how.folder = name;
  return run_trial(how) ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) try {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (const std::string& a : arguments)
    if (a == "--help" || a == "-h") return std::fputs(usage, stdout) < 0;
  ::umask(077); // what is written here is secret
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (what != "server" && what != "hospital") return run_all(arguments, argv[0]);
  arguments.erase(arguments.begin());
  return what == "server" ? run_server(arguments) : run_hospital(arguments);
} catch (const bad_usage& e) {
  std::fprintf(stderr, "secure_hospitals: %s\n\n%s", e.what(), usage);
  return 2;
} catch (const std::exception& e) {
  std::fprintf(stderr, "secure_hospitals: %s\n", e.what());
  return 1;
}
