// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ID_TABLE_HPP
#define FEDAGG_CORE_ID_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Client ids, owned and numbered in the order in which they were added. O(log n) to find one.
class id_table {
public:
  static constexpr const char* kind = "id_table";
  static constexpr unsigned version = 1;
  /// The number of an id that is not there.
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  std::size_t size() const noexcept { return ends_.size(); }
  /// Valid until the next id is added.
  std::string_view operator[](std::size_t k) const noexcept {
    const std::size_t first = k == 0 ? 0 : ends_[k - 1];
    return {ids_.data() + first, ends_[k] - first};
  }
  std::size_t find(std::string_view id) const noexcept {
    const std::size_t place = place_of(id);
    return place < order_.size() && (*this)[order_[place]] == id ? order_[place] : none;
  }

  /// Adds one; `bad_parameter` for an empty id, `duplicate_client` if it is there. Throws std::bad_alloc, and nothing
  /// has changed then.
  errc add(std::string_view id) {
    if (id.empty()) return errc::bad_parameter;
    const std::size_t place = place_of(id);
    if (place < order_.size() && (*this)[order_[place]] == id) return errc::duplicate_client;
    make_room(order_, 1);
    make_room(ends_, 1);
    ids_.insert(ids_.end(), id.begin(), id.end());
    order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(place), ends_.size());
    ends_.push_back(ids_.size());
    return errc::ok;
  }

  friend bool operator==(const id_table& a, const id_table& b) noexcept {
    return a.ids_ == b.ids_ && a.ends_ == b.ends_;
  }

  /// See core/archive.hpp.
  template <class Archive>
  errc archive(Archive& a) {
    std::vector<std::uint8_t> ids(ids_.begin(), ids_.end());
    std::vector<std::uint64_t> ends(ends_.begin(), ends_.end());
    if (const errc rc = a.array("ids", ids); rc != errc::ok) return rc;
    if (const errc rc = a.array("ends", ends); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    *this = {};
    std::size_t first = 0;
    for (const std::uint64_t end : ends) {
      if (end <= first || end > ids.size()) return errc::file_format;
      const std::size_t length = static_cast<std::size_t>(end) - first;
      if (add({reinterpret_cast<const char*>(ids.data()) + first, length}) != errc::ok) return errc::file_format;
      first += length;
    }
    return first == ids.size() ? errc::ok : errc::file_format;
  }

private:
  /// By halves, which `reserve` alone would not do.
  static void make_room(std::vector<std::size_t>& v, std::size_t more) {
    if (v.capacity() - v.size() < more) v.reserve(v.size() + v.size() / 2 + more);
  }

  /// Where an id stands in alphabetical order, or would.
  std::size_t place_of(std::string_view id) const noexcept {
    std::size_t low = 0, high = order_.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if ((*this)[order_[middle]] < id)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  std::vector<char> ids_;
  std::vector<std::size_t> ends_, order_;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ID_TABLE_HPP
