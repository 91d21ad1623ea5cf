// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_WORK_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_WORK_HPP

#include <cstdint>

#include <fedagg/secure/ring_codec.hpp>

#include "agreement.hpp"
#include "logistic.hpp"

namespace secure_hospitals {

/// What the hospitals are asked in a round: first how their measurements are spread, so that all can standardise them
/// in one way; then how they would change the model.
enum class question : std::uint8_t { statistics, update };

/// Measurements of a patient.
inline constexpr Eigen::Index features = 30;

/// What the server sends around at the beginning of a round.
struct task {
  std::uint64_t round = 0;
  question asks = question::statistics;
  hospitals::scale common{Eigen::VectorXf::Zero(features), Eigen::VectorXf::Zero(features)}; ///< zero until it is known
  hospitals::model global{features};
};

/// Means of the measurements, and of their squares.
struct moments {
  Eigen::VectorXd mean{features}, square{features};
};
moments moments_of(const hospitals::patients& p);
fedagg::model_view view_of(const moments& m);
fedagg::mutable_model_view view_of(moments& m);

using update = hospitals::linear<double>;

/// How a hospital that starts from the global model would change it.
update local_update(const task& t, const hospitals::patients& own);
/// How many of its patients the global model sorts rightly.
std::uint64_t local_right(const task& t, const hospitals::patients& own);

/// How the answers to a question become ring vectors. The hospitals' numbers of patients are the weights.
const fedagg::ring_codec& codec_of(question asks);

/// A hospital's answer, encoded: what it masks. What `ring_codec::try_encode` returns.
fedagg::errc answer(const task& t, const hospitals::patients& own, fedagg::ring_vector& out);

/// The task after this one, from the sum of the answers of so many hospitals. What `ring_codec::try_decode` and
/// `try_step` return.
fedagg::errc take_sum(task& t, const fedagg::ring_vector& sum, std::uint32_t answers, fedagg::ring_totals& totals,
                      fedagg::optimizer_state& state);

/// A task as bytes, and back: false for bytes that are none.
bytes written(const task& t);
bool read(fedagg::bytes_view in, task& t);

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_WORK_HPP
