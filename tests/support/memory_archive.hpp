// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_MEMORY_ARCHIVE_HPP
#define FEDAGG_TESTS_SUPPORT_MEMORY_ARCHIVE_HPP

#include <cstddef>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/model_layout.hpp>

namespace fedagg_test {

/// What an object archives, kept in memory by name; a test may look at it and spoil it before it is loaded again.
class memory_archive {
public:
  struct item {
    char type = 0; // of the elements: 'v' + kind for values
    std::vector<std::byte> bytes;
    friend bool operator==(const item&, const item&) = default;
  };
  std::map<std::string, item, std::less<>> items;
  /// A name that an object gave twice.
  std::string twice;

  /// Saves; the error code of the object.
  template <class Object>
  fedagg::errc save(Object& object) {
    items.clear();
    loading_ = false;
    return object.archive(*this);
  }
  /// Loads into a fresh object.
  template <class Object>
  fedagg::errc load(Object& object) {
    loading_ = true;
    return object.archive(*this);
  }

  bool loading() const noexcept { return loading_; }

  template <class T>
  fedagg::errc value(std::string_view name, T& x) {
    if constexpr (std::is_arithmetic_v<T>) {
      static_assert(std::is_same_v<T, std::uint64_t> || std::is_same_v<T, std::int64_t> || std::is_same_v<T, double> ||
                        std::is_same_v<T, bool>,
                    "a value that archives know");
      return move(name, 'A', std::span<T>(&x, 1), true);
    } else {
      static_assert(sizeof(typename T::value_type) == 1, "a text");
      return resize_and_move(name, 'T', x);
    }
  }
  template <class T>
  fedagg::errc array(std::string_view name, std::vector<T>& x) {
    check<T>();
    return resize_and_move(name, code<T>(), x);
  }
  template <class T>
  fedagg::errc array(std::string_view name, std::span<T> x) {
    check<T>();
    return move(name, code<T>(), x, true);
  }
  fedagg::errc count(std::string_view name, std::size_t& n) {
    if (!loading_) return fedagg::errc::ok;
    const auto found = items.find(name);
    if (found == items.end()) return fedagg::errc::file_format;
    constexpr std::size_t widths[] = {8, 4, 8, 8, 4, 4, 1};
    const auto at = std::string_view("dfiujwb").find(found->second.type);
    if (at == std::string_view::npos) return fedagg::errc::file_format;
    n = found->second.bytes.size() / widths[at];
    return fedagg::errc::ok;
  }
  fedagg::errc layout(std::string_view name, fedagg::model_layout& x) { return fedagg::archive_part(*this, name, x); }

private:
  template <class T>
  static constexpr char code() {
    return std::is_same_v<T, double>          ? 'd'
           : std::is_same_v<T, float>         ? 'f'
           : std::is_same_v<T, std::int64_t>  ? 'i'
           : std::is_same_v<T, std::uint64_t> ? 'u'
           : std::is_same_v<T, std::int32_t>  ? 'j'
           : std::is_same_v<T, std::uint32_t> ? 'w'
           : std::is_same_v<T, std::uint8_t>  ? 'b'
                                              : 0;
  }
  template <class T>
  static void check() {
    static_assert(code<T>() != 0, "an element type that archives know");
  }

  template <class Values>
  fedagg::errc resize_and_move(std::string_view name, char type, Values& x) {
    using T = typename Values::value_type;
    if (loading_) {
      const auto found = items.find(name);
      if (found == items.end() || found->second.type != type) return fedagg::errc::file_format;
      x.resize(found->second.bytes.size() / sizeof(T));
    }
    return move(name, type, std::span<T>(x.data(), x.size()), false);
  }

  template <class T>
  fedagg::errc move(std::string_view name, char type, std::span<T> x, bool exact) {
    if (!loading_) {
      const auto [at, fresh] = items.try_emplace(std::string(name));
      if (!fresh) twice = name;
      at->second.type = type;
      at->second.bytes.resize(x.size_bytes());
      if (!x.empty()) std::memcpy(at->second.bytes.data(), x.data(), x.size_bytes());
      return fedagg::errc::ok;
    }
    const auto found = items.find(name);
    if (found == items.end() || found->second.type != type) return fedagg::errc::file_format;
    if (exact && found->second.bytes.size() != x.size_bytes()) return fedagg::errc::file_format;
    if (!x.empty()) std::memcpy(x.data(), found->second.bytes.data(), x.size_bytes());
    return fedagg::errc::ok;
  }

  bool loading_ = false;
};

} // namespace fedagg_test

#endif // FEDAGG_TESTS_SUPPORT_MEMORY_ARCHIVE_HPP
