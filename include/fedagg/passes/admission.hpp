// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ADMISSION_HPP
#define FEDAGG_PASSES_ADMISSION_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/options.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/core/workspace.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

using detail::byte_range;
using detail::round_buffers;
using detail::segment;

/// First to last byte that a view can touch.
template <class Void>
byte_range range_of(const basic_any_tensor<Void>& t) noexcept {
  const auto start = reinterpret_cast<std::uintptr_t>(t.data());
  byte_range r{start, start};
  if (t.size() == 0) return r;
  const std::size_t bytes = size_of(t.type());
  for (std::size_t k = 0; k < t.rank(); ++k) {
    const std::ptrdiff_t reach = static_cast<std::ptrdiff_t>(t.extent(k) - 1) * t.stride(k);
    if (reach < 0)
      r.first -= static_cast<std::size_t>(-reach) * bytes;
    else
      r.last += static_cast<std::size_t>(reach) * bytes;
  }
  r.last += bytes;
  return r;
}

/// True if two elements of an output could share memory: a zero stride, or strides that fold onto each other.
inline bool self_overlapping(const any_mutable_tensor& t) noexcept {
  if (t.contiguous()) return false;
  // Dimensions in ascending stride: each must step over all that the smaller ones reach.
  std::size_t done = 0;
  bool used[max_rank] = {};
  std::size_t reach = 1;
  for (; done < t.rank(); ++done) {
    std::size_t best = max_rank, smallest = SIZE_MAX;
    for (std::size_t k = 0; k < t.rank(); ++k) {
      const std::ptrdiff_t s = t.stride(k);
      const auto size = static_cast<std::size_t>(s < 0 ? -s : s);
      if (!used[k] && size < smallest) smallest = size, best = k;
    }
    used[best] = true;
    if (t.extent(best) == 1) continue;
    if (smallest < reach) return true;
    reach += (t.extent(best) - 1) * smallest;
  }
  return false;
}

/// Notes a caller's error and the tensor it is about.
template <class Entry>
errc refuse(outcome& o, errc code, std::size_t tensor, const Entry& entry) noexcept {
  o.tensor = tensor;
  o.tensor_name = entry.name;
  return code;
}

/// Checks the output and the base, fills the segments: everything about a call that no client can cause.
inline errc admit_output(const cohort& clients, detail::slice<const basic_named_tensor<void>> out, const options& how,
                         round_buffers& b) {
  outcome& o = b.result;
  b.segments.clear();
  b.base_views.clear();
  b.ranges.clear();
  const auto base = clients.base_row();
  if (clients.size() == 0) return errc::empty_cohort;
  if (clients.status() != errc::ok) return clients.status();
  std::size_t at_base = 0;
  for (std::size_t k = 0; k < out.size(); ++k) {
    const auto& entry = out[k];
    if (!how.where.contains(entry.name)) continue;
    const any_mutable_tensor& t = entry.tensor;
    if (t.status() != errc::ok) return refuse(o, t.status(), k, entry);
    if (self_overlapping(t)) return refuse(o, errc::overlapping_output, k, entry);
    const any_tensor* from = nullptr;
    if (clients.has_base()) {
      while (at_base < base.size() && !how.where.contains(base[at_base].name)) ++at_base;
      if (at_base == base.size()) return refuse(o, errc::layout_mismatch, k, entry);
      const auto& source = base[at_base++];
      if (source.name != entry.name || source.tensor.type() != t.type() || !same_shape(source.tensor, any_tensor(t)))
        return refuse(o, errc::layout_mismatch, k, entry);
      if (source.tensor.status() != errc::ok) return refuse(o, source.tensor.status(), k, entry);
      from = &source.tensor;
    }
    segment s;
    s.tensor = k;
    s.position = b.segments.size();
    s.size = t.size();
    s.type = t.type();
    s.keep = !is_floating(t.type()) && entry.policy == integers::keep;
    if (s.keep && from == nullptr) return refuse(o, errc::missing_base, k, entry);
    if (t.type() == dtype::other || (!s.keep && !is_floating(t.type()) && !is_integer(t.type())))
      return refuse(o, errc::unsupported_element, k, entry);
    b.segments.push_back(s);
    b.base_views.push_back(from);
    if (t.size() != 0) b.ranges.push_back(range_of(t));
  }
  while (at_base < base.size() && !how.where.contains(base[at_base].name)) ++at_base;
  if (at_base < base.size()) return refuse(o, errc::layout_mismatch, at_base, base[at_base]);
  if (b.segments.empty() && !out.empty()) return errc::empty_scope;
  return errc::ok;
}

/// Sorts ranges by their first byte (a heap sort: no allocation, no attacker-chosen cost).
inline void sort_ranges(detail::list<byte_range>& r) noexcept {
  const auto sift = [&r](std::size_t root, std::size_t count) {
    for (std::size_t child; (child = 2 * root + 1) < count; root = child) {
      if (child + 1 < count && r[child].first < r[child + 1].first) ++child;
      if (!(r[root].first < r[child].first)) return;
      const byte_range t = r[root];
      r[root] = r[child];
      r[child] = t;
    }
  };
  for (std::size_t i = r.size() / 2; i-- > 0;) sift(i, r.size());
  for (std::size_t end = r.size(); end-- > 1;) {
    const byte_range t = r[0];
    r[0] = r[end];
    r[end] = t;
    sift(0, end);
  }
}

/// True if the range touches one of the sorted, disjoint ranges.
inline bool touches(const detail::list<byte_range>& sorted, byte_range x) noexcept {
  std::size_t low = 0, high = sorted.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (sorted[middle].last <= x.first)
      low = middle + 1;
    else
      high = middle;
  }
  return x.first < x.last && low < sorted.size() && sorted[low].first < x.last;
}

/// True if two views are the same elements at the same places.
inline bool same_view(const any_tensor& a, const any_tensor& b) noexcept {
  if (a.data() != b.data() || a.type() != b.type() || !same_shape(a, b)) return false;
  for (std::size_t k = 0; k < a.rank(); ++k)
    if (a.stride(k) != b.stride(k) && a.extent(k) > 1) return false;
  return true;
}

/// The tensors of client i; the trusted row's after the last client.
inline detail::slice<const named_tensor> row_tensors(const cohort& clients, std::size_t i) noexcept {
  return i < clients.size() ? clients.row(i) : clients.trusted_row();
}

/// The output may not overlap itself, a client, or the base unless it is the base. `in_place` tells whether it is.
inline errc admit_memory(const cohort& clients, detail::slice<const basic_named_tensor<void>> out, round_buffers& b,
                         bool& in_place) {
  outcome& o = b.result;
  in_place = false;
  sort_ranges(b.ranges);
  for (std::size_t i = 1; i < b.ranges.size(); ++i)
    if (b.ranges[i].first < b.ranges[i - 1].last) return errc::overlapping_output;
  for (const segment& s : b.segments.each()) {
    const any_tensor* base = b.base_views[s.position];
    if (base == nullptr) continue;
    const bool same = same_view(*base, any_tensor(out[s.tensor].tensor));
    if (same)
      in_place = true;
    else if (touches(b.ranges, range_of(*base)))
      return refuse(o, errc::overlapping_output, s.tensor, out[s.tensor]);
  }
  for (std::size_t i = 0; i < clients.size() + (clients.has_trusted() ? 1 : 0); ++i)
    for (const auto& entry : row_tensors(clients, i))
      if (touches(b.ranges, range_of(entry.tensor))) {
        o.tensor_name = entry.name;
        return errc::overlapping_output;
      }
  return errc::ok;
}

/// What is wrong with a client before its values are looked at; `tensor` and `name` say where.
inline errc client_fault(const cohort& clients, std::size_t i, detail::slice<const basic_named_tensor<void>> out,
                         const options& how, const round_buffers& b, std::size_t& tensor,
                         std::string_view& name) noexcept {
  const auto entries = row_tensors(clients, i);
  std::size_t at = 0;
  for (const segment& s : b.segments.each()) {
    tensor = s.tensor;
    name = out[s.tensor].name;
    while (at < entries.size() && !how.where.contains(entries[at].name)) ++at;
    if (at == entries.size()) return errc::client_layout;
    const auto& entry = entries[at++];
    if (entry.tensor.status() != errc::ok) return entry.tensor.status();
    const any_mutable_tensor& want = out[s.tensor].tensor;
    if (entry.name != out[s.tensor].name || entry.tensor.type() != want.type() ||
        !same_shape(entry.tensor, any_tensor(want)))
      return errc::client_layout;
  }
  while (at < entries.size() && !how.where.contains(entries[at].name)) ++at;
  if (at < entries.size()) {
    tensor = at;
    name = entries[at].name;
    return errc::client_layout;
  }
  tensor = 0;
  name = {};
  return i == clients.size() || detail::valid_weight(clients.weight(i)) ? errc::ok : errc::invalid_weight;
}

/// Coordinates of a task when the caller does not say.
inline constexpr std::size_t default_grain = 65536;

/// True if the elements fill their range of memory without gaps, in whatever order of dimensions.
inline bool dense(const any_tensor& t) noexcept {
  if (t.contiguous()) return true;
  const byte_range r = range_of(t);
  bool ascending = true;
  for (std::size_t k = 0; k < t.rank(); ++k) ascending = ascending && t.stride(k) > 0;
  return ascending && r.last - r.first == t.size() * size_of(t.type());
}

inline bool same_order(const any_tensor& a, const any_tensor& b) noexcept {
  if (a.contiguous() && b.contiguous()) return true;
  for (std::size_t k = 0; k < a.rank(); ++k)
    if (a.stride(k) != b.stride(k) && a.extent(k) > 1) return false;
  return true;
}

/// Fills the views and pointers of the clients in use, and cuts the segments into tasks; returns their number.
inline std::size_t lay_out(const cohort& clients, detail::slice<const basic_named_tensor<void>> out, const options& how,
                           round_buffers& b) {
  const std::size_t n = b.present.size();
  const std::size_t grain = how.grain ? how.grain : default_grain;
  b.views.assign(b.segments.size() * n, nullptr);
  b.pointers.assign(b.segments.size() * n, nullptr);
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t position = 0;
    for (const auto& entry : row_tensors(clients, b.present[k])) {
      if (!how.where.contains(entry.name)) continue;
      b.views[position * n + k] = &entry.tensor;
      b.pointers[position * n + k] = entry.tensor.data();
      ++position;
    }
  }
  std::size_t tasks = 0;
  for (segment& s : b.segments.each()) {
    s.first_task = tasks;
    tasks += s.size / grain + (s.size % grain != 0);
    const any_tensor target(out[s.tensor].tensor);
    s.direct = is_floating(s.type) && dense(target);
    for (std::size_t k = 0; k < n && s.direct; ++k) s.direct = same_order(target, *b.views[s.position * n + k]);
    if (b.base_views[s.position]) s.direct = s.direct && same_order(target, *b.base_views[s.position]);
  }
  return tasks;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ADMISSION_HPP
