// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_PARTIAL_ROUND_HPP
#define FEDAGG_PROTOCOLS_PARTIAL_ROUND_HPP

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>

#include <fedagg/passes/coordinate_pass.hpp>
#include <fedagg/passes/round/base.hpp>
#include <fedagg/passes/round/tasks.hpp>
#include <fedagg/passes/strided.hpp>
#include <fedagg/protocols/partial/settings.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// One call, whatever the rule is.
template <class Void = void>
class partial_round : round_base {
public:
  using aggregate_one = errc (*)(const void* rule, const cohort&, const mutable_model_view&, workspace&,
                                 const options&);

  partial_round(const void* rule, aggregate_one one, const cohort& clients,
                std::span<const basic_named_tensor<void>> out, partial_workspace& space, const partial_models& settings,
                const options& how)
      : round_base(clients, out, how, space.whole.buffers()), rule_(rule), one_(one), w_(space), settings_(settings) {}

  errc run() {
    w_.outcomes.clear();
    if (settings_.min_clients < 1) return errc::bad_parameter;
    bool in_place = false;
    if (const errc rc = admit(in_place); rc != errc::ok) return rc;
    if (const errc rc = find_tensors(); rc != errc::ok) return rc;
    if (how_.on_bad_client != bad_client::propagate)
      if (const errc rc = look_at_values(); rc != errc::ok) return rc;
    o_.used = 0;
    for (const errc fault : w_.fault) o_.used += fault == errc::ok ? 1 : 0;
    if (how_.write == write::atomic) make_room();
    errc first = errc::ok;
    std::size_t wanted = 0, made = 0;
    for (std::size_t p = 0; p < b_.segments.size(); ++p) {
      tensor_outcome& t = w_.outcomes[p];
      if (const errc rc = aggregate_tensor(p, t); rc != errc::ok) return rc;
      wanted += b_.segments[p].keep ? 0 : 1;
      made += t.aggregated ? 1 : 0;
      if (first == errc::ok) first = t.reason;
    }
    if (made == 0 && wanted > 0) return first == errc::ok ? errc::too_few_clients : first;
    o_.state = output::unspecified;
    for (std::size_t p = 0; p < b_.segments.size(); ++p) finish_tensor(p);
    o_.state = output::written;
    return errc::ok;
  }

private:
  std::string_view name_of(std::size_t position) const noexcept { return out_[b_.segments[position].tensor].name; }
  /// Where client i (the trusted row after the last) has the tensor, or nowhere.
  std::size_t& place(std::size_t i, std::size_t position) noexcept {
    return w_.places[i * b_.segments.size() + position];
  }

  /// The position in scope of a name, or nowhere; `guess` is looked at first.
  std::size_t position_of(std::string_view name, std::size_t guess) const noexcept {
    if (guess < b_.segments.size() && name_of(guess) == name) return guess;
    const auto found = std::lower_bound(w_.names.begin(), w_.names.end(), name,
                                        [&](std::size_t p, std::string_view x) { return name_of(p) < x; });
    return found != w_.names.end() && name_of(*found) == name ? *found : nowhere;
  }

  errc find_tensors() {
    const std::size_t count = b_.segments.size(), n = clients_.size();
    w_.names.resize(count);
    for (std::size_t p = 0; p < count; ++p) {
      w_.names[p] = p;
      w_.outcomes.push_back({name_of(p), b_.segments[p].tensor});
    }
    std::sort(w_.names.begin(), w_.names.end(),
              [&](std::size_t x, std::size_t y) { return std::tuple(name_of(x), x) < std::tuple(name_of(y), y); });
    for (std::size_t k = 1; k < count; ++k)
      if (name_of(w_.names[k]) == name_of(w_.names[k - 1])) {
        const std::size_t t = b_.segments[w_.names[k]].tensor;
        return refuse(o_, errc::layout_mismatch, t, out_[t]);
      }
    w_.places.assign((n + 1) * count, nowhere);
    w_.fault.assign(n, errc::ok);
    w_.fault_tensor.assign(n, nowhere);
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t tensor = 0;
      std::string_view name;
      const errc fault = find_tensors_of(i, tensor, name);
      for (std::size_t p = 0; p < count; ++p) w_.outcomes[p].sent += place(i, p) != nowhere ? 1 : 0;
      if (fault == errc::ok) continue;
      w_.fault[i] = fault;
      note(i, fault, tensor, name);
      const bool callers = fault != errc::client_layout && fault != errc::invalid_weight;
      if (callers || how_.on_bad_client != bad_client::reject) return fault;
    }
    if (!clients_.has_trusted()) return errc::ok;
    errc fault = find_tensors_of(n, o_.tensor, o_.tensor_name);
    for (std::size_t p = 0; p < count && fault == errc::ok; ++p)
      if (place(n, p) == nowhere)
        fault = refuse(o_, errc::client_layout, w_.outcomes[p].tensor, out_[w_.outcomes[p].tensor]);
    return fault == errc::client_layout ? errc::layout_mismatch : fault;
  }

  /// What is wrong with a row before its values are looked at.
  errc find_tensors_of(std::size_t i, std::size_t& tensor, std::string_view& name) noexcept {
    const auto entries = row_tensors(clients_, i);
    errc fault = errc::ok;
    const auto blame = [&](errc reason, std::size_t at) {
      if (fault != errc::ok) return;
      fault = reason;
      tensor = at;
    };
    std::size_t guess = 0;
    for (std::size_t k = 0; k < entries.size(); ++k) {
      const auto& entry = entries[k];
      if (!how_.where.contains(entry.name)) continue;
      const errc before = fault;
      const std::size_t p = position_of(entry.name, guess);
      if (entry.tensor.status() != errc::ok) {
        fault = errc::ok;
        blame(entry.tensor.status(), p == nowhere ? k : w_.outcomes[p].tensor);
        name = entry.name;
        return fault;
      }
      if (p == nowhere) {
        blame(errc::client_layout, k);
      } else if (place(i, p) != nowhere) {
        blame(errc::client_layout, w_.outcomes[p].tensor);
      } else {
        place(i, p) = k;
        guess = p + 1;
        const any_mutable_tensor& want = out_[w_.outcomes[p].tensor].tensor;
        if (entry.tensor.type() != want.type() || !same_shape(entry.tensor, any_tensor(want)))
          blame(errc::client_layout, w_.outcomes[p].tensor);
      }
      if (before == errc::ok && fault != errc::ok) name = entry.name;
    }
    if (fault == errc::ok && i < clients_.size() && !detail::valid_weight(clients_.weight(i)))
      fault = errc::invalid_weight;
    return fault;
  }

  /// A client with a NaN anywhere is left out everywhere: tensors that are written already could not be written again.
  errc look_at_values() {
    const errc ran = run_tasks(how_.executor, clients_.size(), [this](std::size_t i) { look_at(i); });
    if (ran != errc::ok) return ran;
    ++o_.passes;
    errc first = errc::ok;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (w_.fault_tensor[i] == nowhere) continue;
      note(i, w_.fault[i], w_.fault_tensor[i], out_[w_.fault_tensor[i]].name);
      if (first == errc::ok) first = w_.fault[i];
    }
    return how_.on_bad_client == bad_client::reject ? errc::ok : first;
  }

  void look_at(std::size_t i) noexcept {
    for (std::size_t p = 0; p < b_.segments.size() && w_.fault[i] == errc::ok; ++p) {
      const segment& s = b_.segments[p];
      if (s.keep || place(i, p) == nowhere) continue;
      w_.fault[i] = coordinate_pass<Void>::look(clients_.tensors(i)[place(i, p)].tensor, s.type, 0, s.size);
      if (w_.fault[i] != errc::ok) w_.fault_tensor[i] = s.tensor;
    }
  }

  static constexpr std::size_t aligned(std::size_t bytes) noexcept { return (bytes + 63) / 64 * 64; }
  /// Room for every tensor, one behind the other.
  void make_room() {
    std::size_t bytes = 64;
    for (const segment& s : b_.segments.each()) bytes += aligned(s.size * size_of(s.type));
    w_.staged.resize(bytes);
  }
  std::byte* room_of(std::size_t position) noexcept {
    std::size_t at = aligned(reinterpret_cast<std::uintptr_t>(w_.staged.data())) -
                     reinterpret_cast<std::uintptr_t>(w_.staged.data());
    for (std::size_t p = 0; p < position; ++p) at += aligned(b_.segments[p].size * size_of(b_.segments[p].type));
    return w_.staged.data() + at;
  }

  /// `ok` also where the tensor keeps its global value, for reasons of this round's clients.
  errc aggregate_tensor(std::size_t p, tensor_outcome& t) {
    const segment& s = b_.segments[p];
    if (s.keep || t.sent == 0) return errc::ok;
    const auto& entry = out_[t.tensor];
    w_.sent.clear();
    w_.senders.clear();
    std::size_t good = 0;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (place(i, p) == nowhere) continue;
      w_.one.clear();
      w_.one.add(entry.name, clients_.tensors(i)[place(i, p)].tensor);
      // Who is left out for another tensor counts among the declared, as in a round of whole models.
      const bool out = w_.fault[i] != errc::ok;
      w_.sent.add(w_.one, {out ? std::bit_cast<double>(std::uint64_t{0x7ff8000000000000u}) : clients_.weight(i),
                           clients_.id(i)});
      w_.senders.push_back(i);
      good += out ? 0 : 1;
    }
    if (good < static_cast<std::uint64_t>(settings_.min_clients)) {
      t.reason = errc::too_few_clients;
      return errc::ok;
    }
    if (const any_tensor* base = b_.base_views[p]) {
      w_.one_base.clear();
      w_.sent.base(w_.one_base.add(entry.name, *base));
    } else if (clients_.has_origin()) {
      w_.sent.updates();
    }
    if (clients_.has_trusted()) {
      w_.one_trusted.clear();
      w_.sent.trusted(w_.one_trusted.add(entry.name, clients_.trusted()[place(clients_.size(), p)].tensor));
    }
    w_.target.clear();
    if (how_.write == write::atomic)
      w_.target.add(entry.name, any_mutable_tensor(s.type, room_of(p), entry.tensor.shape()), entry.policy);
    else
      w_.target.add(entry.name, entry.tensor, entry.policy);
    options how = how_;
    how.write = write::direct;
    how.where = scope::whole_model();
    const errc rc = one_(rule_, w_.sent, w_.target, w_.part, how);
    const outcome& part = w_.part.result();
    if (part.state != output::untouched && how_.write != write::atomic) o_.state = output::unspecified;
    gather_outcome(p, t, part, rc);
    if (rc == errc::ok) return rc;
    const bool short_of_clients = rc == errc::too_few_clients || rc == errc::too_many_rejected ||
                                  rc == errc::weight_majority || rc == errc::zero_weight_sum ||
                                  rc == errc::no_client_selected;
    const bool spoiled = part.state != output::untouched && how_.write != write::atomic;
    if (!short_of_clients || spoiled) return refuse(o_, rc, t.tensor, entry);
    t.reason = rc;
    return errc::ok;
  }

  void gather_outcome(std::size_t p, tensor_outcome& t, const outcome& part, errc rc) {
    for (const rejection& r : part.rejected)
      if (const std::size_t i = w_.senders[r.client]; w_.fault[i] == errc::ok) note(i, r.reason, t.tensor, t.name);
    if (part.passes > last_passes_) {
      o_.passes += part.passes - last_passes_;
      last_passes_ = part.passes;
    }
    if (rc != errc::ok) return;
    const bool first = !found_;
    found_ = t.aggregated = true;
    t.used = part.used;
    t.breakdown = part.breakdown;
    t.breakdown_mass = part.breakdown_mass;
    if (first || part.breakdown < o_.breakdown) o_.breakdown = part.breakdown;
    if (first || part.breakdown_mass < o_.breakdown_mass) o_.breakdown_mass = part.breakdown_mass;
    if (part.iterations > o_.iterations) o_.iterations = part.iterations;
    if (part.gap > o_.gap) o_.gap = part.gap;
    o_.weights_used = o_.weights_used || part.weights_used;
    o_.no_trust = o_.no_trust || part.no_trust;
    if (part.coefficients.empty()) return;
    o_.coefficients.resize(b_.segments.size() * clients_.size(), 0.0);
    for (std::size_t k = 0; k < w_.senders.size(); ++k)
      o_.coefficients[p * clients_.size() + w_.senders[k]] = part.coefficients[k];
  }

  /// Writes what was staged, and the global value where nothing was aggregated.
  void finish_tensor(std::size_t p) noexcept {
    const any_mutable_tensor& to = out_[b_.segments[p].tensor].tensor;
    const std::size_t size = b_.segments[p].size;
    if (w_.outcomes[p].aggregated) {
      if (how_.write == write::atomic) scatter(to, 0, size, room_of(p));
      return;
    }
    const any_tensor* base = b_.base_views[p];
    if (base == nullptr && !clients_.has_origin()) return;
    if (base && same_view(*base, any_tensor(to))) return;
    alignas(64) std::byte block[4096] = {};
    const std::size_t most = sizeof block / 8;
    for (std::size_t at = 0; at < size; at += most) {
      const std::size_t count = size - at < most ? size - at : most;
      if (base) gather(*base, at, count, block);
      scatter(to, at, count, block);
    }
  }

  const void* rule_;
  aggregate_one one_;
  partial_workspace& w_;
  const partial_models& settings_;
  std::size_t last_passes_ = 0;
  bool found_ = false;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PROTOCOLS_PARTIAL_ROUND_HPP
