// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_LEDGER_HPP
#define FEDAGG_PROTOCOLS_ROUND_LEDGER_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Who has answered which version of a model, so that nothing counts twice. Ids are copied; what is older than any
/// update that is still taken is forgotten, so that it holds no more than the updates taken since then. Found in
/// O(log n) comparisons, added in O(n) moves of a few words.
class version_ledger {
public:
  /// Longer ids are not taken: they are a stranger's way to our memory.
  static constexpr std::size_t longest_id = 1024;

  bool contains(std::string_view id, std::uint64_t version) const noexcept {
    const std::size_t i = place_of(id, version);
    return i < entries_.size() && entries_[i].version == version && id_of(entries_[i]) == id;
  }

  /// Takes the memory for one more entry. `out_of_memory`, or `unknown_client` for an id that is too long.
  errc try_reserve(std::string_view id) noexcept {
    if (id.size() > longest_id) return errc::unknown_client;
#if FEDAGG_EXCEPTIONS
    try {
#endif
      grow(entries_, 1);
      grow(text_, id.size());
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      return errc::out_of_memory;
    }
#endif
    return errc::ok;
  }
  /// After `try_reserve`, of something that is not contained.
  void add(std::string_view id, std::uint64_t version) noexcept {
    const entry e{version, text_.size(), id.size()};
    const std::size_t at = place_of(id, version);
    text_.insert(text_.end(), id.begin(), id.end());
    entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(at), e);
  }

  /// Forgets what is older than this version.
  void drop_before(std::uint64_t version) noexcept {
    std::size_t gone = 0;
    while (gone < entries_.size() && entries_[gone].version < version) ++gone;
    if (gone == 0) return;
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(gone));
    // Ids lie in the order of arrival: those that stay are marked, and moved up one after the other in that order.
    sort_by_place();
    std::size_t end = 0;
    for (entry& e : entries_) {
      for (std::size_t i = 0; i < e.size; ++i) text_[end + i] = text_[e.first + i];
      e.first = end;
      end += e.size;
    }
    text_.resize(end);
    sort_by_id();
  }

  std::size_t size() const noexcept { return entries_.size(); }
  void clear() noexcept {
    entries_.clear();
    text_.clear();
  }

  /// On loading, entries must lie in [oldest, newest].
  template <class Archive>
  errc archive(Archive& a, std::uint64_t oldest, std::uint64_t newest) {
    std::vector<std::uint64_t> versions, sizes;
    std::vector<std::uint8_t> text;
    for (const entry& e : entries_) {
      const std::string_view id = id_of(e);
      versions.push_back(e.version);
      sizes.push_back(e.size);
      text.insert(text.end(), id.begin(), id.end());
    }
    if (const errc rc = a.array("versions", versions); rc != errc::ok) return rc;
    if (const errc rc = a.array("id_sizes", sizes); rc != errc::ok) return rc;
    if (const errc rc = a.array("ids", text); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    if (sizes.size() != versions.size()) return errc::file_format;
    entries_.clear();
    text_.assign(text.begin(), text.end());
    std::size_t at = 0;
    for (std::size_t i = 0; i < versions.size(); ++i) {
      if (sizes[i] > longest_id || sizes[i] > text.size() - at || versions[i] < oldest || versions[i] > newest)
        return errc::file_format;
      const entry e{versions[i], at, static_cast<std::size_t>(sizes[i])};
      if (i > 0 && !before(entries_.back(), e)) return errc::file_format;
      entries_.push_back(e);
      at += e.size;
    }
    return at == text.size() ? errc::ok : errc::file_format;
  }

private:
  struct entry {
    std::uint64_t version = 0;
    std::size_t first = 0, size = 0; // of the id in the text
  };

  template <class T>
  static void grow(std::vector<T>& v, std::size_t more) {
    if (v.capacity() - v.size() < more) v.reserve(v.size() + (v.size() > more ? v.size() : more));
  }

  std::string_view id_of(const entry& e) const noexcept { return {text_.data() + e.first, e.size}; }
  bool before(const entry& a, const entry& b) const noexcept {
    return a.version != b.version ? a.version < b.version : id_of(a) < id_of(b);
  }

  /// Where an entry stands, or would.
  std::size_t place_of(std::string_view id, std::uint64_t version) const noexcept {
    std::size_t low = 0, high = entries_.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      const entry& e = entries_[middle];
      if (e.version != version ? e.version < version : id_of(e) < id)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  void sort_by_place() noexcept {
    sort([](const entry& a, const entry& b) { return a.first < b.first; });
  }
  void sort_by_id() noexcept {
    sort([this](const entry& a, const entry& b) { return before(a, b); });
  }
  /// A heap sort: no id makes it slow, and nothing is allocated.
  template <class Before>
  void sort(const Before& less) noexcept {
    const auto sift = [&](std::size_t root, std::size_t count) {
      for (std::size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && less(entries_[child], entries_[child + 1])) ++child;
        if (!less(entries_[root], entries_[child])) return;
        std::swap(entries_[root], entries_[child]);
      }
    };
    for (std::size_t i = entries_.size() / 2; i-- > 0;) sift(i, entries_.size());
    for (std::size_t end = entries_.size(); end-- > 1;) {
      std::swap(entries_[0], entries_[end]);
      sift(0, end);
    }
  }

  std::vector<entry> entries_; // by version, then id
  std::vector<char> text_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_ROUND_LEDGER_HPP
