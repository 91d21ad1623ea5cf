// expect: tensor_source
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/core/model_view.hpp>

std::vector<float> make();
#ifdef FEDAGG_FAIL_CONTROL
void f(fedagg::model_view& m, std::vector<float>& x) { m.add("w", x); }
#else
void f(fedagg::model_view& m) { m.add("w", make()); }
#endif
