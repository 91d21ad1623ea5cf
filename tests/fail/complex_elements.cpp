// expect: element
// SPDX-License-Identifier: MIT
#include <complex>

#include <fedagg/core/tensor_view.hpp>

#ifdef FEDAGG_FAIL_CONTROL
void f(float* x) { fedagg::tensor_view<float> v(x, 3); }
#else
void f(std::complex<float>* x) { fedagg::tensor_view<std::complex<float>> v(x, 3); }
#endif
