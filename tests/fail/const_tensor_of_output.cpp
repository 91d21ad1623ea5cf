// expect: convertible_to|basic_any_tensor<void>
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/core/model_view.hpp>

#ifdef FEDAGG_FAIL_CONTROL
void f(fedagg::mutable_model_view& m, std::vector<float>& x) { m.add("w", x); }
#else
void f(fedagg::mutable_model_view& m, const std::vector<float>& x) { m.add("w", x); }
#endif
