// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_SCOPE_HPP
#define FEDAGG_CORE_SCOPE_HPP

#include <cstddef>
#include <string_view>

#include <fedagg/config.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Which tensors a rule sees, and whether it sees them together.
class scope {
public:
  /// The whole model as one vector per client (the default).
  static constexpr scope whole_model() noexcept { return {}; }
  /// The rule runs on each tensor by itself. The same as the whole model for rules that work coordinate by coordinate.
  static constexpr scope each_tensor() noexcept {
    scope s;
    s.each_ = true;
    return s;
  }
  /// Only the tensors whose name matches a pattern (`*` any run, `?` any one character); the output's other tensors
  /// are neither read nor written, the clients' other tensors are not looked at.
  static constexpr scope matching(std::string_view pattern) noexcept {
    scope s;
    s.pattern_ = pattern;
    s.filtered_ = true;
    return s;
  }

  constexpr bool each() const noexcept { return each_; }
  constexpr bool contains(std::string_view name) const noexcept { return !filtered_ || match(pattern_, name); }

private:
  // Iterative: one remembered star is enough, so that no pattern takes more than |pattern| * |name| steps.
  static constexpr bool match(std::string_view pattern, std::string_view name) noexcept {
    std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
    while (n < name.size()) {
      if (p < pattern.size() && pattern[p] == '*') {
        star = p++;
        mark = n;
      } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
        ++p;
        ++n;
      } else if (star != std::string_view::npos) {
        p = star + 1;
        n = ++mark;
      } else {
        return false;
      }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
  }

  std::string_view pattern_;
  bool filtered_ = false;
  bool each_ = false;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_SCOPE_HPP
