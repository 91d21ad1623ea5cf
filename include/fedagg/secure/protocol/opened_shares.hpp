// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_PROTOCOL_OPENED_SHARES_HPP
#define FEDAGG_SECURE_PROTOCOL_OPENED_SHARES_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/secure/protocol/wire.hpp>
#include <fedagg/secure/shamir.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// The shares that holders open, of one secret of each dealer, and the secrets that they yield.
///
/// A set of t holders is weighed in O(t^2), and which holders open a dealer's secret is theirs to say. So holders are
/// taken in the order of how many shares they opened, those with the most first: a secret is made from its first t. The
/// first t of all are weighed once, and once more is weighed for each dealer that one of these opened nothing of. Where
/// all clients hold shares of all, and t of them opened everything, that is once in all, whatever the others did.
class opened_shares {
public:
  opened_shares() = default;
  /// None yet, of so many clients. Throws std::bad_alloc.
  explicit opened_shares(std::uint32_t clients) : of_(clients), opened_by_(clients) {}

  /// Shares of a dealer, up to this many, are then added without an allocation. Throws std::bad_alloc.
  void reserve(std::uint32_t dealer, std::size_t count) { of_[dealer].reserve(count); }
  void add(std::uint32_t dealer, std::uint32_t holder, bytes_view share) {
    held& h = of_[dealer].emplace_back();
    h.holder = holder;
    std::memcpy(h.share.data(), share.data(), shamir_share_bytes);
    ++opened_by_[holder];
  }
  /// How many there are of a dealer.
  std::size_t count(std::uint32_t dealer) const noexcept { return of_[dealer].size(); }

  /// No more shares come, and t of a dealer, of t clients at least, will do. Throws std::bad_alloc.
  void rank(std::uint32_t t) {
    std::vector<std::uint32_t> order(of_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t i, std::uint32_t j) {
      return opened_by_[i] != opened_by_[j] ? opened_by_[i] > opened_by_[j] : i < j;
    });
    rank_.resize(order.size());
    for (std::size_t k = 0; k < order.size(); ++k) rank_[order[k]] = static_cast<std::uint32_t>(k);
    points_.resize(t);
    shares_ = secret_buffer(std::size_t{t} * shamir_share_bytes);
    usual_ = {};
    other_ = {};
    for (std::uint32_t k = 0; k < t; ++k) usual_.points.push_back(shamir_x(order[k]));
  }

  /// A dealer's secret. `bad_dealer` if its shares, at least t, are not shares of one. Throws std::bad_alloc.
  errc secret(std::uint32_t dealer, secret_key& out) {
    std::vector<held>& all = of_[dealer];
    std::sort(all.begin(), all.end(), [&](const held& a, const held& b) { return rank_[a.holder] < rank_[b.holder]; });
    for (std::size_t k = 0; k < points_.size(); ++k) {
      points_[k] = shamir_x(all[k].holder);
      std::memcpy(shares_.data() + k * shamir_share_bytes, all[k].share.data(), shamir_share_bytes);
    }
    weighed& set = points_ == usual_.points ? usual_ : other_;
    if (set.weights.size() == 0 || points_ != set.points) {
      if (const errc rc = set.weights.try_reset(points_); rc != errc::ok) return rc;
      set.points = points_;
      ++weighings_;
    }
    return set.weights.reconstruct({shares_.data(), shares_.size()}, out) == errc::ok ? errc::ok : errc::bad_dealer;
  }
  /// How often a set of holders was weighed.
  std::size_t weighings() const noexcept { return weighings_; }

private:
  struct held {
    std::uint32_t holder;
    std::array<std::uint8_t, shamir_share_bytes> share;
  };
  struct weighed {
    std::vector<std::uint32_t> points;
    shamir_weights weights;
  };

  std::vector<std::vector<held>> of_;    // by dealer
  std::vector<std::uint32_t> opened_by_; // how many, by holder
  std::vector<std::uint32_t> rank_;      // by holder
  std::vector<std::uint32_t> points_;    // of a dealer's first t, and their shares
  secret_buffer shares_;
  weighed usual_, other_;
  std::size_t weighings_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_SECURE_PROTOCOL_OPENED_SHARES_HPP
