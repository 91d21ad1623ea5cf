// expect: element
// SPDX-License-Identifier: MIT
#include <fedagg/core/tensor_view.hpp>

#ifdef FEDAGG_FAIL_CONTROL
void f(double* x) { fedagg::tensor_view<double> v(x, 3); }
#else
void f(long double* x) { fedagg::tensor_view<long double> v(x, 3); }
#endif
