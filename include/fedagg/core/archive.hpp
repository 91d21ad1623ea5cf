// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_ARCHIVE_HPP
#define FEDAGG_CORE_ARCHIVE_HPP

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include <fedagg/core/errc.hpp>

namespace fedagg::inline FEDAGG_ABI {

// What an object that keeps state between rounds offers, so that a format can save and load it:
//
//   static constexpr const char* kind = "momentum";  // what it is
//   static constexpr unsigned version = 1;           // raised whenever the same names come to mean something else
//   template <class Archive> errc archive(Archive& a);
//
// `archive` calls the archive with everything there is to keep, under names that are unique within the object; the same
// code saves and loads. What an archive offers:
//
//   bool loading()             whether the arguments below are filled, or read
//   errc value(name, x)        std::uint64_t, std::int64_t, double (every bit), bool; std::vector<char> or std::string
//   errc array(name, vector)   of double, float, (u)int64_t, (u)int32_t, uint8_t; takes the size that was saved
//   errc array(name, span)     the same; `file_format` unless that size was saved
//   errc count(name, n)        loading: how many elements the array has, to be asked before memory is taken for it;
//                              saving: leaves n as it is
//   errc layout(name, layout)  a model_layout
//
// Loading works on a fresh object that the reader throws away after an error. What is loaded is hostile: the object
// checks sizes, ranges and what it promises of itself before it returns `ok`, and answers `file_format`.

namespace detail {

/// An archive in which every name stands behind "part.".
template <class Archive>
class archive_scope {
public:
  archive_scope(Archive& archive, std::string_view part) : archive_(archive), name_(part.begin(), part.end()) {
    name_.push_back('.');
    prefix_ = name_.size();
  }

  bool loading() const noexcept { return archive_.loading(); }
  template <class T>
  errc value(std::string_view name, T& x) {
    return archive_.value(full(name), x);
  }
  template <class Values>
  errc array(std::string_view name, Values&& values) {
    return archive_.array(full(name), std::forward<Values>(values));
  }
  errc count(std::string_view name, std::size_t& elements) { return archive_.count(full(name), elements); }
  template <class Layout>
  errc layout(std::string_view name, Layout& layout) {
    return archive_.layout(full(name), layout);
  }

private:
  std::string_view full(std::string_view name) {
    name_.resize(prefix_);
    name_.insert(name_.end(), name.begin(), name.end());
    return {name_.data(), name_.size()};
  }

  Archive& archive_;
  std::vector<char> name_;
  std::size_t prefix_ = 0;
};

} // namespace detail

/// Archives an object that is a part of another one, under names of its own: "part.name".
template <class Archive, class Object>
errc archive_part(Archive& a, std::string_view part, Object& object) {
  detail::archive_scope<Archive> scope(a, part);
  return object.archive(scope);
}

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_ARCHIVE_HPP
