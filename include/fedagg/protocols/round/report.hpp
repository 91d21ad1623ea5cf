// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_REPORT_HPP
#define FEDAGG_PROTOCOLS_ROUND_REPORT_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <fedagg/protocols/round/book.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// What every kind of round offers besides receiving and finishing.
class round_report {
public:
  /// The plan in force, with what was automatic filled in.
  const round_plan& plan() const noexcept { return book_.plan(); }
  std::uint64_t number() const noexcept { return book_.plan().round; }
  round_phase phase() const noexcept { return book_.phase(); }
  /// True if there is nothing to wait for: enough was received, everybody has answered, or time is up.
  bool ready(std::int64_t now) const noexcept { return book_.ready(now); }

  /// The clients that were asked, in the order given, and how many of them stand where.
  std::size_t size() const noexcept { return book_.size(); }
  std::size_t received() const noexcept { return book_.received(); }
  std::size_t count(standing s) const noexcept { return book_.count(s); }
  /// i < size().
  client_record record(std::size_t i) const noexcept { return book_.record(i); }
  /// The index of a client; `size()` if it was not asked.
  std::size_t find(std::string_view id) const noexcept {
    const std::size_t i = book_.find(id);
    return i == roster::nobody ? size() : i;
  }

  /// How many deliveries were refused, and the first of them: i < logged().
  std::uint64_t refused() const noexcept { return book_.refused(); }
  std::size_t logged() const noexcept { return book_.logged(); }
  refusal logged(std::size_t i) const noexcept { return book_.logged(i); }

  /// Notes that nothing will come from a client (its connection broke, it ran out of memory); it may still change its
  /// mind. `unknown_client`, `duplicate_client` if its update counts already, `round_closed`, `bad_parameter` for `ok`.
  [[nodiscard]] errc try_fail(std::string_view client, errc reason, std::int64_t now) noexcept {
    return book_.try_fail(client, reason, now);
  }
  /// Moves the deadline, and takes updates again after `try_close`. `bad_parameter` unless it lies ahead.
  [[nodiscard]] errc try_extend(std::int64_t deadline) noexcept { return book_.try_extend(deadline); }
  /// Takes no more updates: what is there is enough, or never will be.
  [[nodiscard]] errc try_close() noexcept { return book_.try_close(); }

protected:
  round_book book_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_ROUND_REPORT_HPP
