// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_INSPECT_HPP
#define FEDAGG_PASSES_INSPECT_HPP

#include <cstddef>

#include <fedagg/core/executor.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/passes/accumulator/elements.hpp>
#include <fedagg/passes/round/tasks.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// What keeps a client's model from being used, found before any of it is: `client_layout`, `non_finite`,
/// `integer_range`, a view's own status; `unsupported_element` where the layout itself holds something that is no
/// number. Integer tensors that the layout keeps are not looked at. One read; of several faults that of the first
/// tensor is told, whatever the executor.
template <class Void = void>
[[nodiscard]] errc try_inspect(const model_view& model, const model_layout& layout,
                               executor_ref executor = {}) noexcept {
  if (const errc rc = layout.matches(model); rc != errc::ok) return rc;
  constexpr std::size_t grain = 65536, none = static_cast<std::size_t>(-1), reasons = 64;
  struct loop {
    const model_layout& layout;
    std::size_t found = none;

    bool looked_at(std::size_t k) const noexcept {
      return is_floating(layout.type(k)) || layout.policy(k) != integers::keep;
    }
    std::size_t tiles(std::size_t k) const noexcept {
      return looked_at(k) ? layout.elements(k) / grain + (layout.elements(k) % grain != 0) : 0;
    }
  } l{layout};
  std::size_t tiles = 0;
  for (std::size_t k = 0; k < layout.size(); ++k) {
    if (l.looked_at(k) && !is_floating(layout.type(k)) && !is_integer(layout.type(k))) return errc::unsupported_element;
    tiles += l.tiles(k);
  }
  const errc ran = impl::run_tasks(executor, tiles, [&](std::size_t index) {
    std::size_t k = 0, at = index;
    for (; k < layout.size() && at >= l.tiles(k); ++k) at -= l.tiles(k);
    const std::size_t size = layout.elements(k);
    const errc rc = impl::look_for_non_finite(model.entries()[k].tensor, at * grain,
                                              size - at * grain < grain ? size : (at + 1) * grain);
    if (rc != errc::ok) detail::lower_to(l.found, k * reasons + static_cast<std::size_t>(rc));
  });
  if (ran != errc::ok) return ran;
  return l.found == none ? errc::ok : static_cast<errc>(l.found % reasons);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_INSPECT_HPP
