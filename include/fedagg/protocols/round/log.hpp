// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_LOG_HPP
#define FEDAGG_PROTOCOLS_ROUND_LOG_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fedagg/protocols/round/plan.hpp>
#include <fedagg/protocols/round/roster.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Whether a saved number is an error code.
inline bool valid_reason(std::uint32_t code) noexcept {
  return code <= INT32_MAX && std::string_view(message(static_cast<errc>(code))) != message(static_cast<errc>(-1));
}

/// The first refusals of a round, in memory that no flood of them enlarges.
class refusal_log {
public:
  /// Strangers' ids are kept up to so many bytes each, and so many in all.
  static constexpr std::size_t id_bytes = 64, text_bytes = 4096;

  /// Takes the memory for a round of n clients. Throws std::bad_alloc.
  void reserve(std::size_t n) {
    lines_.reserve(n + text_bytes / id_bytes);
    text_.reserve(text_bytes);
  }
  /// Forgets everything; n clients from now on.
  void clear(std::size_t n) noexcept {
    lines_.clear();
    text_.clear();
    limit_ = n + text_bytes / id_bytes;
  }

  /// `who` is a client's index, or `roster::nobody`.
  void add(std::size_t who, std::string_view id, errc reason, std::int64_t when, std::uint64_t round) noexcept {
    if (lines_.size() == limit_) return;
    line l{who, 0, reason, when, round};
    if (who == roster::nobody) {
      l.size = id.size() < id_bytes ? id.size() : id_bytes;
      if (text_.size() + l.size > text_bytes) return;
      text_.insert(text_.end(), id.begin(), id.begin() + static_cast<std::ptrdiff_t>(l.size));
      l.end = text_.size();
    }
    lines_.push_back(l);
  }

  std::size_t size() const noexcept { return lines_.size(); }
  refusal at(std::size_t i, const roster& clients) const noexcept {
    const line& l = lines_[i];
    const std::string_view id =
        l.who == roster::nobody ? std::string_view(text_.data() + l.end - l.size, l.size) : clients[l.who];
    return {id, l.reason, l.when, l.round};
  }

  template <class Archive>
  errc archive(Archive& a, std::size_t n) {
    std::vector<std::uint64_t> who, sizes, rounds;
    std::vector<std::uint32_t> reasons;
    std::vector<std::int64_t> times;
    std::vector<std::uint8_t> text(text_.begin(), text_.end());
    for (const line& l : lines_) {
      who.push_back(l.who == roster::nobody ? n : l.who);
      sizes.push_back(l.size);
      rounds.push_back(l.round);
      reasons.push_back(static_cast<std::uint32_t>(l.reason));
      times.push_back(l.when);
    }
    if (const errc rc = a.array("log_clients", who); rc != errc::ok) return rc;
    if (const errc rc = a.array("log_sizes", sizes); rc != errc::ok) return rc;
    if (const errc rc = a.array("log_rounds", rounds); rc != errc::ok) return rc;
    if (const errc rc = a.array("log_reasons", reasons); rc != errc::ok) return rc;
    if (const errc rc = a.array("log_times", times); rc != errc::ok) return rc;
    if (const errc rc = a.array("log_text", text); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    reserve(n);
    clear(n);
    if (who.size() > limit_ || sizes.size() != who.size() || rounds.size() != who.size() ||
        reasons.size() != who.size() || times.size() != who.size() || text.size() > text_bytes)
      return errc::file_format;
    text_.assign(text.begin(), text.end());
    std::size_t at = 0;
    for (std::size_t i = 0; i < who.size(); ++i) {
      if (who[i] > n || sizes[i] > (who[i] == n ? id_bytes : 0) || sizes[i] > text.size() - at ||
          !valid_reason(reasons[i]))
        return errc::file_format;
      at += static_cast<std::size_t>(sizes[i]);
      lines_.push_back({who[i] == n ? roster::nobody : static_cast<std::size_t>(who[i]),
                        static_cast<std::size_t>(sizes[i]), static_cast<errc>(reasons[i]), times[i], rounds[i], at});
    }
    return at == text.size() ? errc::ok : errc::file_format;
  }

private:
  struct line {
    std::size_t who = 0, size = 0; ///< bytes of a stranger's id
    errc reason = errc::ok;
    std::int64_t when = 0;
    std::uint64_t round = 0;
    std::size_t end = 0; ///< of a stranger's id in the text
  };

  std::vector<line> lines_;
  std::vector<char> text_;
  std::size_t limit_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_ROUND_LOG_HPP
