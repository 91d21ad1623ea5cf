// SPDX-License-Identifier: MIT
#include "referee.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <Eigen/Eigenvalues>

#include <fedagg/optimizers/sgd.hpp>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/mean.hpp>

namespace secure_hospitals {

using fedagg::errc;

namespace {

/// The mean of what the accepted hospitals answer, weighed by patients: by the library's rule, in doubles.
template <class Answer, class Ask>
void mean_in_the_clear(const std::vector<std::size_t>& accepted, const hospitals::split& data, const Ask& ask,
                       Answer& mean) {
  std::vector<Answer> answers;
  for (const std::size_t h : accepted) answers.push_back(ask(data.train[h]));
  fedagg::cohort clients;
  for (std::size_t k = 0; k < accepted.size(); ++k)
    clients.add(view_of(std::as_const(answers[k])), {.weight = static_cast<double>(data.train[accepted[k]].size()),
                                                     .id = hospitals::sites[accepted[k]].name});
  fedagg::aggregate(fedagg::mean{}, clients, view_of(mean));
}

/// In the worst coordinate.
double distance(const moments& a, const moments& b) {
  return std::max((a.mean - b.mean).cwiseAbs().maxCoeff(), (a.square - b.square).cwiseAbs().maxCoeff());
}
double distance(const update& a, const update& b) {
  return std::max((a.weight - b.weight).cwiseAbs().maxCoeff(), (a.bias - b.bias).cwiseAbs().maxCoeff());
}

/// The sum of packed vectors, packed; nothing if one is no vector of the layout.
bytes sum_of(const std::vector<bytes>& inputs, const std::vector<std::size_t>& accepted,
             const fedagg::ring_layout& layout) {
  fedagg::ring_vector sum;
  if (sum.try_reset(layout) != errc::ok) return {};
  for (const std::size_t h : accepted)
    if (fedagg::try_add_packed(inputs[h], sum) != errc::ok) return {};
  bytes packed(layout.packed_bytes());
  return fedagg::try_pack(sum, packed) == errc::ok ? packed : bytes();
}

/// Whether a step of gradient descent brings any two models nearer, or leaves them as far apart as they are: it does if
/// the learning rate is at most 2 / L, with L the largest second derivative of the loss in any direction. That of the
/// logistic loss is at most |A'A| / 4n, with a column of ones in A for the bias.
bool keeps_the_gap(const hospitals::patients& standardised) {
  Eigen::MatrixXd a(standardised.size(), features + 1);
  a << standardised.measured, Eigen::VectorXd::Ones(standardised.size());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> of(a.transpose() * a, Eigen::EigenvaluesOnly);
  const double steepest = of.eigenvalues().maxCoeff() / (4 * static_cast<double>(standardised.size()));
  return hospitals::learning_rate * (steepest + hospitals::weight_decay) <= 2;
}

/// Of all roundings of a round to float, those of two runs together: each is at most 2^-24 of what is rounded, which is
/// at most twice a coordinate, and there are four in each.
double float_roundings(const hospitals::model& a, const hospitals::model& b) {
  float largest = 1;
  for (const hospitals::model* m : {&a, &b})
    largest = std::max({largest, m->weight.cwiseAbs().maxCoeff(), m->bias.cwiseAbs().maxCoeff()});
  return 0x1p-20 * static_cast<double>(largest);
}

} // namespace

verdict referee::judge(const ended_round& r) {
  verdict v;
  secure_.round = clear_.round = r.next.round;
  const fedagg::ring_layout& layout = codec_of(secure_.asks).layout();
  v.exact = r.sum == sum_of(r.inputs, r.accepted, layout);
  fedagg::ring_vector sum;
  if (!v.exact || sum.try_reset(layout) != errc::ok || fedagg::try_unpack(r.sum, sum) != errc::ok) return v;

  fedagg::ring_totals totals = compare_answers(r, sum, v);
  if (secure_.asks == question::update) train_in_the_clear(r);
  fedagg::optimizer_state optimizer(fedagg::precision::f32);
  v.same_step =
      take_sum(secure_, sum, totals.clients, totals, optimizer) == errc::ok && written(secure_) == written(r.next);
  if (clear_.asks == question::update)
    gap_ += std::sqrt(features + 1.0) * (v.bound + float_roundings(secure_.global, clear_.global));
  // Both standardise in one way.
  clear_.asks = secure_.asks;
  clear_.common = secure_.common;
  compare_decisions(v);
  return v;
}

/// What is in the sum, against what the hospitals say to the same task in the clear.
fedagg::ring_totals referee::compare_answers(const ended_round& r, const fedagg::ring_vector& sum, verdict& v) const {
  const fedagg::ring_codec& codec = codec_of(secure_.asks);
  const auto count = static_cast<std::uint32_t>(r.accepted.size());
  for (const std::size_t h : r.accepted) v.patients += static_cast<std::uint64_t>(data_.train[h].size());
  fedagg::ring_totals totals;
  if (secure_.asks == question::statistics) {
    moments opened, clear;
    totals = codec.decode(sum, count, view_of(opened));
    mean_in_the_clear(r.accepted, data_, moments_of, clear);
    v.deviation = distance(opened, clear);
    v.counts = true;
  } else {
    update opened(features), clear(features);
    totals = codec.decode(sum, count, hospitals::view_of(opened));
    mean_in_the_clear(
        r.accepted, data_, [this](const auto& p) { return local_update(secure_, p); }, clear);
    v.deviation = distance(opened, clear);
    for (const std::size_t h : r.accepted) v.right_at_home += local_right(secure_, data_.train[h]);
    v.counts = totals["right"] == static_cast<double>(v.right_at_home);
  }
  v.counts = v.counts && totals.clients == count && totals.weight == v.patients;
  v.bound = codec.error_bound(totals.weight, count);
  return totals;
}

void referee::train_in_the_clear(const ended_round& r) {
  update mean(features);
  mean_in_the_clear(
      r.accepted, data_, [this](const auto& p) { return local_update(clear_, p); }, mean);
  fedagg::optimizer_state optimizer(fedagg::precision::f32);
  const fedagg::model_view change = hospitals::view_of(std::as_const(mean));
  fedagg::step(fedagg::sgd{}, hospitals::view_of(clear_.global), fedagg::pseudo_gradient::delta(change), optimizer);
}

void referee::compare_decisions(verdict& v) const {
  v.same_decisions = true;
  for (const auto& p : data_.train)
    v.same_decisions = v.same_decisions && keeps_the_gap(hospitals::standardised(p, secure_.common));
  const hospitals::patients test = hospitals::standardised(data_.test, secure_.common);
  v.right = hospitals::right(secure_.global, test);
  v.right_in_the_clear = hospitals::right(clear_.global, test);
  const auto margins = [&test](const hospitals::model& m) -> Eigen::VectorXd {
    return (test.measured * m.weight.cast<double>()).array() + static_cast<double>(m.bias(0));
  };
  const Eigen::VectorXd secure = margins(secure_.global), clear = margins(clear_.global);
  for (Eigen::Index k = 0; k < test.size(); ++k) {
    const double reach = gap_ * std::sqrt(test.measured.row(k).squaredNorm() + 1);
    const bool near = std::abs(clear(k)) <= reach, same = (secure(k) > 0) == (clear(k) > 0);
    v.undecided += near;
    v.same_decisions = v.same_decisions && std::abs(secure(k) - clear(k)) <= reach && (near || same);
  }
}

} // namespace secure_hospitals
