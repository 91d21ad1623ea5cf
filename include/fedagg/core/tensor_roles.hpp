// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_TENSOR_ROLES_HPP
#define FEDAGG_CORE_TENSOR_ROLES_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fedagg/core/element.hpp>
#include <fedagg/core/rule.hpp>
#include <fedagg/core/scope.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a server step does with a tensor of the model.
enum class role : std::uint8_t {
  train,     ///< the optimizer steps
  aggregate, ///< it takes the aggregate's value: averages, or whatever the rule made of the clients' values
  keep,      ///< it stays as it is
};

inline constexpr const char* role_names[] = {"train", "aggregate", "keep"};
constexpr name_list value_names(role) noexcept { return {role_names, 3}; }

/// The roles of a model's tensors, by name patterns (`*` any run, `?` any one character); the first that matches
/// decides, those set last come first. Integer and bool tensors are never trained: where nothing is said of them they
/// are aggregated (the rule averaged them and rounded half to even).
///
/// As it begins, BatchNorm's statistics are aggregated: an optimizer would make negative variances of them. They go by
/// their names in PyTorch (`running_mean`, `running_var`, `num_batches_tracked`) and Keras (`moving_mean`,
/// `moving_variance`), as the whole name or after a dot or slash.
class tensor_roles {
public:
  tensor_roles() {
    for (const std::string_view name :
         {"running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance"})
      for (const std::string_view before : {"", "*.", "*/"}) append(before, name, role::aggregate);
  }

  /// No pattern at all: every floating tensor is trained.
  static tensor_roles none() {
    tensor_roles r;
    r.text_.clear();
    r.entries_.clear();
    return r;
  }

  /// The tensors whose name matches have this role. The pattern is copied.
  tensor_roles& set(std::string_view pattern, role what) {
    append({}, pattern, what);
    return *this;
  }

  role of(std::string_view tensor, dtype type) const noexcept {
    for (std::size_t k = entries_.size(); k-- > 0;)
      if (scope::matching(pattern(k)).contains(tensor))
        return entries_[k].what == role::train && !is_floating(type) ? role::aggregate : entries_[k].what;
    return is_floating(type) ? role::train : role::aggregate;
  }

  /// How many patterns, in the order in which they were set.
  std::size_t size() const noexcept { return entries_.size(); }
  std::string_view pattern(std::size_t k) const noexcept {
    const std::size_t first = k == 0 ? 0 : entries_[k - 1].end;
    return {text_.data() + first, entries_[k].end - first};
  }
  role what(std::size_t k) const noexcept { return entries_[k].what; }

  friend bool operator==(const tensor_roles&, const tensor_roles&) = default;

private:
  struct entry {
    std::size_t end;
    role what;
    friend bool operator==(const entry&, const entry&) = default;
  };

  void append(std::string_view before, std::string_view pattern, role what) {
    text_.insert(text_.end(), before.begin(), before.end());
    text_.insert(text_.end(), pattern.begin(), pattern.end());
    entries_.push_back({text_.size(), what});
  }

  std::vector<char> text_;
  std::vector<entry> entries_;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_TENSOR_ROLES_HPP
