// SPDX-License-Identifier: MIT
#ifndef FEDAGG_RULES_SIGN_MAJORITY_HPP
#define FEDAGG_RULES_SIGN_MAJORITY_HPP

#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The sign that most updates have, coordinate by coordinate: signSGD with majority vote (Bernstein et al. 2018,
/// arXiv:1810.05291). scale sign(sum_i sign x_i), with sign 0 = 0; a tie gives 0. Needs an origin: signs of raw models
/// say nothing. A client has one vote per coordinate, whatever it sends: where the honest clients' signs sum to more
/// than the number of hostile ones, their sign stands. Ignores weights. O(n d) reads, one pass.
struct sign_majority {
  double scale = 1; ///< the length of a coordinate's step

  static constexpr const char* name = "sign_majority";
  static constexpr bool needs_origin = true;
  static constexpr auto fields() {
    // What a float holds without becoming 0 or Inf.
    return field_list{
        field{"scale", &sign_majority::scale, 1.17549435e-38, 3.40282346e38, "length of a coordinate's step"}};
  }

  template <class Column, class Lanes>
  void operator()(Column x, Lanes& out) const {
    using T = typename Lanes::value_type;
    const Lanes none = T(0), one = T(1), step = static_cast<T>(scale);
    Lanes votes = none;
    for (const Lanes& v : x) votes += where_less(none, v, one, where_less(v, none, -one, none));
    out = where_less(none, votes, step, where_less(votes, none, -step, none));
  }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_RULES_SIGN_MAJORITY_HPP
