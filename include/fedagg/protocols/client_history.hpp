// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_CLIENT_HISTORY_HPP
#define FEDAGG_PROTOCOLS_CLIENT_HISTORY_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fedagg/core/archive.hpp>
#include <fedagg/core/cohort.hpp>
#include <fedagg/core/element.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/id_table.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// The sum of each client's updates so far, by id: what foolsgold judges by (Fung, Yoon, Beschastnikh 2018,
/// arXiv:1808.04866). Only declared clients are known; memory is n x d for those that have sent something.
/// Sums are formed in double and rounded to the model's own element types at every round; integer tensors have none,
/// they count as zero. A client is looked at as a whole before any of it is added: a sum is always finite.
class client_history {
public:
  static constexpr const char* kind = "client_history";
  static constexpr unsigned version = 1;

  client_history() = default;
  /// Of updates of this layout. `unsupported_element` in `status()` for `dtype::other`. Throws std::bad_alloc.
  explicit client_history(model_layout model) : layout_(std::move(model)) { lay_out(); }

  /// A client that may come. `bad_parameter` for an empty id, `duplicate_client`, `out_of_memory`.
  [[nodiscard]] errc try_declare(std::string_view id) noexcept {
    return without_throwing([&] {
      if (rows_.size() == rows_.capacity()) rows_.reserve(2 * rows_.size() + 1);
      const errc rc = clients_.add(id);
      if (rc == errc::ok) rows_.emplace_back();
      return rc;
    });
  }

  /// Adds what the clients of a round have sent: updates, or models with a base. One that cannot be added is left as it
  /// was and named in `faults`, one code per client if not empty: `unknown_client`, `duplicate_client` (its second row
  /// of this round), `client_layout`, `non_finite`, `overflow` (of the sum). `missing_origin`, `layout_mismatch` of the
  /// base, `bad_parameter` or `out_of_memory` before the first write. O(n d), two reads of each client.
  [[nodiscard]] errc try_absorb(const cohort& round, std::span<errc> faults = {}) noexcept {
    if (status_ != errc::ok) return status_;
    if (!round.has_origin()) return errc::missing_origin;
    if (!faults.empty() && faults.size() != round.size()) return errc::bad_parameter;
    if (round.has_base() && layout_.matches(round.base()) != errc::ok) return errc::layout_mismatch;
    std::vector<std::size_t> rows;
    const errc prepared = without_throwing([&] {
      rows.resize(round.size());
      return find(round, rows);
    });
    if (prepared != errc::ok) return prepared;
    const impl::fp_guard guard;
    for (std::size_t i = 0; i < round.size(); ++i) {
      errc rc = rows[i] == unknown ? errc::unknown_client : rows[i] == twice ? errc::duplicate_client : errc::ok;
      if (rc == errc::ok) rc = layout_.matches(round.tensors(i));
      if (rc == errc::ok) rc = add(round, i, rows_[rows[i]], false);
      if (rc == errc::ok) rc = add(round, i, rows_[rows[i]], true);
      if (!faults.empty()) faults[i] = rc;
    }
    return errc::ok;
  }

  /// Fills `sums` with a row for each client of a round, in its order, to be handed to `cohort::history`: absorb the
  /// round first, as the paper does. Rows are valid until this object changes; a client that has sent nothing yet has
  /// zeros. `unknown_client` or `duplicate_client` if the round has one, `out_of_memory`; `sums` is empty then.
  [[nodiscard]] errc try_view(const cohort& round, cohort& sums) noexcept {
    sums.clear();
    if (status_ != errc::ok) return status_;
    const errc rc = without_throwing([&] {
      std::vector<std::size_t> rows(round.size());
      if (const errc found = find(round, rows); found != errc::ok) return found;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i] == unknown) return errc::unknown_client;
        if (rows[i] == twice) return errc::duplicate_client;
        model_view sum;
        for (std::size_t k = 0; k < layout_.size(); ++k)
          sum.add(layout_.name(k), any_tensor(layout_.type(k), at(rows_[rows[i]], k), layout_.shape(k)),
                  layout_.policy(k));
        sums.add(sum, {.weight = round.weight(i), .id = clients_[rows[i]]});
      }
      sums.updates();
      return errc::ok;
    });
    if (rc != errc::ok) sums.clear();
    return rc;
  }

  /// Forgets what a client has sent; it stays declared. False if it is unknown.
  bool forget(std::string_view id) noexcept {
    const std::size_t client = clients_.find(id);
    if (client == unknown) return false;
    rows_[client] = {};
    return true;
  }

  /// The same calls, throwing fedagg::error.
  void declare(std::string_view id) { require(try_declare(id)); }
  void absorb(const cohort& round, std::span<errc> faults = {}) { require(try_absorb(round, faults)); }
  void view(const cohort& round, cohort& sums) { require(try_view(round, sums)); }

  errc status() const noexcept { return status_; }
  const model_layout& layout() const noexcept { return layout_; }
  /// The declared clients.
  const id_table& clients() const noexcept { return clients_; }
  /// Bytes that the sums take.
  std::size_t bytes() const noexcept {
    std::size_t sum = 0;
    for (const row& r : rows_) sum += r.size() * sizeof(block);
    return sum;
  }

  /// See core/archive.hpp. A row is one array of bytes, each tensor at a multiple of 64.
  template <class Archive>
  errc archive(Archive& a) {
    if (!a.loading() && status_ != errc::ok) return status_;
    std::vector<std::uint8_t> seen;
    for (const row& r : rows_) seen.push_back(r.empty() ? 0 : 1);
    if (a.loading()) *this = {};
    errc rc = a.layout("layout", layout_);
    if (rc == errc::ok) rc = archive_part(a, "clients", clients_);
    if (rc == errc::ok) rc = a.array("seen", seen);
    if (rc == errc::ok && a.loading()) {
      lay_out();
      if (status_ != errc::ok || seen.size() != clients_.size()) return errc::file_format;
      for (const std::uint8_t flag : seen)
        if (flag > 1) return errc::file_format;
      rows_.resize(seen.size());
    }
    for (std::size_t k = 0; k < rows_.size() && rc == errc::ok; ++k) {
      if (seen[k] == 0) continue;
      const std::string_view name = row_name(k);
      if (a.loading()) {
        std::size_t count = 0;
        if (rc = a.count(name, count); rc != errc::ok) return rc;
        if (count != blocks_ * sizeof(block)) return errc::file_format;
        rows_[k].resize(blocks_);
      }
      rc = a.array(name, std::span(reinterpret_cast<std::uint8_t*>(rows_[k].data()), blocks_ * sizeof(block)));
      if (rc == errc::ok && a.loading() && !sound(rows_[k])) rc = errc::file_format;
    }
    return rc;
  }

private:
  struct alignas(64) block {
    std::byte bytes[64];
  };
  using row = std::vector<block>;
  static constexpr std::size_t unknown = id_table::none, twice = unknown - 1;
  static constexpr std::size_t tile = 512;

  static void require(errc rc) {
    if (rc != errc::ok) impl::raise(rc);
  }

  template <class Body>
  static errc without_throwing(const Body& body) noexcept {
#if FEDAGG_EXCEPTIONS
    try {
      return body();
    } catch (...) {
      return errc::out_of_memory;
    }
#else
    return body();
#endif
  }

  void lay_out() {
    status_ = layout_.status();
    firsts_.clear();
    blocks_ = 0;
    constexpr std::size_t most = static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(block);
    for (std::size_t k = 0; k < layout_.size() && status_ == errc::ok; ++k) {
      const std::size_t width = size_of(layout_.type(k));
      if (width == 0) {
        status_ = errc::unsupported_element;
        return;
      }
      // No tensor has more bytes than PTRDIFF_MAX.
      const std::size_t own = (layout_.elements(k) * width + sizeof(block) - 1) / sizeof(block);
      if (own > most - blocks_) {
        status_ = errc::size_overflow;
        return;
      }
      firsts_.push_back(blocks_);
      blocks_ += own;
    }
    // An empty row is one that was never sent.
    if (blocks_ == 0) blocks_ = 1;
  }

  std::byte* at(row& r, std::size_t tensor) const noexcept {
    return reinterpret_cast<std::byte*>(r.data()) + firsts_[tensor] * sizeof(block);
  }

  /// The rows of a round's clients, with memory; all of them have it, or none has got any.
  errc find(const cohort& round, std::vector<std::size_t>& found) {
    std::vector<char> taken(clients_.size());
    std::vector<row> fresh(round.size());
    for (std::size_t i = 0; i < round.size(); ++i) {
      found[i] = clients_.find(round.id(i));
      if (found[i] == unknown) continue;
      if (taken[found[i]] != 0) {
        found[i] = twice;
        continue;
      }
      taken[found[i]] = 1;
      if (rows_[found[i]].empty()) fresh[i].assign(blocks_, block{});
    }
    for (std::size_t i = 0; i < round.size(); ++i)
      if (!fresh[i].empty()) rows_[found[i]] = std::move(fresh[i]);
    return errc::ok;
  }

  template <class T>
  static double wide(T x) noexcept {
    if constexpr (requires { to_float(x); })
      return to_float(x);
    else
      return static_cast<double>(x);
  }
  template <class T>
  static T narrow(double x) noexcept {
    if constexpr (std::is_same_v<T, float16>)
      return to_float16(x);
    else if constexpr (std::is_same_v<T, bfloat16>)
      return to_bfloat16(x);
    else
      return static_cast<T>(x);
  }
  template <class T>
  static bool finite(T x) noexcept {
    if constexpr (requires { to_float(x); })
      return is_finite(to_float(x));
    else
      return is_finite(x);
  }

  /// Calls f with a null pointer of the floating type.
  template <class F>
  static errc with_floating(dtype type, const F& f) {
    switch (type) {
    case dtype::f64:
      return f(static_cast<double*>(nullptr));
    case dtype::f32:
      return f(static_cast<float*>(nullptr));
    case dtype::f16:
      return f(static_cast<float16*>(nullptr));
    case dtype::bf16:
      return f(static_cast<bfloat16*>(nullptr));
    default:
      return errc::ok;
    }
  }

  /// Looks whether a client can be added, or adds it.
  errc add(const cohort& round, std::size_t client, row& r, bool write) const noexcept {
    for (std::size_t k = 0; k < layout_.size(); ++k) {
      const any_tensor& x = round.tensors(client)[k].tensor;
      const any_tensor* base = round.has_base() ? &round.base()[k].tensor : nullptr;
      const errc rc = with_floating(layout_.type(k), [&](auto* type) {
        using T = std::remove_pointer_t<decltype(type)>;
        return add<T>(x, base, reinterpret_cast<T*>(at(r, k)), write);
      });
      if (rc != errc::ok) return rc;
    }
    return errc::ok;
  }

  template <class T>
  static errc add(const any_tensor& x, const any_tensor* base, T* sums, bool write) noexcept {
    FEDAGG_FP_IN_ORDER
    T values[tile], origin[tile] = {};
    for (std::size_t first = 0; first < x.size(); first += tile) {
      const std::size_t count = x.size() - first < tile ? x.size() - first : tile;
      impl::gather(x, first, count, values);
      if (base != nullptr) impl::gather(*base, first, count, origin);
      bool fits = true;
      for (std::size_t i = 0; i < count; ++i) {
        const double update = FEDAGG_FP_KEEP(wide(values[i]) - wide(origin[i]));
        const T sum = narrow<T>(FEDAGG_FP_KEEP(wide(sums[first + i]) + update));
        fits = fits && finite(sum);
        if (write) sums[first + i] = sum;
      }
      if (fits) continue;
      for (std::size_t i = 0; i < count; ++i)
        if (!finite(values[i]) || !finite(origin[i])) return errc::non_finite;
      return errc::overflow;
    }
    return errc::ok;
  }

  /// True if what was loaded is a sum that could have been formed.
  bool sound(row& r) const {
    for (std::size_t k = 0; k < layout_.size(); ++k) {
      const errc rc = with_floating(layout_.type(k), [&](auto* type) {
        using T = std::remove_pointer_t<decltype(type)>;
        const auto* sums = reinterpret_cast<const T*>(at(r, k));
        for (std::size_t i = 0; i < layout_.elements(k); ++i)
          if (!finite(sums[i])) return errc::non_finite;
        return errc::ok;
      });
      if (rc != errc::ok) return false;
      if (is_floating(layout_.type(k))) continue;
      const std::byte* zeros = at(r, k);
      for (std::size_t i = 0; i < layout_.elements(k) * size_of(layout_.type(k)); ++i)
        if (zeros[i] != std::byte{0}) return false;
    }
    return true;
  }

  /// "row.12"; valid until the next call.
  std::string_view row_name(std::size_t k) noexcept {
    std::size_t size = 4, digits = 1;
    for (std::size_t rest = k; rest >= 10; rest /= 10) ++digits;
    for (std::size_t i = digits; i-- > 0; k /= 10) name_[size + i] = static_cast<char>('0' + k % 10);
    return {name_, size + digits};
  }

  model_layout layout_;
  std::vector<std::size_t> firsts_; // block where a tensor begins in a row
  std::size_t blocks_ = 0;          // of a row
  id_table clients_;
  std::vector<row> rows_; // per client; empty if it has sent nothing
  char name_[32] = "row.";
  errc status_ = errc::ok;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_CLIENT_HISTORY_HPP
