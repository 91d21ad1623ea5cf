// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_STRATEGY_ANY_OPTIMIZER_HPP
#define FEDAGG_ADAPTERS_STRATEGY_ANY_OPTIMIZER_HPP

#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <vector>

#include <fedagg/adapters/json/any_value.hpp>
#include <fedagg/core/attack.hpp>
#include <fedagg/optimizers.hpp>
#include <fedagg/passes/server_step.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {
namespace impl {

struct optimizer_kind {
  using list = optimizer_list;
  using standard = sgd;
  static constexpr const char *key = "optimizer", *example = "fed_adam";
  static constexpr errc unknown = errc::unknown_optimizer;
};

} // namespace impl

/// A server optimizer chosen at run time: one of `optimizer_list`, `{"optimizer": "fed_adam", "learning_rate": 0.01}`.
class any_optimizer : public impl::any_value<any_optimizer, impl::optimizer_kind> {
public:
  using any_value::any_value;

  /// `bad_parameter` if a step would be refused for the parameters.
  errc check() const noexcept {
    return visit([](const auto& o) noexcept {
      if (!detail::parameters_in_range(o)) return errc::bad_parameter;
      if constexpr (requires { o.check(); })
        return o.check();
      else
        return errc::ok;
    });
  }

  /// Aggregates that a step takes: the pseudo-gradient, and the controls of `scaffold_server`.
  std::size_t aggregates() const noexcept {
    return visit([]<class O>(const O&) noexcept { return impl::aggregates_of<O>; });
  }

  static std::vector<rule_description> optimizers() { return descriptions(); }
};

/// As for the optimizer it holds; `controls` is the further aggregate of one that takes two (`bad_parameter` if it is
/// null then). A template, so that an optimizer itself is not converted to it.
template <std::same_as<any_optimizer> Optimizer>
[[nodiscard]] errc try_step(const Optimizer& optimizer, const mutable_model_view& model,
                            const pseudo_gradient& aggregate, optimizer_state& state,
                            const server_step_options& how = {}, const model_view* controls = nullptr) noexcept {
  return optimizer.visit([&]<class O>(const O& o) noexcept {
    if constexpr (impl::aggregates_of<O> == 1)
      return try_step(o, model, aggregate, state, how);
    else
      return controls ? try_step(o, model, aggregate, state, how, {controls}) : errc::bad_parameter;
  });
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_STRATEGY_ANY_OPTIMIZER_HPP
