// SPDX-License-Identifier: MIT
#ifndef COMPILED_OPTIMIZERS_HPP
#define COMPILED_OPTIMIZERS_HPP

/// Steps of every optimizer of `optimizer_list`, compiled in optimizers.cpp once for all units that include this.

#include <fedagg/optimizers.hpp>
#include <fedagg/passes/server_step.hpp>

#define COMPILED_EACH_OPTIMIZER(linkage, optimizer)                                                                    \
  optimizer(linkage, fed_adagrad) optimizer(linkage, fed_adam) optimizer(linkage, fed_ams)                             \
      optimizer(linkage, fed_avgm) optimizer(linkage, fed_dyn) optimizer(linkage, fed_yogi)                            \
          optimizer(linkage, scaffold_server) optimizer(linkage, sgd)

#define COMPILED_OPTIMIZER(linkage, Optimizer)                                                                         \
  linkage template errc try_step(const Optimizer&, const mutable_model_view&, const pseudo_gradient&,                  \
                                 optimizer_state&, const server_step_options&,                                         \
                                 const typename impl::server_stepper<Optimizer>::extras&) noexcept;

namespace fedagg::inline FEDAGG_ABI_FLAGS {
COMPILED_EACH_OPTIMIZER(extern, COMPILED_OPTIMIZER)
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // COMPILED_OPTIMIZERS_HPP
