// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_CLI_COMMON_HPP
#define FEDAGG_EXAMPLES_CLI_COMMON_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/formats/io/file_error.hpp>

namespace cli {

/// What the program exits with; 128 + the signal if it was interrupted.
enum class status : int {
  ok = 0,
  internal = 1,  ///< out of memory, or a defect
  usage = 2,     ///< the command line
  bad_input = 3, ///< an input file is malformed, does not match the others, or holds NaN or Inf
  refused = 4,   ///< the rule's condition does not hold for this round
  io = 5,        ///< a file cannot be found, read or written
};

status status_of(fedagg::errc code) noexcept;

/// Ends a command; the text goes to the standard error.
struct failure {
  int status;
  fedagg::errc code;
  std::string text;

  failure(cli::status s, fedagg::errc c, std::string t) : status(static_cast<int>(s)), code(c), text(std::move(t)) {}
  failure(fedagg::errc c, std::string t) : failure(status_of(c), c, std::move(t)) {}
  explicit failure(const fedagg::file_error& error) : failure(error.code(), error.text()) {}
};

[[noreturn]] inline void usage_error(std::string text) {
  throw failure(status::usage, fedagg::errc::bad_parameter, std::move(text));
}

/// The stable name of a code, for reports: "non_finite".
const char* code_name(fedagg::errc code) noexcept;

/// A text from a file as it may be shown on a terminal: control characters and what is not UTF-8 become '?'.
std::string printable(std::string_view text);
/// The same between double quotes.
std::string in_quotes(std::string_view text);

/// "[3, 4]", "[]" for a scalar.
std::string shape_text(const std::vector<std::size_t>& shape);
/// "1.2 MB"
std::string bytes_text(double bytes);
std::string number_text(double x);

/// A number that fills the whole text.
bool parse_number(const std::string& text, double& x);

/// Resident memory that belongs to no file; 0 where the system does not tell.
std::uint64_t rss_anon();

std::string version();

void note(const std::string& text);

struct aggregate_options {
  std::string rule;
  std::string rule_json;
  std::vector<std::pair<std::string, std::string>> parameters; // as typed
  std::string base;
  const char* base_option = "--base"; ///< what it is called where a message names it
  std::string trusted;
  std::string weights;
  std::string weights_from;
  std::string on_bad_client = "fail";
  std::string integers = "average";
  std::string report;
  std::string output;
  std::vector<std::string> files;
  unsigned threads = 0;
  bool updates = false;
};
void aggregate(const aggregate_options& how);

struct round_options {
  std::string config;
  std::string state;
  std::string global;
  std::string trusted;
  std::string weights;
  std::string weights_from;
  std::string report;
  std::vector<std::string> files;
  unsigned threads = 0;
  bool changed_strategy = false;
};
void round(const round_options& how);

struct inspect_options {
  std::vector<std::string> files;
  bool json = false;
  bool distances = true;
};
/// The worst status of all files; those that cannot be read are named and passed over.
int inspect(const inspect_options& how);

void list_rules(bool json);

} // namespace cli

#endif // FEDAGG_EXAMPLES_CLI_COMMON_HPP
