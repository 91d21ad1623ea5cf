// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_ROSTER_HPP
#define FEDAGG_PROTOCOLS_ROUND_ROSTER_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// The ids of a round's clients, copied, in the order given; one is found in O(log n) comparisons whatever the ids are.
/// Keeps its memory when it is filled again. Functions that may take memory throw std::bad_alloc.
class roster {
public:
  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

  /// Replaces the ids by those of a range of strings. `duplicate_client` if one stands there twice.
  template <class Ids>
  errc assign(const Ids& ids) {
    text_.clear();
    ends_.clear();
    for (const std::string_view id : ids) add(id);
    return sort();
  }

  std::size_t size() const noexcept { return ends_.size(); }
  std::string_view operator[](std::size_t i) const noexcept {
    const std::size_t first = i == 0 ? 0 : ends_[i - 1];
    return {text_.data() + first, ends_[i] - first};
  }

  /// The index of a client, or `nobody`.
  std::size_t find(std::string_view id) const noexcept {
    std::size_t low = 0, high = sorted_.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if ((*this)[sorted_[middle]] < id)
        low = middle + 1;
      else
        high = middle;
    }
    return low < sorted_.size() && (*this)[sorted_[low]] == id ? sorted_[low] : nobody;
  }

  template <class Archive>
  errc archive(Archive& a) {
    std::vector<std::uint8_t> text(text_.begin(), text_.end());
    std::vector<std::uint64_t> sizes;
    for (std::size_t i = 0; i < size(); ++i) sizes.push_back((*this)[i].size());
    if (const errc rc = a.array("ids", text); rc != errc::ok) return rc;
    if (const errc rc = a.array("id_sizes", sizes); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    text_.clear();
    ends_.clear();
    std::size_t at = 0;
    for (const std::uint64_t size : sizes) {
      if (size > text.size() - at) return errc::file_format;
      add({reinterpret_cast<const char*>(text.data()) + at, static_cast<std::size_t>(size)});
      at += static_cast<std::size_t>(size);
    }
    return at == text.size() && sort() == errc::ok ? errc::ok : errc::file_format;
  }

private:
  void add(std::string_view id) {
    text_.insert(text_.end(), id.begin(), id.end());
    ends_.push_back(text_.size());
  }

  /// A heap sort: no id makes it slow, and nothing is allocated.
  errc sort() {
    sorted_.resize(size());
    for (std::size_t i = 0; i < size(); ++i) sorted_[i] = i;
    const auto before = [this](std::size_t a, std::size_t b) { return (*this)[sorted_[a]] < (*this)[sorted_[b]]; };
    const auto exchange = [this](std::size_t a, std::size_t b) {
      const std::size_t t = sorted_[a];
      sorted_[a] = sorted_[b];
      sorted_[b] = t;
    };
    const auto sift = [&](std::size_t root, std::size_t count) {
      for (std::size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && before(child, child + 1)) ++child;
        if (!before(root, child)) return;
        exchange(root, child);
      }
    };
    for (std::size_t i = size() / 2; i-- > 0;) sift(i, size());
    for (std::size_t end = size(); end-- > 1;) {
      exchange(0, end);
      sift(0, end);
    }
    for (std::size_t i = 1; i < size(); ++i)
      if (!before(i - 1, i)) return errc::duplicate_client;
    return errc::ok;
  }

  std::vector<char> text_;
  std::vector<std::size_t> ends_;   // of each id in the text
  std::vector<std::size_t> sorted_; // indices by id
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_ROUND_ROSTER_HPP
