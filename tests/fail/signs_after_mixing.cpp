// expect: follows_mixing
// SPDX-License-Identifier: MIT
#include <fedagg/fedagg.hpp>

// The signs that sign_guard counts are those of the clients, not of what the stage makes of them.
#ifdef FEDAGG_FAIL_CONTROL
auto f() { return fedagg::nnm{.f = 1} | fedagg::krum{.f = 1}; }
#else
auto f() { return fedagg::nnm{.f = 1} | fedagg::sign_guard{}; }
#endif
