// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ACCUMULATOR_BASIC_HPP
#define FEDAGG_PASSES_ACCUMULATOR_BASIC_HPP

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <fedagg/core/error.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/fp_guard.hpp>
#include <fedagg/passes/accumulator/elements.hpp>
#include <fedagg/passes/accumulator/fused.hpp>
#include <fedagg/passes/accumulator/places.hpp>
#include <fedagg/passes/accumulator/shards.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// Who has looked for NaN and Inf in a client before it is added.
enum class client_check : unsigned char {
  here,  ///< nobody: the call does, before it adds
  fused, ///< nobody: the call does, while it adds. One read instead of two, for a caller who has the accumulator alone
  done,  ///< the caller, say while the bytes arrived: one read, and a NaN would spoil the sums
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// The weighted mean of clients that arrive one after the other or at once, in memory that does not grow with their
/// number. `Sums` says how they are added: see `mean_accumulator`, `fixed_point_accumulator`, `binned_accumulator`.
///
/// `try_absorb` and `try_merge` may be called from several threads at once, on one accumulator; each adds to a part of
/// the coordinates under a lock of its own. All other calls need the accumulator to themselves.
template <class Sums>
class basic_accumulator {
public:
  static constexpr const char* kind = Sums::kind;
  static constexpr unsigned version = Sums::version;
  using settings = typename Sums::settings;

  /// Without tensors, to be loaded into.
  basic_accumulator() = default;

  /// Takes names, element types, shapes and integer policies from a model; its values are not looked at.
  /// A model that cannot be summed gives an accumulator whose `status()` says why and which refuses everything.
  explicit basic_accumulator(const model_view& layout) requires std::is_empty_v<settings>
      : basic_accumulator(layout, settings{}) {}
  /// The same with settings; `bad_parameter` if they are impossible.
  basic_accumulator(const model_view& layout, const settings& how) : places_(model_layout(layout)), sums_(how) {
    status_ = static_cast<int>(places_.status() != errc::ok ? places_.status() : sums_.status());
    if (status() != errc::ok) return;
    sums_.resize(places_.sums());
    shards_.resize(places_.tiles());
  }

  /// Adds a client, or nothing of it: `client_layout`, `invalid_weight`, `non_finite`, `integer_range`, `client_range`,
  /// `value_range` or `overflow` if it cannot be used. O(d).
  [[nodiscard]] errc try_absorb(const model_view& client, double weight = 1, executor_ref executor = {},
                                client_check check = client_check::here) noexcept {
    if (const errc rc = status(); rc != errc::ok) return rc;
    if (const errc rc = places_.admit(client); rc != errc::ok) return rc;
    const impl::fp_guard guard;
    if (!detail::valid_weight(weight)) return errc::invalid_weight;
    typename Sums::term term{};
    if (const errc rc = sums_.weigh(weight, term); rc != errc::ok) return rc;
    if constexpr (Sums::notes) {
      if (check == client_check::fused) return absorb_alone(client, term, executor);
    }
    const std::size_t start = shards_.start();
    // The first tensor at fault decides, whichever thread comes first.
    constexpr std::size_t none = static_cast<std::size_t>(-1), reasons = 64;
    std::size_t found = none;
    const auto note = [&found](std::size_t tensor, errc rc) {
      if (rc != errc::ok) detail::lower_to(found, tensor * reasons + static_cast<std::size_t>(rc));
    };
    if (!Sums::takes_back && check != client_check::done) {
      const errc looked = shards_.template each<false>(executor, start, [&](std::size_t index) {
        const auto t = places_.at(index);
        note(t.tensor, sums_.look(term, client.entries()[t.tensor].tensor, t.begin, t.end));
      });
      if (looked != errc::ok) return looked;
      if (found != none) return static_cast<errc>(found % reasons);
    }
    if (const errc rc = count(term); rc != errc::ok) return rc;
    const errc added = shards_.template each<true>(executor, start, [&](std::size_t index) {
      const auto t = places_.at(index);
      note(t.tensor, sums_.add(term, client.entries()[t.tensor].tensor, t.begin, t.end, t.first));
    });
    // An executor that lost a part of the sum has spoiled it: no later result may come from it.
    if (added != errc::ok) return spoil(added);
    if constexpr (Sums::takes_back) {
      if (found != none) {
        const errc taken = shards_.template each<true>(executor, start, [&](std::size_t index) {
          const auto t = places_.at(index);
          sums_.take_back(term, client.entries()[t.tensor].tensor, t.begin, t.end, t.first);
        });
        if (taken != errc::ok) return spoil(taken);
        const impl::flag_guard held(counting_);
        sums_.leave(term);
        detail::relaxed_store(clients_, clients_ - 1);
        return static_cast<errc>(found % reasons);
      }
    }
    return errc::ok;
  }

  /// Adds another accumulator's clients, which nobody may change meanwhile. `layout_mismatch` if it is not of this
  /// layout, `state_mismatch` if it has other settings, `overflow` or `value_range` if the two are more than one can
  /// hold; nothing is lost then.
  [[nodiscard]] errc try_merge(const basic_accumulator& other, executor_ref executor = {}) noexcept {
    if (const errc rc = status(); rc != errc::ok) return rc;
    if (const errc rc = other.status(); rc != errc::ok) return rc;
    if (const errc rc = places_.admit(other.places_); rc != errc::ok) return rc;
    const impl::fp_guard guard;
    {
      const impl::flag_guard held(counting_);
      if (const errc rc = sums_.join(other.sums_, clients_ + other.clients_); rc != errc::ok) return rc;
      detail::relaxed_store(clients_, clients_ + other.clients_);
    }
    const errc merged = shards_.template each<true>(executor, shards_.start(), [&](std::size_t index) {
      const auto t = places_.at(index);
      const std::size_t count = (t.end - t.begin + impl::sum_padding - 1) / impl::sum_padding * impl::sum_padding;
      sums_.merge(other.sums_, t.first, count);
    });
    return merged == errc::ok ? merged : spoil(merged);
  }

  /// Writes the mean of what was absorbed; may be called again after more. `empty_cohort` without a client,
  /// `zero_weight_sum`, `layout_mismatch` or `overlapping_output` before the first write; `overflow` if a sum or a
  /// result left its type's range (the tensors before it are written then).
  [[nodiscard]] errc try_finish(const mutable_model_view& out) const noexcept {
    const impl::fp_guard guard;
    if (const errc rc = admit(out); rc != errc::ok) return rc;
    if (!(weight() > 0)) return errc::zero_weight_sum;
    return write(out, sums_.total());
  }

  /// Writes sum_i w_i x_i / divisor instead: a buffer's sum over its size whatever the weights (Nguyen et al. 2022), or
  /// a part of a larger sum. `bad_parameter` unless the divisor is finite and positive.
  [[nodiscard]] errc try_finish(const mutable_model_view& out, double divisor) const noexcept {
    const impl::fp_guard guard;
    if (!is_finite(divisor) || !(divisor > 0)) return errc::bad_parameter;
    if (const errc rc = admit(out); rc != errc::ok) return rc;
    return write(out, Sums::given(divisor));
  }

  /// The same calls, throwing fedagg::error.
  void absorb(const model_view& client, double weight = 1, executor_ref executor = {},
              client_check check = client_check::here) {
    require(try_absorb(client, weight, executor, check));
  }
  void merge(const basic_accumulator& other, executor_ref executor = {}) { require(try_merge(other, executor)); }
  void finish(const mutable_model_view& out) const { require(try_finish(out)); }
  void finish(const mutable_model_view& out, double divisor) const { require(try_finish(out, divisor)); }

  std::size_t clients() const noexcept { return static_cast<std::size_t>(detail::relaxed_load(clients_)); }
  /// The sum of the weights.
  double weight() const noexcept {
    const impl::fp_guard guard;
    return sums_.weight();
  }
  errc status() const noexcept { return static_cast<errc>(detail::relaxed_load(status_)); }
  const model_layout& layout() const noexcept { return places_.layout(); }
  /// How clients are added, where there is a choice.
  decltype(auto) how() const noexcept { return sums_.how(); }

  /// Forgets the clients and keeps the memory.
  void clear() noexcept {
    sums_.clear();
    clients_ = 0;
  }

  /// See core/archive.hpp. What is loaded must be of this accumulator's layout and settings, if it has any
  /// (`state_mismatch`); one without tensors takes what comes.
  template <class Archive>
  errc archive(Archive& a) {
    if (!a.loading() && status() != errc::ok) return status();
    const impl::fp_guard guard;
    model_layout layout = places_.layout();
    const bool fresh = layout.size() == 0;
    if (const errc rc = a.layout("layout", layout); rc != errc::ok) return rc;
    if (const errc rc = a.value("clients", clients_); rc != errc::ok) return rc;
    if (a.loading()) {
      if (clients_ > most_clients) return errc::file_format;
      if (!fresh && !(layout == places_.layout())) return errc::state_mismatch;
      places_ = impl::sum_places(std::move(layout));
      if (places_.status() != errc::ok) return errc::file_format;
    }
    if (const errc rc = sums_.archive(a, places_, clients_, fresh); rc != errc::ok) return rc;
    if (!a.loading()) return errc::ok;
    if (clients_ == 0 && sums_.weight() > 0) return errc::file_format;
    shards_.resize(places_.tiles());
    return errc::ok;
  }

private:
  static constexpr std::uint64_t most_clients = std::uint64_t{1} << 53;

  static void require(errc rc) {
    if (rc != errc::ok) impl::raise(rc);
  }

  errc spoil(errc rc) noexcept {
    detail::relaxed_store(status_, static_cast<int>(rc));
    return rc;
  }

  /// Clients and weights change together.
  errc count(const typename Sums::term& term) noexcept {
    const impl::flag_guard held(counting_);
    if (const errc rc = sums_.enter(term, clients_ + 1); rc != errc::ok) return rc;
    detail::relaxed_store(clients_, clients_ + 1);
    return errc::ok;
  }

  errc absorb_alone(const model_view& client, const typename Sums::term& term, executor_ref executor) noexcept {
    if (const errc rc = sums_.fits(term); rc != errc::ok) return rc;
    bool spoilt = false;
    const errc rc = impl::add_fused(places_, sums_, term, client, executor, sums_.paper(), spoilt);
    return spoilt ? spoil(rc) : rc != errc::ok ? rc : count(term);
  }

  errc admit(const mutable_model_view& out) const noexcept {
    if (const errc rc = status(); rc != errc::ok) return rc;
    if (clients_ == 0) return errc::empty_cohort;
    return places_.admit(out);
  }

  errc write(const mutable_model_view& out, const typename Sums::divisor& by) const noexcept {
    for (std::size_t k = 0; k < out.size(); ++k) {
      const auto& t = out.entries()[k].tensor;
      if (places_.kept(k)) continue;
      const bool written = impl::write_means(t, [&](std::size_t at, std::size_t count, double* means) {
        sums_.means(is_integer(t.type()), places_.first(k) + at, count, by, means);
      });
      if (!written) return errc::overflow;
    }
    return errc::ok;
  }

  impl::sum_places places_;
  Sums sums_;
  impl::sum_shards shards_;
  std::uint64_t clients_ = 0;
  int status_ = 0;
  unsigned char counting_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_ACCUMULATOR_BASIC_HPP
