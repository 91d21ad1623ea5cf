// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_RING_CODEC_PLAN_HPP
#define FEDAGG_SECURE_RING_CODEC_PLAN_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/core/selection.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/streams.hpp>
#include <fedagg/secure/ring_codec/encode.hpp>
#include <fedagg/secure/ring_parameters.hpp>
#include <fedagg/secure/ring_vector.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// A codec's parameters once they are proved: what is sent where, and how large it may be.
class ring_plan {
public:
  errc status() const noexcept { return status_; }
  unsigned needed_bits() const noexcept { return needed_; }
  unsigned given_bits() const noexcept { return given_; }
  const ring_parameters& how() const noexcept { return how_; }
  const model_layout& model() const noexcept { return model_; }
  const ring_layout& ring() const noexcept { return ring_; }

  errc make(const ring_parameters& how, const model_layout& model) noexcept {
    *this = {};
    const errc rc = no_throw([&] { return fill(how, model); });
    if (rc == errc::ok) return status_ = rc;
    const unsigned needed = needed_, given = given_;
    *this = {};
    needed_ = needed;
    given_ = given;
    return rc;
  }

  std::size_t extras() const noexcept { return extras_.size(); }
  ring_extra extra(std::size_t k) const noexcept {
    const std::size_t first = k == 0 ? 0 : extras_[k - 1].name_end;
    return {{names_.data() + first, extras_[k].name_end - first}, extras_[k].largest, extras_[k].scale};
  }
  ring_scaling extra_scaling(std::size_t k) const noexcept {
    return {extras_[k].scale * 0x1p+32, extras_[k].limit * 0x1p+32};
  }
  /// What a client's extra is at most.
  std::int64_t most_steps(std::size_t k) const noexcept {
    const auto whole = static_cast<std::int64_t>(extras_[k].limit);
    return whole + (static_cast<double>(whole) < extras_[k].limit ? 1 : 0);
  }

  bool sent(std::size_t k) const noexcept { return segments_[k] != 0; }
  std::size_t segment(std::size_t k) const noexcept { return segments_[k]; }

  ring_scaling scaling(std::uint64_t weight, double factor) const noexcept {
    const double times = detail::times(static_cast<double>(weight), how_.scale);
    const double limit = detail::times(times, how_.clip);
    return {detail::times(detail::times(times, factor), 0x1p+32), (limit < largest_ ? limit : largest_) * 0x1p+32};
  }
  /// What the sum of m clients of weight W is at most.
  std::int64_t most_residue(std::uint64_t weight, std::uint32_t clients) const noexcept {
    const double values = detail::times(detail::times(static_cast<double>(weight), how_.scale), how_.clip);
    const double most = detail::plus(detail::times(values, 1 + 0x1p-49), static_cast<double>(clients));
    const std::int64_t all = room(how_.bits) / how_.max_clients * clients;
    return most < 0x1p+62 && static_cast<std::int64_t>(most) < all ? static_cast<std::int64_t>(most) : all;
  }

  /// Puts the extras' values into the order in which they were declared.
  errc admit(std::span<const ring_value> given, std::span<double> values) const {
    if (given.size() != extras_.size()) return errc::client_layout;
    std::vector<bool> seen(given.size());
    for (const ring_value& v : given) {
      std::size_t k = 0;
      while (k < extras_.size() && extra(k).name != v.name) ++k;
      if (k == extras_.size() || seen[k]) return errc::client_layout;
      if (!is_finite(v.value)) return errc::non_finite;
      if (v.value > extras_[k].largest || v.value < -extras_[k].largest) return errc::value_range;
      seen[k] = true;
      values[k] = v.value;
    }
    return errc::ok;
  }

  /// With `look`, that floating values are finite too.
  errc admit(const model_view& update, bool look, stream_fault& fault) const noexcept {
    if (update.size() != model_.size()) return errc::client_layout;
    for (std::size_t k = 0; k < update.size(); ++k) {
      const auto& e = update.entries()[k];
      fault = {k, e.name};
      if (e.tensor.status() != errc::ok) return e.tensor.status();
      if (!like(k, e.name, e.tensor)) return errc::client_layout;
    }
    for (std::size_t k = 0; k < update.size(); ++k) {
      const any_tensor& t = update.entries()[k].tensor;
      fault = {k, update.entries()[k].name};
      if (!sent(k)) continue;
      if (is_floating(t.type())) {
        if (look && has_non_finite(t)) return errc::non_finite;
      } else if (!for_each_integer(t, [&](std::uint64_t magnitude, std::uint64_t, std::size_t) {
                   return magnitude <= how_.max_integer;
                 })) {
        return errc::value_range;
      }
    }
    fault = {};
    return errc::ok;
  }

  /// An output.
  errc admit(const mutable_model_view& mean) const {
    if (mean.size() != model_.size()) return errc::layout_mismatch;
    detail::list<byte_range> ranges;
    for (std::size_t k = 0; k < mean.size(); ++k) {
      const auto& e = mean.entries()[k];
      if (e.tensor.status() != errc::ok) return e.tensor.status();
      if (!like(k, e.name, any_tensor(e.tensor))) return errc::layout_mismatch;
      if (!sent(k) || e.tensor.size() == 0) continue;
      if (self_overlapping(e.tensor)) return errc::overlapping_output;
      ranges.push_back(range_of(e.tensor));
    }
    sort_ranges(ranges);
    for (std::size_t i = 1; i < ranges.size(); ++i)
      if (ranges[i].first < ranges[i - 1].last) return errc::overlapping_output;
    return errc::ok;
  }

  template <class Sink>
  void describe(Sink& sink) const {
    const auto number = [&sink](std::uint64_t x) {
      std::uint8_t bytes[8];
      std::memcpy(bytes, &x, 8);
      sink.update(bytes_view(bytes, 8));
    };
    const auto real = [&](double x) { number(std::bit_cast<std::uint64_t>(x)); };
    const auto text = [&](std::string_view s) {
      number(s.size());
      sink.update(bytes_view(reinterpret_cast<const std::uint8_t*>(s.data()), s.size()));
    };
    text("fedagg ring codec 1");
    number(how_.max_clients);
    number(how_.max_weight);
    number(how_.bits);
    real(how_.clip);
    number(static_cast<std::uint64_t>(how_.clip_by));
    real(how_.scale);
    number(how_.max_integer);
    number(static_cast<std::uint64_t>(how_.content));
    number(extras());
    for (std::size_t k = 0; k < extras(); ++k) {
      text(extra(k).name);
      real(extra(k).largest);
      real(extra(k).scale);
    }
    number(model_.size());
    for (std::size_t k = 0; k < model_.size(); ++k) {
      text(model_.name(k));
      text(name_of(model_.type(k)));
      number(model_.policy(k) == integers::keep && !is_floating(model_.type(k)));
      number(model_.shape(k).size());
      for (const std::size_t extent : model_.shape(k)) number(extent);
      number(model_.elements(k));
    }
  }

private:
  struct extra_terms {
    std::size_t name_end;
    double largest, scale, limit;
  };

  static constexpr std::int64_t room(unsigned bits) noexcept { return INT64_MAX >> (64 - bits); }

  /// The largest double that is not above, for numbers below 2^63.
  static double round_down(std::int64_t x) noexcept {
    const auto nearest = static_cast<double>(x);
    const bool above = nearest >= 0x1p+63 || static_cast<std::int64_t>(nearest) > x;
    return above ? std::bit_cast<double>(std::bit_cast<std::uint64_t>(nearest) - 1) : nearest;
  }

  bool like(std::size_t k, std::string_view name, const any_tensor& t) const noexcept {
    const auto shape = model_.shape(k);
    if (name != model_.name(k) || t.size() != model_.elements(k) || t.rank() != shape.size()) return false;
    if (t.type() != model_.type(k) && !(is_floating(t.type()) && is_floating(model_.type(k)))) return false;
    for (std::size_t i = 0; i < shape.size(); ++i)
      if (t.shape()[i] != shape[i]) return false;
    return true;
  }

  /// Notes how many bits there would have to be.
  errc prove(unsigned needed, unsigned given) noexcept {
    needed_ = needed;
    given_ = given;
    return needed > given ? errc::ring_too_narrow : errc::ok;
  }

  errc fill(const ring_parameters& how, const model_layout& model) {
    if (how.status() != errc::ok) return how.status();
    if (model.status() != errc::ok) return model.status();
    const fp_guard guard;
    how_ = how;
    how_.extras.clear();
    model_ = model;
    bool floating = false, integer = false;
    for (std::size_t k = 0; k < model.size(); ++k) {
      if (is_floating(model.type(k)))
        floating = true;
      else if (model.policy(k) == integers::keep)
        continue;
      else if (!is_integer(model.type(k)))
        return errc::unsupported_element;
      else
        integer = true;
    }
    if (const errc rc = prove(how.needed_integer_bits(), 64); rc != errc::ok) return rc;
    if (how_.max_integer == 0 || !integer) how_.max_integer = integer ? how.safe_integer() : 0;
    if (integer)
      if (const errc rc = prove(how.needed_integer_bits(how_.max_integer), 64); rc != errc::ok) return rc;
    const std::int64_t each = INT64_MAX / how.max_clients;
    for (const ring_extra& e : how.extras) {
      if (const errc rc = prove(how.needed_bits(e), 64); rc != errc::ok) return rc;
      names_.insert(names_.end(), e.name.begin(), e.name.end());
      const double limit = detail::times(e.largest, e.scale), most = round_down(each);
      extras_.push_back({names_.size(), e.largest, e.scale, limit < most ? limit : most});
    }
    if (!floating)
      how_.scale = 1;
    else if (const errc rc = prove(how.needed_bits(), how.bits); rc != errc::ok)
      return rc;
    else if (!(how.scale > 0))
      how_.scale = how.safe_scale();
    largest_ = round_down(room(how.bits) / how.max_clients);

    if (const errc rc = ring_.try_add(64, 2 + extras_.size()); rc != errc::ok) return rc;
    for (std::size_t k = 0; k < model.size(); ++k) {
      const bool real = is_floating(model.type(k)), kept = !real && model.policy(k) == integers::keep;
      segments_.push_back(kept ? 0 : ring_.size());
      if (kept) continue;
      if (const errc rc = ring_.try_add(real ? how.bits : 64, model.elements(k)); rc != errc::ok) return rc;
    }
    return errc::ok;
  }

  errc status_ = errc::bad_parameter;
  unsigned needed_ = 0, given_ = 0;
  ring_parameters how_;
  model_layout model_;
  ring_layout ring_;
  std::vector<std::size_t> segments_; // of each tensor; 0 where it is not sent
  std::vector<char> names_;
  std::vector<extra_terms> extras_;
  double largest_ = 0; // residue of a client
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_SECURE_RING_CODEC_PLAN_HPP
