// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_WHOLE_SUM_HPP
#define FEDAGG_TESTS_SUPPORT_WHOLE_SUM_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/passes/inspect.hpp>

/// A user's accumulator: models of one tensor of small whole floats, whole weights; exact, and it can be saved.
class whole_sum {
public:
  explicit whole_sum(const fedagg::model_view& layout) : layout_(layout), sums_(layout_.elements()) {}

  fedagg::errc try_absorb(const fedagg::model_view& model, double weight = 1, fedagg::executor_ref = {}) noexcept {
    if (const fedagg::errc rc = fedagg::try_inspect(model, layout_); rc != fedagg::errc::ok) return rc;
    if (!fedagg::detail::valid_weight(weight)) return fedagg::errc::invalid_weight;
    const auto* x = static_cast<const float*>(model.entries()[0].tensor.data());
    for (std::size_t j = 0; j < sums_.size(); ++j)
      sums_[j] += static_cast<std::int64_t>(weight) * static_cast<std::int64_t>(x[j]);
    weight_ += static_cast<std::uint64_t>(weight);
    ++clients_;
    return fedagg::errc::ok;
  }
  fedagg::errc try_merge(const whole_sum& other) noexcept {
    if (layout_.matches(other.layout_) != fedagg::errc::ok) return fedagg::errc::layout_mismatch;
    for (std::size_t j = 0; j < sums_.size(); ++j) sums_[j] += other.sums_[j];
    weight_ += other.weight_;
    clients_ += other.clients_;
    return fedagg::errc::ok;
  }
  fedagg::errc try_finish(const fedagg::mutable_model_view& out) const noexcept {
    if (layout_.matches(out) != fedagg::errc::ok) return fedagg::errc::layout_mismatch;
    if (weight_ == 0) return fedagg::errc::zero_weight_sum;
    auto* x = static_cast<float*>(out.entries()[0].tensor.data());
    for (std::size_t j = 0; j < sums_.size(); ++j)
      x[j] = static_cast<float>(static_cast<double>(sums_[j]) / static_cast<double>(weight_));
    return fedagg::errc::ok;
  }
  void clear() noexcept {
    for (auto& s : sums_) s = 0;
    weight_ = clients_ = 0;
  }
  std::size_t clients() const noexcept { return static_cast<std::size_t>(clients_); }
  double weight() const noexcept { return static_cast<double>(weight_); }
  fedagg::errc status() const noexcept { return layout_.status(); }
  const std::vector<std::int64_t>& sums() const noexcept { return sums_; }

  template <class Archive>
  fedagg::errc archive(Archive& a) {
    if (const auto rc = a.value("weight", weight_); rc != fedagg::errc::ok) return rc;
    if (const auto rc = a.value("clients", clients_); rc != fedagg::errc::ok) return rc;
    return a.array("sums", std::span<std::int64_t>(sums_));
  }

private:
  fedagg::model_layout layout_;
  std::vector<std::int64_t> sums_;
  std::uint64_t weight_ = 0, clients_ = 0;
};

#endif // FEDAGG_TESTS_SUPPORT_WHOLE_SUM_HPP
