// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_PLAN_HPP
#define FEDAGG_PROTOCOLS_ROUND_PLAN_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/selection.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a round waits for. Times are the caller's: any unit, never running backwards.
struct round_plan {
  static constexpr std::size_t automatic = static_cast<std::size_t>(-1);
  static constexpr std::int64_t never = INT64_MAX;

  std::uint64_t round = 0;         ///< above that of the round before
  std::int64_t deadline = never;   ///< the first instant that is too late
  std::size_t needed = automatic;  ///< so many updates end the round; automatic: all who were asked
  std::size_t minimum = automatic; ///< with fewer there is no result; automatic: as `needed`. Never 0
};

/// The fewest of `clients` that are at least this share of them, one at least: `completion(0.8, 10)` is 8. All of them
/// for a rate that is no share.
inline std::size_t completion(double rate, std::size_t clients) noexcept {
  if (!is_finite(rate) || rate > 1) return clients;
  std::size_t low = clients == 0 ? 0 : 1, high = clients;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    // The quotient rounds to the very double that the rate is written as, where a product would be off by a bit.
    if (detail::quotient(static_cast<double>(middle), static_cast<double>(clients)) >= rate)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/// An update on its way in: what the client, or the transport on its behalf, says of it.
struct delivery {
  std::string_view client = {}; ///< borrowed for the call
  std::uint64_t round = 0;      ///< the round that it answers
  std::int64_t now = 0;
  double weight = 1; ///< a claim: a number of samples, usually
};

/// Where a client of a round stands.
enum class standing : unsigned char {
  missing,  ///< nothing came
  received, ///< its update counts
  failed,   ///< the caller reported it
  rejected, ///< what it sent cannot be used
  late,     ///< it came after the deadline
  surplus,  ///< it came when the round had all it needed
};
inline constexpr std::size_t standings = 6;

constexpr const char* name_of(standing s) noexcept {
  constexpr const char* names[standings] = {"missing", "received", "failed", "rejected", "late", "surplus"};
  return static_cast<std::size_t>(s) < standings ? names[static_cast<std::size_t>(s)] : "unknown";
}

/// What a round knows of one client.
struct client_record {
  std::string_view id = {}; ///< the round's own copy
  fedagg::standing standing = fedagg::standing::missing;
  errc reason = errc::ok;  ///< why it failed, or why the last thing that it sent was refused
  std::int64_t when = 0;   ///< of the last thing that came from it
  double weight = 0;       ///< of what was received
  std::size_t refused = 0; ///< how much of what it sent was refused
};

/// Something that was refused: who sent it, why, when, and the round that it was for.
struct refusal {
  std::string_view id = {}; ///< the round's own copy; a stranger's is cut after 64 bytes
  errc reason = errc::ok;
  std::int64_t when = 0;
  std::uint64_t round = 0;
};

/// Where a round is.
enum class round_phase : unsigned char {
  idle, ///< none was begun
  open,
  finished,
  abandoned,
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_PROTOCOLS_ROUND_PLAN_HPP
