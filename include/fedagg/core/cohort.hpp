// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_COHORT_HPP
#define FEDAGG_CORE_COHORT_HPP

#include <cstddef>
#include <span>
#include <string_view>

#include <fedagg/core/list.hpp>
#include <fedagg/core/model_view.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What a client says of itself. The weight is a claim (a number of samples, usually); the id is borrowed.
struct client {
  double weight = 1;
  std::string_view id = {};
};

/// The clients of one round: n models (or updates) that borrow the trainers' memory, with weights and ids.
/// Adding a client never looks at its memory and never fails on a bad one: what is wrong with it is found, named and
/// handled by the policy when the cohort is aggregated. Reuse with `clear()` to keep its memory between rounds.
class cohort {
public:
  /// Adds a client whose model is one tensor: an lvalue container, a span or a tensor_view.
  template <tensor_source S>
  cohort& add(S&& source, client info = {}) {
    open();
    entries_.push_back({{}, any_tensor(fedagg::view(static_cast<S&&>(source))), integers::average});
    return close(info);
  }

  /// Adds a client with a model of named tensors.
  cohort& add(const model_view& model, client info = {}) {
    open();
    entries_.append(model.each().data(), model.size());
    return close(info);
  }

  /// Adds every row of an n x d matrix as a client.
  template <tensor_source S>
  cohort& add_rows(S&& matrix) {
    const any_tensor m(fedagg::view(static_cast<S&&>(matrix)));
    if (m.rank() != 2 || m.status() != errc::ok) {
      open();
      entries_.push_back({{}, m, integers::average});
      return close({});
    }
    const std::size_t width = m.extent(1);
    const std::ptrdiff_t stride = m.stride(1);
    for (std::size_t i = 0; i < m.extent(0); ++i) {
      const auto* row = static_cast<const std::byte*>(m.data());
      if (m.size() != 0)
        row += static_cast<std::ptrdiff_t>(i) * m.stride(0) * static_cast<std::ptrdiff_t>(size_of(m.type()));
      open();
      entries_.push_back(
          {{}, any_tensor(m.type(), row, detail::span_of(&width, 1), detail::span_of(&stride, 1)), integers::average});
      close({});
    }
    return *this;
  }

  /// The global model that the clients started from. Rules that need an origin take differences from it.
  cohort& base(const model_view& model) {
    base_.assign(model.each().data(), model.size());
    has_base_ = true;
    return *this;
  }

  /// A row of the server's own, of the clients' layout: the reference of fltrust and monna, the state of
  /// centered_clipping. It is never rejected and never counted among the clients.
  cohort& trusted(const model_view& model) {
    trusted_.assign(model.each().data(), model.size());
    has_trusted_ = true;
    return *this;
  }

  /// What the clients have sent so far, for foolsgold: the sum of each client's updates, in the order of this cohort
  /// and of its layout, declared as updates. The caller adds up; the cohort is borrowed.
  cohort& history(const cohort& sums) noexcept {
    history_ = &sums;
    return *this;
  }
  cohort& history(const cohort&&) = delete;

  /// Declares that the rows are updates already (their origin is zero), not models.
  cohort& updates() noexcept {
    updates_ = true;
    return *this;
  }

  /// Replaces all weights at once: one per client.
  cohort& weights(const std::span<const double> values) {
    given_weights_.assign(values.data(), values.size());
    has_weights_ = true;
    return *this;
  }

  std::size_t size() const noexcept { return ends_.size(); }
  // What returns a std::span is a template, because making one takes a compiler longer than to read all of this class.
  template <class Void = void>
  std::span<const named_tensor> tensors(std::size_t i) const noexcept {
    return detail::span_of(row(i).data(), row(i).size());
  }
  double weight(std::size_t i) const noexcept {
    return has_weights_ && i < given_weights_.size() ? given_weights_[i] : clients_[i].weight;
  }
  std::string_view id(std::size_t i) const noexcept { return clients_[i].id; }
  bool has_base() const noexcept { return has_base_; }
  bool has_origin() const noexcept { return has_base_ || updates_; }
  template <class Void = void>
  std::span<const named_tensor> base() const noexcept {
    return detail::span_of(base_.data(), base_.size());
  }
  bool has_trusted() const noexcept { return has_trusted_; }
  template <class Void = void>
  std::span<const named_tensor> trusted() const noexcept {
    return detail::span_of(trusted_.data(), trusted_.size());
  }
  /// Null without one.
  const cohort* history() const noexcept { return history_; }
  /// `weight_count` if `weights()` was given another number of weights than there are clients.
  errc status() const noexcept {
    return has_weights_ && given_weights_.size() != ends_.size() ? errc::weight_count : errc::ok;
  }

  /// The library's own: the tensors of client i, of the base and of the trusted row.
  detail::slice<const named_tensor> row(std::size_t i) const noexcept {
    const std::size_t first = i == 0 ? 0 : ends_[i - 1];
    return {entries_.data() + first, ends_[i] - first};
  }
  detail::slice<const named_tensor> base_row() const noexcept { return base_.each(); }
  detail::slice<const named_tensor> trusted_row() const noexcept { return trusted_.each(); }

  void clear() noexcept {
    entries_.clear();
    ends_.clear();
    clients_.clear();
    base_.clear();
    trusted_.clear();
    given_weights_.clear();
    has_base_ = has_trusted_ = updates_ = has_weights_ = false;
    history_ = nullptr;
  }

private:
  /// Drops what is left of a client that there was no memory for.
  void open() noexcept {
    while (clients_.size() > ends_.size()) clients_.pop_back();
    while (entries_.size() > (ends_.empty() ? 0 : ends_.back())) entries_.pop_back();
  }
  cohort& close(const client& info) {
    clients_.push_back(info);
    ends_.push_back(entries_.size());
    return *this;
  }

  detail::list<named_tensor> entries_;
  detail::list<std::size_t> ends_;
  detail::list<client> clients_;
  detail::list<named_tensor> base_;
  detail::list<named_tensor> trusted_;
  detail::list<double> given_weights_;
  const cohort* history_ = nullptr;
  bool has_base_ = false;
  bool has_trusted_ = false;
  bool updates_ = false;
  bool has_weights_ = false;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_COHORT_HPP
