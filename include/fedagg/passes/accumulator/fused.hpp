// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_ACCUMULATOR_FUSED_HPP
#define FEDAGG_PASSES_ACCUMULATOR_FUSED_HPP

#include <cstddef>
#include <span>

#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/accumulator/places.hpp>
#include <fedagg/passes/accumulator/shards.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS::impl {

/// Neighbouring tiles that one task adds, and how far it came.
struct fused_part {
  std::size_t first = 0, last = 0;
  std::size_t reached = 0; ///< tiles before it have been added
  std::size_t inside = 0;  ///< and so many elements of this one
  sum_notes notes;
};

/// Adds a client that is looked at in the same read. Where too many sums have to be noted, what is left is looked at
/// first and added after that: never more than two reads. A client that cannot be used is taken back. The sums must be
/// the caller's alone. `spoilt` if the executor lost a part of them.
template <class Sums>
errc add_fused(const sum_places& places, Sums& sums, const typename Sums::term& t, const model_view& client,
               executor_ref executor, std::span<sum_note> notes, bool& spoilt) noexcept {
  constexpr std::size_t most = 64;
  fused_part parts[most];
  const std::size_t tiles = places.tiles(), wanted = executor.concurrency() == 1 ? 1 : most;
  const std::size_t count = tiles < wanted ? tiles : wanted;
  for (std::size_t i = 0; i < count; ++i) {
    parts[i].first = parts[i].reached = tiles / count * i + (i < tiles % count ? i : tiles % count);
    if (i > 0) parts[i - 1].last = parts[i].first;
    parts[i].notes = {notes.data() + notes.size() / count * i, notes.size() / count, 0};
  }
  if (count > 0) parts[count - 1].last = tiles;
  const auto view_of = [&](const sum_places::tile& at) -> const any_tensor& {
    return client.entries()[at.tensor].tensor;
  };

  unsigned char bad = 0;
  const errc begun = run_tasks(executor, count, [&](std::size_t i) {
    fused_part& p = parts[i];
    bool noting = true;
    for (std::size_t k = p.first; k < p.last && detail::relaxed_load(bad) == 0; ++k) {
      const auto at = places.at(k);
      bool found = false;
      if (noting) {
        p.inside = sums.add_noting(t, view_of(at), at.begin, at.end, at.first, p.notes, found);
        noting = p.inside == at.end - at.begin;
        if (noting) p.inside = 0;
        p.reached = k + noting;
      }
      if (!noting && !found)
        found = sums.look(t, view_of(at), at.begin + (k == p.reached ? p.inside : 0), at.end) != errc::ok;
      if (found) detail::relaxed_store(bad, static_cast<unsigned char>(1));
    }
  });
  spoilt = begun != errc::ok;
  if (spoilt) return begun;

  if (bad != 0) {
    const errc undone = run_tasks(executor, count, [&](std::size_t i) {
      const fused_part& p = parts[i];
      for (std::size_t k = p.first; k < p.last && k <= p.reached; ++k) {
        const auto at = places.at(k);
        sums.take_back(t, view_of(at), at.begin, k < p.reached ? at.end : at.begin + p.inside, at.first);
      }
      for (std::size_t n = 0; n < p.notes.used; ++n) p.notes.first[n].restore();
    });
    spoilt = undone != errc::ok;
    if (spoilt) return undone;
    // Slow, but it always names the first tensor at fault.
    for (std::size_t k = 0; k < tiles; ++k) {
      const auto at = places.at(k);
      if (const errc rc = sums.look(t, view_of(at), at.begin, at.end); rc != errc::ok) return rc;
    }
    return errc::non_finite;
  }

  bool whole = true;
  for (std::size_t i = 0; i < count; ++i) whole = whole && parts[i].reached == parts[i].last;
  if (whole) return errc::ok;
  const errc ended = run_tasks(executor, count, [&](std::size_t i) {
    const fused_part& p = parts[i];
    for (std::size_t k = p.reached; k < p.last; ++k) {
      const auto at = places.at(k);
      const std::size_t done = k == p.reached ? p.inside : 0;
      sums.add(t, view_of(at), at.begin + done, at.end, at.first + done);
    }
  });
  spoilt = ended != errc::ok;
  return ended;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS::impl

#endif // FEDAGG_PASSES_ACCUMULATOR_FUSED_HPP
