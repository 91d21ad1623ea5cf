// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_CLI_REPORT_HPP
#define FEDAGG_EXAMPLES_CLI_REPORT_HPP

#include <cstring>
#include <string>

#include <nlohmann/json.hpp>

#include <fedagg/formats/io/atomic_file.hpp>

#include "common.hpp"
#include "inputs.hpp"

namespace cli {

/// JSON whatever the texts hold: file names need not be UTF-8.
inline std::string dump(const nlohmann::ordered_json& j) {
  return j.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

/// The files of a round, and those that were left out; `ok`: the round was not refused.
inline void report_files(nlohmann::ordered_json& report, std::span<const input> inputs, const fedagg::outcome& o, bool ok) {
  using json = nlohmann::ordered_json;
  report["files"] = json::array();
  report["rejected"] = json::array();
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const input& in = inputs[k];
    json entry = {{"file", in.path}, {"weight", in.weight}, {"used", ok && !in.bad}};
    if (ok && k < o.coefficients.size()) entry["coefficient"] = o.coefficients[k];
    report["files"].push_back(std::move(entry));
    if (in.bad)
      report["rejected"].push_back({{"file", in.path},
                                    {"tensor", in.bad->tensor.empty() ? json() : json(in.bad->tensor)},
                                    {"code", code_name(in.bad->code)},
                                    {"reason", in.bad->text}});
  }
}

/// "-" is the standard output; a file is replaced as a whole.
inline void write_report(const std::string& path, const nlohmann::ordered_json& report) {
  const std::string text = dump(report);
  if (path == "-") {
    std::fputs(text.c_str(), stdout);
    return;
  }
  fedagg::atomic_file file;
  fedagg::file_error error;
  if (fedagg::atomic_file::try_create(path, text.size(), file, error) != fedagg::errc::ok) throw failure(error);
  std::memcpy(file.bytes().data(), text.data(), text.size());
  if (file.try_commit(error) != fedagg::errc::ok) throw failure(error);
}

} // namespace cli

#endif // FEDAGG_EXAMPLES_CLI_REPORT_HPP
