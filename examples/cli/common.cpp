// SPDX-License-Identifier: MIT
#include "common.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <fedagg/formats/io/utf8.hpp>
#include <fedagg/version.hpp>

namespace cli {

using fedagg::errc;

status status_of(errc code) noexcept {
  switch (code) {
  case errc::ok: return status::ok;
  case errc::bad_parameter:
  case errc::empty_cohort:
  case errc::weight_count:
  case errc::missing_base:
  case errc::missing_origin:
  case errc::missing_trusted:
  case errc::missing_history:
  case errc::unknown_optimizer:
  case errc::unknown_mixing:
  case errc::unknown_rule: return status::usage;
  case errc::too_few_clients:
  case errc::too_many_rejected:
  case errc::weight_majority:
  case errc::zero_weight_sum:
  case errc::search_limit:
  case errc::no_client_selected:
  case errc::round_incomplete:
  case errc::round_closed:
  case errc::unknown_client:
  case errc::duplicate_client:
  case errc::late_client:
  case errc::stale_client:
  case errc::overflow: return status::refused;
  case errc::file_not_found:
  case errc::file_io: return status::io;
  case errc::size_overflow:
  case errc::unsupported_element:
  case errc::non_finite:
  case errc::client_layout:
  case errc::layout_mismatch:
  case errc::invalid_weight:
  case errc::integer_range:
  case errc::client_range:
  case errc::file_truncated:
  case errc::file_format:
  case errc::value_range:
  case errc::checksum_mismatch:
  case errc::state_mismatch:
  case errc::json_type: return status::bad_input;
  case errc::null_data:
  case errc::overlapping_output:
  case errc::empty_scope:
  case errc::out_of_memory:
  case errc::executor_failed:
  case errc::rule_failed: return status::internal;
  // Of secure aggregation, which no command does.
  case errc::insecure_parameters:
  case errc::ring_too_narrow:
  case errc::no_randomness:
  case errc::state_not_saved:
  case errc::message_format:
  case errc::wrong_stage:
  case errc::wrong_context:
  case errc::bad_key:
  case errc::bad_signature:
  case errc::bad_share:
  case errc::bad_dealer:
  case errc::bad_survivors:
  case errc::bad_sum: return status::internal;
  }
  return status::internal;
}

const char* code_name(errc code) noexcept {
  switch (code) {
  case errc::ok: return "ok";
  case errc::empty_cohort: return "empty_cohort";
  case errc::bad_parameter: return "bad_parameter";
  case errc::null_data: return "null_data";
  case errc::size_overflow: return "size_overflow";
  case errc::layout_mismatch: return "layout_mismatch";
  case errc::overlapping_output: return "overlapping_output";
  case errc::weight_count: return "weight_count";
  case errc::zero_weight_sum: return "zero_weight_sum";
  case errc::empty_scope: return "empty_scope";
  case errc::missing_base: return "missing_base";
  case errc::missing_origin: return "missing_origin";
  case errc::missing_trusted: return "missing_trusted";
  case errc::missing_history: return "missing_history";
  case errc::unsupported_element: return "unsupported_element";
  case errc::too_few_clients: return "too_few_clients";
  case errc::too_many_rejected: return "too_many_rejected";
  case errc::weight_majority: return "weight_majority";
  case errc::search_limit: return "search_limit";
  case errc::no_client_selected: return "no_client_selected";
  case errc::overflow: return "overflow";
  case errc::round_incomplete: return "round_incomplete";
  case errc::round_closed: return "round_closed";
  case errc::non_finite: return "non_finite";
  case errc::client_layout: return "client_layout";
  case errc::invalid_weight: return "invalid_weight";
  case errc::integer_range: return "integer_range";
  case errc::client_range: return "client_range";
  case errc::value_range: return "value_range";
  case errc::unknown_client: return "unknown_client";
  case errc::duplicate_client: return "duplicate_client";
  case errc::late_client: return "late_client";
  case errc::stale_client: return "stale_client";
  case errc::out_of_memory: return "out_of_memory";
  case errc::executor_failed: return "executor_failed";
  case errc::rule_failed: return "rule_failed";
  case errc::file_not_found: return "file_not_found";
  case errc::file_io: return "file_io";
  case errc::file_truncated: return "file_truncated";
  case errc::file_format: return "file_format";
  case errc::checksum_mismatch: return "checksum_mismatch";
  case errc::state_mismatch: return "state_mismatch";
  case errc::json_type: return "json_type";
  case errc::unknown_rule: return "unknown_rule";
  case errc::unknown_optimizer: return "unknown_optimizer";
  case errc::unknown_mixing: return "unknown_mixing";
  case errc::insecure_parameters: return "insecure_parameters";
  case errc::ring_too_narrow: return "ring_too_narrow";
  case errc::no_randomness: return "no_randomness";
  case errc::state_not_saved: return "state_not_saved";
  case errc::message_format: return "message_format";
  case errc::wrong_stage: return "wrong_stage";
  case errc::wrong_context: return "wrong_context";
  case errc::bad_key: return "bad_key";
  case errc::bad_signature: return "bad_signature";
  case errc::bad_share: return "bad_share";
  case errc::bad_dealer: return "bad_dealer";
  case errc::bad_survivors: return "bad_survivors";
  case errc::bad_sum: return "bad_sum";
  }
  return "unknown";
}

std::string printable(std::string_view text) {
  const bool readable = fedagg::is_utf8(text);
  std::string shown;
  for (std::size_t k = 0; k < text.size(); ++k) {
    const auto byte = static_cast<unsigned char>(text[k]);
    // U+0080 to U+009F are control characters too.
    const bool c1 = byte == 0xc2 && k + 1 < text.size() && static_cast<unsigned char>(text[k + 1]) < 0xa0;
    if (c1) ++k;
    shown += c1 || byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !readable) ? '?' : text[k];
  }
  return shown;
}

std::string in_quotes(std::string_view text) { return "\"" + printable(text) + "\""; }

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (std::size_t k = 0; k < shape.size(); ++k) text += (k ? ", " : "") + std::to_string(shape[k]);
  return text + "]";
}

std::string bytes_text(double bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < std::size(units)) bytes /= 1000, ++unit;
  char text[40];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

std::string number_text(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", x);
  return text;
}

bool parse_number(const std::string& text, double& x) {
  if (text.empty() || text.find_first_not_of("+-.0123456789abcdefinABCDEFINyYtT") != std::string::npos) return false;
  char* end = nullptr;
  x = std::strtod(text.c_str(), &end);
  return end == text.c_str() + text.size();
}

std::uint64_t rss_anon() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("RssAnon:", 0) == 0) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  return 0;
}

std::string version() {
  return std::to_string(FEDAGG_VERSION_MAJOR) + "." + std::to_string(FEDAGG_VERSION_MINOR) + "." +
         std::to_string(FEDAGG_VERSION_PATCH);
}

void note(const std::string& text) { std::fprintf(stderr, "fedagg: %s\n", text.c_str()); }

} // namespace cli
