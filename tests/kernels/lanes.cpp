// SPDX-License-Identifier: MIT
#include <fedagg/kernels/lanes.hpp>

#include "support/numeric.hpp"

using namespace numeric;
namespace impl = fedagg::impl;

namespace {

enum class op { add, subtract, multiply, divide, negate, absolute, minimum, maximum, where, add_to, subtract_from, multiply_by, divide_by, scalar };
constexpr op all_ops[] = {op::add,     op::subtract, op::multiply, op::divide, op::negate,        op::absolute,    op::minimum,
                          op::maximum, op::where,    op::add_to,   op::subtract_from, op::multiply_by, op::divide_by, op::scalar};

/// One operation on a column of four: what a rule of the user's would write.
struct one_operation {
  op which = op::add;
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    const L a = x[0], b = x[1];
    switch (which) {
    case op::add: out = a + b; break;
    case op::subtract: out = a - b; break;
    case op::multiply: out = a * b; break;
    case op::divide: out = a / b; break;
    case op::negate: out = -a; break;
    case op::absolute: out = abs(a); break;
    case op::minimum: out = min(a, b); break;
    case op::maximum: out = max(a, b); break;
    case op::where: out = where_less(a, b, x[2], x[3]); break;
    case op::add_to: (out = a) += b; break;
    case op::subtract_from: (out = a) -= b; break;
    case op::multiply_by: (out = a) *= b; break;
    case op::divide_by: (out = a) /= b; break;
    case op::scalar: out = a * typename L::value_type(0.1) + 3; break;
    }
  }
};

/// What a compiler would like to contract, reassociate or turn into reciprocals.
struct chain {
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    const L a = x[0], b = x[1], c = x[2], d = x[3];
    L sum = a * b + c;
    sum += (a + c) - a;
    sum -= d * (b - c) * L(typename L::value_type(3)) / a;
    sum = sum / b + d / b + (c * d - a * b);
    out = sum * b / b;
  }
};

/// IEEE's result: the exact one, or one of 113 bits, rounded to T; no flag of the build reaches it.
template <class T>
T rounded(quad x) {
  volatile quad v = x;
  return static_cast<T>(v);
}
template <class T>
T plus(T a, T b) {
  if (a == 0 && b == 0) return bits_of(a) == bits_of(b) ? a : T(0);
  return rounded<T>(add(quad(a), quad(b)));
}
template <class T>
T flipped(T a) {
  using word = typename format<T>::word;
  return std::bit_cast<T>(static_cast<word>(bits_of(a) ^ word{1} << (sizeof(T) * 8 - 1)));
}
template <class T>
bool negative(T a) {
  return bits_of(a) >> (sizeof(T) * 8 - 1) != 0;
}
template <class T>
T with_sign(T magnitude_of, bool minus) {
  return negative(magnitude_of) == minus ? magnitude_of : flipped(magnitude_of);
}
template <class T>
T times(T a, T b) {
  return with_sign(rounded<T>(multiply(quad(a), quad(b))), negative(a) != negative(b));
}
template <class T>
T over(T a, T b) {
  return with_sign(rounded<T>(divide(quad(a), quad(b))), negative(a) != negative(b));
}

template <class T>
T expected(op which, T a, T b, T c, T d) {
  // Out of the compiler's sight, which may otherwise take a minimum of zeros in any order.
  volatile bool less = quad(a) < quad(b);
  switch (which) {
  case op::add:
  case op::add_to: return plus(a, b);
  case op::subtract:
  case op::subtract_from: return plus(a, flipped(b));
  case op::multiply:
  case op::multiply_by: return times(a, b);
  case op::divide:
  case op::divide_by: return over(a, b);
  case op::negate: return flipped(a);
  case op::absolute: return negative(a) ? flipped(a) : a;
  case op::minimum: return less ? a : b;
  case op::maximum: return less ? b : a;
  case op::where: return less ? c : d;
  case op::scalar: return plus(times(a, T(0.1)), T(3));
  }
  return T{};
}

template <class T>
T expected_chain(T a, T b, T c, T d) {
  T sum = plus(times(a, b), c);
  sum = plus(sum, plus(plus(a, c), flipped(a)));
  sum = plus(sum, flipped(over(times(times(d, plus(b, flipped(c))), T(3)), a)));
  sum = plus(plus(over(sum, b), over(d, b)), plus(times(c, d), flipped(times(a, b))));
  return over(times(sum, b), b);
}

/// The rule over the rows, from `begin` on, by the kernel of the instruction set in use.
template <class Rule, class T>
std::vector<T> run(const Rule& rule, const matrix<T>& x, std::size_t begin, const T* base = nullptr, unsigned* seen = nullptr) {
  std::vector<const T*> rows;
  for (std::size_t i = 0; i < x.n; ++i) rows.push_back(x.row(i).data());
  std::vector<T> out(x.d, T(77));
  unsigned flags = 0;
  impl::on_active_isa([&](auto tag) {
    using isa = decltype(tag);
    using kernel = impl::column_kernel<isa>;
    std::vector<std::byte> scratch(kernel::scratch_bytes(x.n) + 64);
    auto* aligned = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
    flags = kernel::template run<fedagg::lanes<T, isa>>(rule, rows.data(), base, x.n, begin, x.d, out.data(), aligned);
  });
  if (seen) *seen = flags;
  return out;
}

/// Finite values of every sort; divisors that are not zero.
template <class T>
matrix<T> operands(std::size_t d) {
  matrix<T> x(4, d);
  std::mt19937_64 random(d);
  for (std::size_t j = 0; j < d; ++j) {
    const kind k = all_kinds[j % (sizeof all_kinds / sizeof all_kinds[0])];
    for (std::size_t i = 0; i < 4; ++i) x.at(i, j) = element_of<T>(j % 11 == 0 ? kind::mixed : k, i, 4, random);
    if (j % 5 == 0) x.at(1, j) = x.at(0, j);
    if (x.at(1, j) == 0 && j % 2) x.at(1, j) = T(1);
  }
  return x;
}

template <class T>
void check_operations() {
  const auto x = operands<T>(2003);
  for (const op which : all_ops) {
    const auto got = run(one_operation{which}, x, 0);
    std::string wrong;
    for (std::size_t j = 0; j < x.d && wrong.empty(); ++j) {
      const T a = x.at(0, j), b = x.at(1, j);
      if (b == 0 && (which == op::divide || which == op::divide_by)) continue;
      const T want = expected(which, a, b, x.at(2, j), x.at(3, j));
      if (bits_of(got[j]) != bits_of(want))
        wrong = text(static_cast<double>(a)) + " and " + text(static_cast<double>(b)) + ": " + text(static_cast<double>(got[j])) + " for " + text(static_cast<double>(want));
    }
    INFO(format<T>::name << " operation " << static_cast<int>(which));
    CHECK(wrong == "");
  }
}

template <class T>
void check_chain() {
  matrix<T> x(4, 3001);
  std::mt19937_64 random(9);
  for (auto& v : x.data) v = static_cast<T>(uniform(random) * power(static_cast<int>(random() % 12) - 6));
  const auto got = run(chain{}, x, 0);
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.d; ++j) wrong += bits_of(got[j]) != bits_of(expected_chain(x.at(0, j), x.at(1, j), x.at(2, j), x.at(3, j)));
  CHECK(wrong == 0);
}

struct rank {
  std::size_t which = 0;
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    x.sort();
    out = x[which];
    // Everything is in order, and nothing has been lost or added behind the end.
    for (std::size_t i = 1; i < x.size(); ++i) out = where_less(x[i], x[i - 1], L(typename L::value_type(1e9)), out);
  }
};

template <class T>
void check_sort(std::size_t n, kind k) {
  const auto x = sample<T>(k, n, 37, 1);
  std::size_t wrong = 0;
  for (std::size_t which = 0; which < n; which += n < 12 ? 1 : n / 7) {
    const auto got = run(rank{which}, x, 0);
    for (std::size_t j = 0; j < x.d; ++j) {
      std::vector<T> column;
      for (std::size_t i = 0; i < n; ++i) column.push_back(x.at(i, j));
      std::sort(column.begin(), column.end(), [](T a, T b) { return a < b || (a == b && negative(a) && !negative(b)); });
      wrong += bits_of(got[j]) != bits_of(column[which]);
    }
  }
  INFO(format<T>::name << " " << name_of(k) << " n=" << n);
  CHECK(wrong == 0);
}

/// 1 / x of made-up values would be infinite.
struct harmonic {
  template <class L>
  void operator()(fedagg::column<L> x, L& out) const {
    using T = typename L::value_type;
    L sum = T(1) / x[0];
    for (std::size_t i = 1; i < x.size(); ++i) sum += T(1) / x[i];
    out = L(static_cast<T>(x.size())) / sum;
  }
};

} // namespace

TEST_CASE("every operation is IEEE's, bit for bit") {
  SECTION("f32") { check_operations<float>(); }
  SECTION("f64") { check_operations<double>(); }
}

TEST_CASE("a chain of operations rounds after each of them") {
  SECTION("f32") { check_chain<float>(); }
  SECTION("f64") { check_chain<double>(); }
}

TEST_CASE("a column of any length is sorted, negative zero before positive") {
  for (std::size_t n = 1; n <= 300; n += n < 70 ? 1 : 11) {
    check_sort<float>(n, n % 2 ? kind::mixed : kind::normal);
    check_sort<double>(n, n % 2 ? kind::normal : kind::mixed);
  }
  for (const kind k : all_kinds)
    for (const std::size_t n : {2u, 20u, 33u, 65u}) {
      check_sort<float>(n, k);
      check_sort<double>(n, k);
    }
}

TEST_CASE("coordinates beyond the end take no part") {
  for (std::size_t d = 1; d <= 70; ++d) {
    matrix<float> x(3, d);
    std::mt19937_64 random(d);
    for (auto& v : x.data) v = static_cast<float>(uniform(random) + 2);
    const std::vector<float> base(d, 0.5f);
    unsigned seen = 0;
    const auto plain = run(harmonic{}, x, 0, static_cast<const float*>(nullptr), &seen);
    INFO("d=" << d);
    CHECK(seen == 0);
    run(harmonic{}, x, 0, base.data(), &seen);
    CHECK(seen == 0);
    // From the middle on: what lies before stays as it was.
    const std::size_t begin = d / 3;
    const auto part = run(harmonic{}, x, begin);
    std::size_t wrong = 0;
    for (std::size_t j = 0; j < d; ++j) wrong += bits_of(part[j]) != bits_of(j < begin ? 77.0f : plain[j]);
    CHECK(wrong == 0);
  }
}

TEST_CASE("a NaN or Inf in any row, or made by the rule, is told") {
  for (const std::size_t d : {1u, 5u, 16u, 33u})
    for (std::size_t at = 0; at < d; ++at) {
      matrix<double> x(3, d);
      for (auto& v : x.data) v = 2;
      unsigned seen = 0;
      x.at(1, at) = std::bit_cast<double>(at % 2 ? 0x7ff0000000000000u : 0xfff8000000000001u);
      run(harmonic{}, x, 0, static_cast<const double*>(nullptr), &seen);
      CHECK(seen == impl::saw_non_finite);
      x.at(1, at) = 1e-320;
      run(one_operation{op::divide}, x, 0, static_cast<const double*>(nullptr), &seen);
      CHECK(seen == impl::saw_overflow);
    }
}
