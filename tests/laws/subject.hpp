// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_LAWS_SUBJECT_HPP
#define FEDAGG_TESTS_LAWS_SUBJECT_HPP

#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "support/numeric.hpp"

/// Rules and chains without their types, so that a law is compiled once per element type and not once per rule.
namespace laws {

/// What holds for a rule whatever its parameters.
struct nature {
  const char* name;
  bool linear = false;
  bool geometric = false;     ///< a sum of the clients' rows, or a selection of them, by their geometry
  bool selecting = false;     ///< Bulyan: selected rows, then columns
  bool selects = false;       ///< the mean of some of the clients, of equals the first
  bool on_history = false;    ///< clients that are alike count less, by what they have sent so far
  bool spectral = false;      ///< looks along the direction in which the clients differ most
  bool searches = false;      ///< for the narrowest subset of the clients
  bool iterates = false;      ///< comes as near to its result as it can
  bool scales = false;        ///< a factor of all clients scales the result
  bool sums_in_order = false; ///< of the clients, so that another order may round in another way
  bool doubles = false;       ///< the clients twice give the same result, with twice the budget
  bool boxed = false;         ///< the result lies between the clients, the origin and the trusted row
  bool moves_alone = false;   ///< a shift of the clients alone shifts the result: nothing is measured from an origin
  bool updates = false;       ///< rows are updates where there is no base
  bool wants_root = false;    ///< needs a row of the server's own
  bool root_counts = false;   ///< and it counts as a client
  bool has_f = false;
};

class subject;
using subjects = std::vector<std::shared_ptr<const subject>>;

/// A rule with its parameters.
class subject {
public:
  explicit subject(const nature& n) noexcept : is(n) {}
  virtual ~subject() = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;

  const nature& is;

  virtual fedagg::errc aggregate(const fedagg::cohort& clients, const fedagg::mutable_model_view& out,
                                 fedagg::workspace& space, const fedagg::options& how) const noexcept = 0;
  /// How many hostile clients of n cannot move the result beyond the honest ones, however large they are.
  virtual std::size_t budget(std::size_t n) const = 0;
  /// The budget is a share of the clients, and not a number.
  virtual bool by_fraction() const = 0;
  /// Every coordinate of every client is looked at: a client that a sample of them drops is not read any further.
  virtual bool reads_all() const = 0;
  /// The order of the clients does not matter even where Bulyan's rounds of one neighbour each tie.
  virtual bool permutes() const = 0;
  /// The negated clients give the negated result: not where the lower of two values is preferred.
  virtual bool has_no_lower_side() const = 0;
  /// The same rule for a cohort in which each of n clients stands twice.
  virtual std::shared_ptr<const subject> doubled(std::size_t n) const = 0;
  /// The same rule for clients of `factor` times the size.
  virtual std::shared_ptr<const subject> scaled(double factor) const = 0;
  /// The same rule with bounds that no client reaches.
  virtual std::shared_ptr<const subject> boundless() const = 0;
  /// The same rule for f hostile clients, whatever f is.
  virtual std::shared_ptr<const subject> with_f(std::int64_t f) const = 0;
};

/// A rule with parameters that are legal for n clients.
struct family {
  const nature* is;
  subjects (*instances)(std::size_t n);
  subjects (*trusting)(std::size_t n); ///< with trusted weights, where the rule has such a form
  std::shared_ptr<const subject> plain; ///< with as few parameters as it may have
};

/// Every rule of `rule_list` and, where Eigen is there, of `spectral_rule_list`.
const std::vector<family>& families();

/// Chains that are legal for five clients or more.
const subjects& chains();

/// What a rule may be given besides the clients: the model they started from, and a row of the server's own.
template <class T>
struct setting {
  std::vector<T> base, trusted;
};

/// A fixed row for rules that need a trusted one.
template <class T>
std::vector<T> some_root(std::size_t d) {
  return numeric::sample<T>(numeric::kind::normal, 1, d, 99).data;
}

/// What the clients send now, as their history, for rules that ask for one.
inline void remember(const nature& is, fedagg::cohort& clients, fedagg::cohort& sums) {
  if (!is.on_history) return;
  sums = clients;
  sums.updates();
  clients.history(sums);
}

/// The aggregate, or an empty vector where the round was refused. Rows are updates where the rule needs an origin and
/// there is no base.
template <class T>
std::vector<T> result(const subject& rule, const numeric::matrix<T>& x, std::span<const double> weights = {},
                      const fedagg::options& how = {}, fedagg::errc* code = nullptr, const setting<T>& more = {}) {
  fedagg::cohort clients, sums;
  for (std::size_t i = 0; i < x.n; ++i) clients.add(x.row(i));
  remember(rule.is, clients, sums);
  if (!more.base.empty()) clients.base(more.base);
  else if (rule.is.updates) clients.updates();
  if (!weights.empty()) clients.weights(weights);
  const std::vector<T> root = more.trusted.empty() ? some_root<T>(x.d) : more.trusted;
  if (rule.is.wants_root || !more.trusted.empty()) clients.trusted(root);
  std::vector<T> out(x.d);
  fedagg::workspace space;
  const fedagg::errc rc = [&] {
    const numeric::mode callers(numeric::worst);
    return rule.aggregate(clients, out, space, how);
  }();
  if (code) *code = rc;
  if (rc != fedagg::errc::ok) out.clear();
  return out;
}

/// A bound of a coordinate's error before its rounding to the element type: twice a rounding of every client's part.
inline numeric::quad slack(const std::vector<double>& column) {
  double most = 0;
  for (const double x : column) most = std::max(most, x < 0 ? -x : x);
  return numeric::quad(2 * column.size()) * numeric::unit * numeric::quad(most);
}

/// The largest distance that two results of the same exact value can have. Iterations stop close to it.
template <class T>
bool close(const nature& is, T a, T b, const std::vector<double>& column) {
  using namespace numeric;
  const quad error = is.iterates ? quad(0x1p20) * slack(column) : slack(column);
  const quad size = magnitude(value(a)) > magnitude(value(b)) ? magnitude(value(a)) : magnitude(value(b));
  return magnitude(quad(value(a)) - quad(value(b))) <= 2 * (half_ulp<T>(size + error) + error);
}

/// How many coordinates of two results are not close.
template <class T>
std::size_t apart(const nature& is, const std::vector<T>& a, const std::vector<T>& b, const numeric::matrix<T>& x) {
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < x.d; ++j) wrong += !close(is, a[j], b[j], x.column(j));
  return wrong;
}

inline constexpr std::size_t sizes[] = {1, 2, 3, 4, 7, 8, 20, 33, 64, 65};

} // namespace laws

/// A law of every rule and element type.
#define FEDAGG_LAW(sentence, law)                                                                                      \
  TEST_CASE(sentence) {                                                                                                \
    for (const family& rule : families())                                                                              \
      DYNAMIC_SECTION(rule.is->name) {                                                                                 \
        law<float>(rule);                                                                                              \
        law<double>(rule);                                                                                             \
        law<fedagg::float16>(rule);                                                                                    \
        law<fedagg::bfloat16>(rule);                                                                                   \
      }                                                                                                                \
  }

#endif // FEDAGG_TESTS_LAWS_SUBJECT_HPP
