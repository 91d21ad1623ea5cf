// SPDX-License-Identifier: MIT
// The rules behind C functions, for compare.py. Each returns 0 or fedagg's error code.

#include <cstddef>
#include <cstdint>
#include <span>

#include <fedagg/fedagg.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/spectral.hpp>

namespace {

template <class Rule>
int round(const Rule& rule, const float* const* rows, std::size_t n, std::size_t d, const double* weights, float* out) {
  fedagg::cohort clients;
  clients.updates();
  for (std::size_t i = 0; i < n; ++i)
    clients.add(std::span<const float>(rows[i], d), {.weight = weights ? weights[i] : 1.0});
  fedagg::workspace space;
  return static_cast<int>(fedagg::try_aggregate(rule, clients, std::span<float>(out, d), space));
}

} // namespace

extern "C" {

const char* peer_isa() { return fedagg::name_of(fedagg::active_isa()); }

int peer_mean(const float* const* rows, std::size_t n, std::size_t d, const double* weights, float* out) {
  return round(fedagg::mean{}, rows, n, d, weights, out);
}

int peer_median(const float* const* rows, std::size_t n, std::size_t d, const void*, float* out) {
  return round(fedagg::median{}, rows, n, d, nullptr, out);
}

int peer_trimmed_mean(const float* const* rows, std::size_t n, std::size_t d, std::int64_t trim, float* out) {
  return round(fedagg::trimmed_mean{.trim = trim}, rows, n, d, nullptr, out);
}

int peer_krum(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::krum::byzfl(f), rows, n, d, nullptr, out);
}

int peer_multi_krum(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::multi_krum::byzfl(f), rows, n, d, nullptr, out);
}

int peer_nnm_median(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::nnm{.f = f} | fedagg::median{}, rows, n, d, nullptr, out);
}

int peer_geometric_median(const float* const* rows, std::size_t n, std::size_t d, const void*, float* out) {
  return round(fedagg::geometric_median{}, rows, n, d, nullptr, out);
}

int peer_meamed(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::meamed{.f = f}, rows, n, d, nullptr, out);
}

int peer_caf(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::caf{.f = f}, rows, n, d, nullptr, out);
}

int peer_flower_krum(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::krum::flower(f), rows, n, d, nullptr, out);
}

int peer_flower_multi_krum(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::multi_krum::flower(f, static_cast<std::int64_t>(n) - f), rows, n, d, nullptr, out);
}

int peer_bulyan(const float* const* rows, std::size_t n, std::size_t d, std::int64_t f, float* out) {
  return round(fedagg::bulyan::el_mhamdi(f), rows, n, d, nullptr, out);
}
}
