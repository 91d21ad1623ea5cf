// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_RING_CODEC_HPP
#define FEDAGG_SECURE_RING_CODEC_HPP

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <fedagg/client/clipping.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/passes/server_step.hpp>
#include <fedagg/secure/ring_codec/decode.hpp>
#include <fedagg/secure/ring_codec/encode.hpp>
#include <fedagg/secure/ring_codec/plan.hpp>
#include <fedagg/secure/ring_parameters.hpp>
#include <fedagg/secure/ring_vector.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// What encoding did.
struct ring_report {
  double norm = 0;           ///< of the floating tensors, where it is clipped by
  double factor = 1;         ///< what brought the norm within the bound
  std::uint64_t clipped = 0; ///< values beyond the range
  stream_fault fault;        ///< the tensor that was refused
};

/// How a model is encoded.
struct ring_options {
  /// `atomic` looks at every value first: a refused call leaves the output as it was. `direct` looks while it writes,
  /// at one read less where values are clipped by range, and leaves zeros after `non_finite`.
  fedagg::write write = fedagg::write::atomic;
  ring_report* report = nullptr;
};

/// What a sum holds beside the mean.
struct ring_totals {
  std::uint32_t clients = 0;
  std::uint64_t weight = 0;
  std::vector<ring_total> extras;

  const ring_total* find(std::string_view name) const noexcept {
    for (const ring_total& t : extras)
      if (t.name == name) return &t;
    return nullptr;
  }
  /// Throws `bad_parameter` for a name that was not declared.
  double operator[](std::string_view name) const {
    const ring_total* t = find(name);
    return t ? t->value : (impl::raise(errc::bad_parameter, name), 0.0);
  }
};

/// Real models to vectors of integers modulo powers of two, whose sum over the clients is decoded to their weighted
/// mean; with sums of counts and metrics in the same vector. Every client and the server make the same codec:
/// `describe` feeds a hash with all that must agree.
///
/// Segment 0 has 64 bits: the check word 1, whose sum is the number of clients; the weight; the extras. Then a segment
/// for each tensor that is sent: floating ones in the ring of `bits`, integer ones, unless they are kept, in 64 bits.
/// No sum over at most `max_clients` clients can wrap around, which is proved when the codec is made.
class ring_codec {
public:
  /// Does nothing: every call is `bad_parameter`.
  ring_codec() = default;
  /// Throws what `try_make` returns, with the number of bits where there are too few.
  explicit ring_codec(const ring_parameters& how, const model_layout& model = {}) {
    if (const errc rc = try_make(how, model, *this); rc != errc::ok) {
      char text[64] = "";
      if (rc == errc::ring_too_narrow)
        std::snprintf(text, sizeof text, "%u where there are %u", plan_.needed_bits(), plan_.given_bits());
      impl::raise(rc, text);
    }
  }

  /// `bad_parameter`; `ring_too_narrow`, and what `needed_bits()` then says; `unsupported_element` for a tensor that is
  /// neither floating nor integer and not kept; the layout's own status; `out_of_memory`. The codec does nothing then.
  [[nodiscard]] static errc try_make(const ring_parameters& how, const model_layout& model,
                                     ring_codec& codec) noexcept {
    return codec.plan_.make(how, model);
  }

  errc status() const noexcept { return plan_.status(); }
  /// Of the ring that was too narrow, or of the floating tensors' ring.
  unsigned needed_bits() const noexcept { return plan_.needed_bits(); }
  /// The segments of what is encoded.
  const ring_layout& layout() const noexcept { return plan_.ring(); }
  const model_layout& model() const noexcept { return plan_.model(); }
  /// The parameters, with the scale and the largest integer that were chosen, without the extras.
  const ring_parameters& parameters() const noexcept { return plan_.how(); }
  double scale() const noexcept { return plan_.how().scale; }
  /// The declared extras; names are borrowed from the codec.
  std::size_t extras() const noexcept { return plan_.extras(); }
  ring_extra extra(std::size_t k) const noexcept { return plan_.extra(k); }

  /// Writes what a client sends: w clip(x) scale rounded at random to one of its two neighbours, so that the
  /// expectation is right, for every floating value x; w x for integers; value scale, rounded in the same way, for
  /// extras, all of which are given, once each, in any order. The update has the codec's tensors; floating types may be
  /// others. `out` keeps its memory if it has the layout already.
  ///
  /// Weights are whole numbers, samples or 1, so that their sum is exact.
  /// One random word for each extra, then one for each floating value, in order. Refused before anything is written:
  /// `invalid_weight` (negative), `value_range` (a weight, an integer or an extra beyond its bound), `client_layout`,
  /// a view's own status, `non_finite` (see `ring_options`), `client_range` (a norm beyond the range of double),
  /// `out_of_memory`. `no_randomness` leaves zeros.
  template <std::integral Weight, class R>
  requires random_words<std::remove_reference_t<R>>
  [[nodiscard]] errc try_encode(const model_view& update, Weight weight, std::span<const ring_value> extras, R&& random,
                                ring_vector& out, const ring_options& how = {}) const noexcept {
    if constexpr (std::is_signed_v<Weight>)
      if (weight < 0) return status() != errc::ok ? status() : errc::invalid_weight;
    return impl::no_throw([&] {
      ring_report done;
      const bool direct = how.write == write::direct;
      const errc rc = encode_now(update, static_cast<std::uint64_t>(weight), extras, direct, random, out, done);
      if (how.report) *how.report = done;
      return rc;
    });
  }
  template <std::integral Weight, class R>
  [[nodiscard]] errc try_encode(const model_view& update, Weight weight, std::initializer_list<ring_value> extras,
                                R&& random, ring_vector& out, const ring_options& how = {}) const noexcept {
    return try_encode(update, weight, std::span<const ring_value>(extras.begin(), extras.size()), random, out, how);
  }

  /// The same; throws fedagg::error, whose text names the tensor.
  template <std::integral Weight, class R>
  ring_vector encode(const model_view& update, Weight weight, std::span<const ring_value> extras, R&& random,
                     const ring_options& how = {}) const {
    ring_vector out;
    ring_report report;
    ring_options own = how;
    own.report = &report;
    own.write = write::direct; // nobody sees `out` where it fails
    const errc rc = try_encode(update, weight, extras, random, out, own);
    if (how.report) *how.report = report;
    if (rc != errc::ok) impl::raise(rc, report.fault.name);
    return out;
  }
  template <std::integral Weight, class R>
  ring_vector encode(const model_view& update, Weight weight, std::initializer_list<ring_value> extras, R&& random,
                     const ring_options& how = {}) const {
    return encode(update, weight, std::span<const ring_value>(extras.begin(), extras.size()), random, how);
  }

  /// The weighted mean of what `clients` clients encoded, from the sum of their vectors, into tensors like the codec's
  /// (floating types may be others; each mean is rounded once); tensors that are kept are not touched. And the sums of
  /// the extras. Refused before anything is written: `bad_parameter` unless 1 <= clients <= max_clients;
  /// `layout_mismatch`, `overlapping_output`, a view's own status; `bad_sum` if the check word is not the number of
  /// clients, the weight not in 1 .. clients max_weight, or a value not one that such clients can have sent; `overflow`
  /// if a mean does not fit its type.
  [[nodiscard]] errc try_decode(const ring_vector& sum, std::uint32_t clients, const mutable_model_view& mean,
                                ring_totals& totals) const noexcept {
    return impl::no_throw([&] { return decode_now(sum, clients, mean, totals); });
  }
  /// The same; throws.
  ring_totals decode(const ring_vector& sum, std::uint32_t clients, const mutable_model_view& mean = {}) const {
    ring_totals totals;
    if (const errc rc = try_decode(sum, clients, mean, totals); rc != errc::ok) impl::raise(rc);
    return totals;
  }

  /// How far a decoded mean is, at most, from the mean of what was clipped, before it is rounded to its type: each of m
  /// clients' rounding is off by less than 1, and doubles by 2^-49 C: m / (scale W) + 2^-49 (C + m / (scale W)).
  double error_bound(std::uint64_t weight, std::uint32_t clients) const noexcept {
    const impl::fp_guard guard;
    const double rounding = rounding_bound(weight, clients);
    return detail::plus(rounding, detail::times(0x1p-49, detail::plus(rounding, plan_.how().clip)));
  }
  /// Its standard deviation at most: sqrt(m) / (2 scale W).
  double standard_error(std::uint64_t weight, std::uint32_t clients) const noexcept {
    const impl::fp_guard guard;
    return detail::quotient(rounding_bound(weight, clients), detail::times(2, detail::square_root(clients)));
  }

  /// The decoded mean as the optimizer's aggregate: a delta for updates, a model for models. The view is borrowed.
  pseudo_gradient gradient(const model_view& mean) const noexcept {
    return plan_.how().content == ring_content::models ? pseudo_gradient::model(mean) : pseudo_gradient::delta(mean);
  }
  pseudo_gradient gradient(const model_view&& mean) const = delete;

  /// Calls `sink.update(bytes)` with all parameters, names and shapes, in one form only: what parties that share a
  /// codec hash. A crypto suite's hasher is such a sink.
  template <class Sink>
  void describe(Sink& sink) const {
    plan_.describe(sink);
  }

private:
  double rounding_bound(std::uint64_t weight, std::uint32_t clients) const noexcept {
    return detail::quotient(static_cast<double>(clients), detail::times(scale(), static_cast<double>(weight)));
  }

  template <class R>
  errc encode_now(const model_view& update, std::uint64_t weight, std::span<const ring_value> extras, bool direct,
                  R& random, ring_vector& out, ring_report& report) const {
    if (status() != errc::ok) return status();
    if (weight > plan_.how().max_weight) return errc::value_range;
    const impl::fp_guard guard;
    const bool by_norm = plan_.how().clip_by == ring_clip::norm;
    std::vector<double> values(plan_.extras());
    if (const errc rc = plan_.admit(extras, values); rc != errc::ok) return rc;
    if (const errc rc = plan_.admit(update, !direct && !by_norm, report.fault); rc != errc::ok) return rc;
    if (by_norm)
      if (const errc rc = measure(update, report); rc != errc::ok) return rc;
    const impl::ring_scaling scaling = plan_.scaling(weight, report.factor);
    if (weight != 0 && !(scaling.factor > 0x1p-900)) return errc::client_range;
    if (!(out.layout() == layout()))
      if (const errc rc = out.try_reset(layout()); rc != errc::ok) return rc;

    const auto head = out.words<std::uint64_t>(0);
    head[0] = 1;
    head[1] = weight;
    errc rc = errc::ok;
    for (std::size_t k = 0; k < values.size() && rc == errc::ok; ++k) {
      const any_tensor value(dtype::f64, &values[k], {});
      std::uint64_t none = 0;
      rc = impl::encode_floating(value, plan_.extra_scaling(k), false, random, &head[2 + k], none);
    }
    for (std::size_t k = 0; k < update.size() && rc == errc::ok; ++k) {
      if (!plan_.sent(k)) continue;
      const any_tensor& t = update.entries()[k].tensor;
      rc = out.visit(plan_.segment(k), [&](auto words) {
        if (is_floating(t.type()))
          return impl::encode_floating(t, scaling, direct && !by_norm, random, words.data(), report.clipped);
        impl::for_each_integer(t, [&](std::uint64_t, std::uint64_t word, std::size_t i) {
          words[i] = static_cast<typename decltype(words)::value_type>(weight * word);
          return true;
        });
        return errc::ok;
      });
      if (rc == errc::non_finite) report.fault = {k, update.entries()[k].name};
    }
    if (rc != errc::ok) out.clear();
    return rc;
  }

  errc measure(const model_view& update, ring_report& report) const {
    impl::measured_norm norm;
    stream_options how;
    how.fault = &report.fault;
    if (const errc rc = impl::measure_norm(update, how, norm); rc != errc::ok) return rc;
    report.norm = norm.value();
    if (!(report.norm > plan_.how().clip)) return errc::ok;
    // So much lower that no rounding lifts the norm above the bound.
    const double margin = detail::plus(detail::times(2, norm.error), detail::times(16, 0x1p-53));
    report.factor = detail::times(detail::quotient(plan_.how().clip, report.norm), detail::plus(1, -margin));
    return errc::ok;
  }

  errc decode_now(const ring_vector& sum, std::uint32_t clients, const mutable_model_view& mean,
                  ring_totals& totals) const {
    if (status() != errc::ok) return status();
    if (clients == 0 || clients > plan_.how().max_clients) return errc::bad_parameter;
    if (!(sum.layout() == layout())) return errc::layout_mismatch;
    if (const errc rc = plan_.admit(mean); rc != errc::ok) return rc;
    const impl::fp_guard guard;
    const auto head = sum.words<std::uint64_t>(0);
    const std::uint64_t weight = head[1];
    if (head[0] != clients || weight == 0 || weight > plan_.how().max_weight * clients) return errc::bad_sum;
    ring_totals found{clients, weight, {}};
    found.extras.reserve(plan_.extras());
    for (std::size_t k = 0; k < plan_.extras(); ++k) {
      const auto steps = static_cast<std::int64_t>(head[2 + k]);
      const std::int64_t most = plan_.most_steps(k) * static_cast<std::int64_t>(clients);
      if (steps > most || steps < -most) return errc::bad_sum;
      const ring_extra extra = plan_.extra(k);
      found.extras.push_back({extra.name, detail::quotient(static_cast<double>(steps), extra.scale), steps});
    }
    const double divisor = detail::times(scale(), static_cast<double>(weight));
    for (const bool store : {false, true})
      for (std::size_t k = 0; k < mean.size(); ++k) {
        if (!plan_.sent(k)) continue;
        const any_mutable_tensor& t = mean.entries()[k].tensor;
        const errc rc = sum.visit(plan_.segment(k), [&](auto words) {
          return store ? write(words.data(), divisor, weight, t) : look(words, divisor, weight, clients, t);
        });
        if (rc != errc::ok) return rc;
      }
    totals = static_cast<ring_totals&&>(found);
    return errc::ok;
  }

  template <class Word>
  errc look(std::span<const Word> words, double divisor, std::uint64_t weight, std::uint32_t clients,
            const any_mutable_tensor& to) const noexcept {
    const bool real = is_floating(to.type());
    const auto [least, greatest] = impl::extremes_of(words.data(), real ? plan_.how().bits : 64, words.size());
    const std::int64_t most =
        real ? plan_.most_residue(weight, clients) : static_cast<std::int64_t>(weight * plan_.how().max_integer);
    if (least < -most || greatest > most) return errc::bad_sum;
    for (const std::int64_t x : {least, greatest})
      if (real ? !impl::fits_floating(to.type(), x, divisor)
               : !impl::fits_integer(to.type(), impl::integer_mean(x, weight)))
        return errc::overflow;
    return errc::ok;
  }
  template <class Word>
  errc write(const Word* words, double divisor, std::uint64_t weight, const any_mutable_tensor& to) const noexcept {
    if (is_floating(to.type()))
      impl::decode_floating(words, plan_.how().bits, divisor, to);
    else if constexpr (sizeof(Word) == 8)
      impl::decode_integers(words, weight, to);
    return errc::ok;
  }

  impl::ring_plan plan_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_RING_CODEC_HPP
