// expect: no matching (function|conversion|constructor)|could not convert
// SPDX-License-Identifier: MIT
#include <fedagg/core/tensor_view.hpp>

#ifdef FEDAGG_FAIL_CONTROL
fedagg::tensor_view<const float> f(fedagg::tensor_view<float> v) { return fedagg::tensor_view<const float>(v); }
#else
fedagg::tensor_view<float> f(fedagg::tensor_view<const float> v) { return fedagg::tensor_view<float>(v); }
#endif
