// expect: secure aggregation opens the sum alone
// SPDX-License-Identifier: MIT
#include <vector>

#include <fedagg/fedagg.hpp>
#include <fedagg/secure/secure_server.hpp>

#ifdef FEDAGG_FAIL_CONTROL
void f(const fedagg::cohort& clients, std::vector<float>& out) { fedagg::aggregate(fedagg::krum{.f = 1}, clients, out); }
#else
void f(const fedagg::ring_vector& sum, std::vector<float>& out) { fedagg::aggregate(fedagg::krum{.f = 1}, sum, out); }
#endif
