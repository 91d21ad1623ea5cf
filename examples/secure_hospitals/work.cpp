// SPDX-License-Identifier: MIT
#include "work.hpp"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include <fedagg/optimizers/sgd.hpp>
#include <fedagg/secure/chacha20.hpp>

#include "patients.hpp"

namespace secure_hospitals {
namespace {

/// No hospital has more patients to train on.
constexpr std::uint64_t most_patients = 200;

fedagg::ring_codec make_codec(question asks) {
  fedagg::ring_parameters how;
  how.max_clients = static_cast<std::uint32_t>(hospitals::sites.size());
  how.max_weight = most_patients;
  if (asks == question::statistics) {
    // From areas squared to symmetry errors squared: seventeen decades.
    how.bits = 64;
    how.clip = 4e7;
    how.content = fedagg::ring_content::models;
    const moments shape;
    return fedagg::ring_codec(how, view_of(shape));
  }
  how.clip = 4;
  how.extras = {{"right", static_cast<double>(most_patients)}};
  const update shape(features);
  return fedagg::ring_codec(how, hospitals::view_of(shape));
}

} // namespace

moments moments_of(const hospitals::patients& p) {
  moments m;
  m.mean = p.measured.colwise().mean().transpose();
  m.square = p.measured.array().square().colwise().mean().transpose();
  return m;
}
fedagg::model_view view_of(const moments& m) {
  return fedagg::model_view().add("mean", m.mean).add("square", m.square);
}
fedagg::mutable_model_view view_of(moments& m) {
  return fedagg::mutable_model_view().add("mean", m.mean).add("square", m.square);
}

update local_update(const task& t, const hospitals::patients& own) {
  hospitals::model local = t.global;
  hospitals::train(local, hospitals::standardised(own, t.common), hospitals::local_steps);
  update change(local);
  change.weight -= t.global.weight.cast<double>();
  change.bias -= t.global.bias.cast<double>();
  return change;
}

std::uint64_t local_right(const task& t, const hospitals::patients& own) {
  return static_cast<std::uint64_t>(hospitals::right(t.global, hospitals::standardised(own, t.common)));
}

const fedagg::ring_codec& codec_of(question asks) {
  static const fedagg::ring_codec codecs[] = {make_codec(question::statistics), make_codec(question::update)};
  return codecs[static_cast<std::size_t>(asks)];
}

fedagg::errc answer(const task& t, const hospitals::patients& own, fedagg::ring_vector& out) {
  // Which way a value is rounded must not be known to the server: a fresh key each time.
  fedagg::secret_key seed;
  if (!suite().random(seed.bytes())) return fedagg::errc::no_randomness;
  fedagg::chacha20_stream random(seed, fedagg::stream_purpose::rounding);
  const fedagg::ring_codec& codec = codec_of(t.asks);
  if (t.asks == question::statistics) {
    const moments m = moments_of(own);
    return codec.try_encode(view_of(m), own.size(), std::span<const fedagg::ring_value>(), random, out);
  }
  const update change = local_update(t, own);
  return codec.try_encode(hospitals::view_of(change), own.size(), {{"right", local_right(t, own)}}, random, out);
}

fedagg::errc take_sum(task& t, const fedagg::ring_vector& sum, std::uint32_t answers, fedagg::ring_totals& totals,
                      fedagg::optimizer_state& state) {
  const fedagg::ring_codec& codec = codec_of(t.asks);
  if (t.asks == question::statistics) {
    moments all;
    if (const auto rc = codec.try_decode(sum, answers, view_of(all), totals); rc != fedagg::errc::ok) return rc;
    t.common.mean = all.mean.cast<float>();
    t.common.deviation = (all.square - all.mean.cwiseAbs2()).cwiseSqrt().cast<float>();
    t.asks = question::update;
    return fedagg::errc::ok;
  }
  update mean(features);
  if (const auto rc = codec.try_decode(sum, answers, hospitals::view_of(mean), totals); rc != fedagg::errc::ok)
    return rc;
  // FedAvg; any other server optimizer steps in the same way.
  const fedagg::model_view change = hospitals::view_of(std::as_const(mean));
  return fedagg::try_step(fedagg::sgd{}, hospitals::view_of(t.global), codec.gradient(change), state);
}

bytes written(const task& t) {
  bytes out;
  fedagg::wire_writer w(out);
  w.u64(t.round).u8(static_cast<std::uint8_t>(t.asks));
  for (const Eigen::VectorXf* v : {&t.common.mean, &t.common.deviation, &t.global.weight, &t.global.bias})
    for (const float x : *v) w.u32(std::bit_cast<std::uint32_t>(x));
  return out;
}

bool read(fedagg::bytes_view in, task& t) {
  fedagg::wire_reader r(in);
  t.round = r.u64();
  const std::uint8_t asks = r.u8();
  if (asks > static_cast<std::uint8_t>(question::update)) return false;
  t.asks = static_cast<question>(asks);
  for (Eigen::VectorXf* v : {&t.common.mean, &t.common.deviation, &t.global.weight, &t.global.bias})
    for (float& x : *v) x = std::bit_cast<float>(r.u32());
  return r.done();
}

} // namespace secure_hospitals
