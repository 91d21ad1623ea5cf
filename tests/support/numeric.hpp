// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_NUMERIC_HPP
#define FEDAGG_TESTS_SUPPORT_NUMERIC_HPP

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/element.hpp>
#include <fedagg/kernels/isa.hpp>
#include <fedagg/passes/aggregate.hpp>

#include "catch.hpp"

/// What the numeric tests share: exact references that no floating-point flag of the build can bend, inputs that reach
/// the hard cases, and comparisons on bits.
namespace numeric {

// At least 113 bits: sums and products of doubles lose nothing that a test could see.
#if __LDBL_MANT_DIG__ >= 113
using quad = long double;
#else
__extension__ typedef __float128 quad;
#endif

inline quad magnitude(quad x) { return x < 0 ? -x : x; }

/// Quotients and products that the compiler can neither narrow nor turn into reciprocals.
inline quad divide(quad a, quad b) {
  volatile quad x = a, y = b;
  return x / y;
}
inline quad multiply(quad a, quad b) {
  volatile quad x = a, y = b;
  return x * y;
}
inline quad add(quad a, quad b) {
  volatile quad x = a, y = b;
  return x + y;
}

/// A double that was rounded: no flag of the build keeps more of it, or contracts what it is used in.
inline double kept(double x) {
  volatile double stored_value = x;
  return stored_value;
}

/// 2^e for -1074 <= e <= 1023, 0 below.
inline double power(int e) {
  if (e < -1074) return 0;
  return std::bit_cast<double>(e < -1022 ? std::uint64_t{1} << (e + 1074) : static_cast<std::uint64_t>(e + 1023) << 52);
}

inline double value(double x) { return x; }
inline double value(float x) { return static_cast<double>(x); }
inline double value(fedagg::float16 x) { return static_cast<double>(fedagg::to_float(x)); }
inline double value(fedagg::bfloat16 x) { return static_cast<double>(fedagg::to_float(x)); }

template <class T>
T stored(double x) {
  if constexpr (std::is_same_v<T, fedagg::float16>) return fedagg::to_float16(x);
  else if constexpr (std::is_same_v<T, fedagg::bfloat16>) return fedagg::to_bfloat16(x);
  else return static_cast<T>(x);
}

template <class T>
struct format;
template <>
struct format<double> {
  static constexpr int digits = 53, least = -1022;
  using word = std::uint64_t;
  static constexpr const char* name = "f64";
};
template <>
struct format<float> {
  static constexpr int digits = 24, least = -126;
  using word = std::uint32_t;
  static constexpr const char* name = "f32";
};
template <>
struct format<fedagg::float16> {
  static constexpr int digits = 11, least = -14;
  using word = std::uint16_t;
  static constexpr const char* name = "f16";
};
template <>
struct format<fedagg::bfloat16> {
  static constexpr int digits = 8, least = -126;
  using word = std::uint16_t;
  static constexpr const char* name = "bf16";
};

template <class T>
typename format<T>::word bits_of(T x) {
  return std::bit_cast<typename format<T>::word>(x);
}

/// Half a unit in the last place of T at x.
template <class T>
quad half_ulp(quad x) {
  const auto word = std::bit_cast<std::uint64_t>(static_cast<double>(magnitude(x)));
  int e = static_cast<int>(word >> 52) - 1023;
  // The conversion may have rounded up to a power of two.
  if (e > format<T>::least && quad(power(e)) > magnitude(x)) --e;
  if (e < format<T>::least) e = format<T>::least;
  return divide(power(e - format<T>::digits + 1), 2);
}

/// True if `got` is `exact` rounded once to T after a computation that was off by at most `error`.
template <class T>
bool rounds_to(T got, quad exact, quad error = 0) {
  if (!fedagg::is_finite(value(got))) return false;
  return magnitude(quad(value(got)) - exact) <= half_ulp<T>(magnitude(exact) + error) + error;
}

/// A floating-point mode while it lives.
class mode {
public:
#if defined(__x86_64__)
  explicit mode(unsigned value) : saved_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(value); }
  ~mode() { __builtin_ia32_ldmxcsr(saved_); }
  mode(const mode&) = delete;
  mode& operator=(const mode&) = delete;

private:
  unsigned saved_;
#else
  explicit mode(unsigned) {}
#endif
};

/// The tests themselves compute in the standard mode, although a -ffast-math link starts with flush-to-zero.
inline void standard_mode() {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(0x1f80);
#endif
}
/// What is tested is called in the worst one: flush-to-zero, denormals are zeros, rounding upwards.
inline constexpr unsigned worst = 0xdfc0;

/// n clients by d coordinates.
template <class T>
struct matrix {
  std::size_t n = 0, d = 0;
  std::vector<T> data;

  /// Every test has one, so this is where its mode is set.
  matrix(std::size_t clients, std::size_t size) : n(clients), d(size), data(clients * size) { standard_mode(); }
  T& at(std::size_t i, std::size_t j) { return data[i * d + j]; }
  const T& at(std::size_t i, std::size_t j) const { return data[i * d + j]; }
  std::span<const T> row(std::size_t i) const { return {data.data() + i * d, d}; }
  std::vector<double> column(std::size_t j) const {
    std::vector<double> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = value(at(i, j));
    return x;
  }
};

enum class kind { normal, ties, constant, ascending, descending, mixed, denormal, large, zeros };
inline constexpr kind all_kinds[] = {kind::normal, kind::ties,  kind::constant, kind::ascending, kind::descending,
                                     kind::mixed,  kind::denormal, kind::large, kind::zeros};
inline const char* name_of(kind k) {
  constexpr const char* names[] = {"normal", "ties", "constant", "ascending", "descending", "mixed", "denormal", "large", "zeros"};
  return names[static_cast<int>(k)];
}

/// Uniform in [-1, 1).
inline double uniform(std::mt19937_64& random) {
  return static_cast<double>(static_cast<std::int64_t>(random() >> 11)) * 0x1p-52 - 1.0;
}

template <class T>
T finite_pattern(std::mt19937_64& random) {
  using word = typename format<T>::word;
  for (;;) {
    const T x = std::bit_cast<T>(static_cast<word>(random()));
    if (fedagg::is_finite(value(x))) return x;
  }
}

/// An element of the kind, for client i of n. `large` stays within a quarter of the largest value of doubles.
template <class T>
T element_of(kind k, std::size_t i, std::size_t n, std::mt19937_64& random) {
  using word = typename format<T>::word;
  constexpr word sign = static_cast<word>(word{1} << (sizeof(T) * 8 - 1));
  constexpr int fraction = format<T>::digits - 1;
  const auto r = static_cast<word>(random());
  switch (k) {
  case kind::normal: return stored<T>(uniform(random) + uniform(random));
  case kind::ties: return stored<T>(static_cast<double>(random() % 3) - 1.0);
  case kind::constant: return stored<T>(0.7);
  case kind::ascending: return stored<T>(static_cast<double>(i) * 0.37 - 1.5);
  case kind::descending: return stored<T>(static_cast<double>(n - i) * 0.37 - 1.5);
  case kind::mixed: return std::is_same_v<T, double> ? stored<T>(uniform(random) * power(static_cast<int>(random() % 600) - 300))
                                                    : finite_pattern<T>(random);
  case kind::denormal: return std::bit_cast<T>(static_cast<word>(r & (sign | ((word{1} << fraction) - 1))));
  case kind::large:
    // The top binades: 1e38 for float.
    return stored<T>(uniform(random) * power(-format<T>::least - (std::is_same_v<T, double> ? 2 : 0)));
  case kind::zeros: return std::bit_cast<T>(static_cast<word>(r & sign));
  }
  return T{};
}

template <class T>
matrix<T> sample(kind k, std::size_t n, std::size_t d, std::uint64_t seed) {
  std::mt19937_64 random(seed * 1000003 + n * 7919 + d);
  matrix<T> m(n, d);
  for (std::size_t j = 0; j < d; ++j)
    for (std::size_t i = 0; i < n; ++i) m.at(i, j) = element_of<T>(k, i, n, random);
  return m;
}

/// Threads for one loop; the order in which indices are taken is left to them.
struct threads {
  std::size_t count;
  std::size_t concurrency() const { return count; }
  void operator()(std::size_t tasks, fedagg::task body) const {
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i; (i = next.fetch_add(1)) < tasks;) body(i);
    };
    std::vector<std::thread> pool;
    for (std::size_t t = 1; t < count; ++t) pool.emplace_back(work);
    work();
    for (auto& t : pool) t.join();
  }
};

/// The aggregate, or an empty vector where the round was refused.
template <class T, class Rule>
std::vector<T> aggregated(const Rule& rule, const matrix<T>& x, std::span<const double> weights = {},
                          const fedagg::options& how = {}, fedagg::errc* code = nullptr) {
  fedagg::cohort clients;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  if (!weights.empty()) clients.weights(weights);
  std::vector<T> out(x.d);
  fedagg::workspace space;
  const fedagg::errc rc = [&] {
    const mode callers(worst);
    return fedagg::try_aggregate(rule, clients, out, space, how);
  }();
  if (code) *code = rc;
  if (rc != fedagg::errc::ok) out.clear();
  return out;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// Values of doubles as a failure prints them.
inline std::string text(double x) {
  char s[40];
  std::snprintf(s, sizeof s, "%.17g", x);
  return s;
}

/// Every instruction set that this machine has; puts back the one in use.
template <class F>
void on_each_isa(F&& f) {
  const fedagg::isa before = fedagg::active_isa();
  for (const fedagg::isa which : {fedagg::isa::baseline, fedagg::isa::avx2, fedagg::isa::avx512})
    if (fedagg::use_isa(which)) f(which);
  fedagg::use_isa(before);
}

inline quad sum_of(std::span<const double> x) {
  quad sum = 0;
  for (const double v : x) sum = add(sum, v);
  return sum;
}

/// The unit of a double's rounding.
inline constexpr double unit = 0x1p-53;

/// Mean of window [first, last) of the sorted column, and the error of summing it in double and scaling the sum.
struct reference {
  quad exact;
  quad error;
};
inline reference window_mean(std::vector<double> x, std::size_t first, std::size_t last) {
  std::sort(x.begin(), x.end());
  const std::size_t count = last - first;
  quad sum = 0, size = 0;
  for (std::size_t i = first; i < last; ++i) {
    sum = add(sum, x[i]);
    size = add(size, magnitude(x[i]));
  }
  // One rounding per addition after the first, one for 1 / count and one for the product; none for one or two values'
  // quotient, which is a power of two.
  const quad additions = multiply(quad(count - 1) * unit, divide(size, quad(count)));
  const quad scaling = count > 2 ? multiply(2 * quad(unit), magnitude(divide(sum, quad(count)))) + additions * unit * 2 : quad(0);
  return {divide(sum, quad(count)), additions + scaling};
}

/// Weighted mean, and the error of n rounded products, n - 1 additions of each of the two sums, and a division; double
/// results also lose what lies below the smallest subnormal, once per product.
inline reference weighted_mean(std::span<const double> x, std::span<const double> w) {
  quad sum = 0, size = 0, total = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const quad weight = w.empty() ? quad(1) : quad(w[i]);
    const quad product = multiply(weight, x[i]);
    sum = add(sum, product);
    size = add(size, magnitude(product));
    total = add(total, weight);
  }
  return {divide(sum, total), multiply(quad(2 * x.size()) * unit, divide(size, total))};
}

} // namespace numeric

#endif // FEDAGG_TESTS_SUPPORT_NUMERIC_HPP
