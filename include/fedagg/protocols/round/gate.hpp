// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_ROUND_GATE_HPP
#define FEDAGG_PROTOCOLS_ROUND_GATE_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/protocols/round/ledger.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Which updates an asynchronous server takes: those that started from one of its last versions, each client's once per
/// version.
class version_gate {
public:
  version_gate(std::uint64_t max_staleness, std::uint64_t first) noexcept
      : max_staleness_(max_staleness), version_(first), floor_(first) {}

  /// The version of the model now: what a client that asks is sent.
  std::uint64_t model_version() const noexcept { return version_; }
  /// The oldest version whose updates are still taken.
  std::uint64_t oldest() const noexcept {
    return version_ - floor_ > max_staleness_ ? version_ - max_staleness_ : floor_;
  }
  /// Updates taken, and refused, since the beginning.
  std::uint64_t taken() const noexcept { return taken_; }
  std::uint64_t refused() const noexcept { return refused_; }

protected:
  /// `value_range` for a version that is yet to come, `stale_client`, `duplicate_client`, `unknown_client` for an id
  /// that is too long, `out_of_memory`; else there is room for it.
  errc admit(std::string_view client, std::uint64_t version) noexcept {
    if (version > version_) return errc::value_range;
    if (version < oldest()) return errc::stale_client;
    if (seen_.contains(client, version)) return errc::duplicate_client;
    return seen_.try_reserve(client);
  }
  void take(std::string_view client, std::uint64_t version) noexcept {
    seen_.add(client, version);
    ++taken_;
  }
  errc refuse(errc why) noexcept {
    ++refused_;
    return why;
  }
  /// The next version. What is too old from now on need not be remembered.
  void advance() noexcept {
    ++version_;
    floor_ = oldest();
    seen_.drop_before(floor_);
  }
  std::size_t remembered() const noexcept { return seen_.size(); }

  template <class Archive>
  errc archive_gate(Archive& a) {
    if (const errc rc = a.value("version", version_); rc != errc::ok) return rc;
    if (const errc rc = a.value("oldest", floor_); rc != errc::ok) return rc;
    if (const errc rc = a.value("taken", taken_); rc != errc::ok) return rc;
    if (const errc rc = a.value("refused", refused_); rc != errc::ok) return rc;
    if (a.loading() && (floor_ > version_ || version_ == UINT64_MAX)) return errc::file_format;
    detail::archive_scope<Archive> seen(a, "seen");
    return seen_.archive(seen, floor_, version_);
  }

private:
  std::uint64_t max_staleness_, version_, floor_, taken_ = 0, refused_ = 0;
  version_ledger seen_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_ROUND_GATE_HPP
