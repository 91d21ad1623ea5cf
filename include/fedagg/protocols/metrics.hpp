// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_METRICS_HPP
#define FEDAGG_PROTOCOLS_METRICS_HPP

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/core/exact_sum.hpp>
#include <fedagg/core/weighting.hpp>
#include <fedagg/kernels/fp_guard.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// One figure that a client reports: of its training or of an evaluation. The key is borrowed.
struct metric {
  std::string_view key;
  double value = 0;
  double weight = 1; ///< examples behind the value, usually
};

/// What became of one key: sum w v / sum w over the clients that reported it.
struct metric_mean {
  std::string_view key;
  double value = 0;
  double weight = 0;       ///< sum w; the largest double beyond it
  std::size_t clients = 0; ///< that reported it, with a weight of zero too
  errc code = errc::ok;    ///< `zero_weight_sum`: there is no value
};

/// An entry that was left out, and why: `non_finite`, `invalid_weight`, `client_layout` for a key that was not
/// declared, `duplicate_client` for every entry of a key that one report has twice.
struct rejected_metric {
  std::string_view id;
  std::string_view key;
  errc reason = errc::ok;
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Means of what clients report, with a denominator for each key: only the clients that report a key count in it. Sums
/// are exact, so that the results and their order are the same for every order of arrival and every tree of servers. A
/// bad entry is left out and named; the report's other entries count. About 1.1 KB for each key; who has reported
/// already is for the round to know.
class metric_means {
public:
  /// Takes any key: a client decides how much memory is taken.
  metric_means() = default;
  /// Takes these keys alone, each of which appears in the results. Throws std::bad_alloc.
  explicit metric_means(std::span<const std::string_view> keys) : declared_(true) {
    std::vector<std::string_view> all(keys.begin(), keys.end());
    std::sort(all.begin(), all.end());
    take(all);
  }

  /// Adds a client's report. Never throws; `out_of_memory` if there is none for it, and nothing of it is in then.
  [[nodiscard]] errc try_add(std::string_view id, std::span<const metric> report) noexcept {
    const impl::fp_guard guard;
#if FEDAGG_EXCEPTIONS
    try {
#endif
      // Everything that takes memory comes first.
      std::vector<std::size_t> order(report.size());
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::tuple(report[a].key, a) < std::tuple(report[b].key, b);
      });
      std::vector<fault> faults;
      std::vector<std::string_view> names;
      std::size_t good = 0;
      for (std::size_t k = 0; k < order.size(); ++k) {
        const metric& m = report[order[k]];
        const bool twice =
            (k > 0 && report[order[k - 1]].key == m.key) || (k + 1 < order.size() && report[order[k + 1]].key == m.key);
        const errc reason = fault_of(m, twice);
        if (reason != errc::ok)
          faults.push_back({copy(id), copy(m.key), reason});
        else
          order[good++] = order[k];
      }
      for (std::size_t k = 0; k < good; ++k) names.push_back(report[order[k]].key);
      if (!declared_) take(names);
      take(faults);
      for (std::size_t k = 0; k < good; ++k) {
        const metric& m = report[order[k]];
        sums& s = *find(m.key);
        s.weighted.add_product(m.weight, m.value);
        s.weight.add(m.weight);
        ++s.clients;
      }
      ++reports_;
      return errc::ok;
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      return errc::out_of_memory;
    }
#endif
  }

  /// Adds what another server has gathered; keys that are not declared here are named as that. `out_of_memory`.
  [[nodiscard]] errc try_merge(const metric_means& other) noexcept {
#if FEDAGG_EXCEPTIONS
    try {
#endif
      std::vector<fault> faults = other.faults_;
      std::vector<std::string_view> names;
      for (const std::size_t k : other.order_) {
        names.push_back(view(other.keys_[k].key));
        if (declared_ && other.keys_[k].clients > 0 && !find(names.back()))
          faults.push_back({{}, other.keys_[k].key, errc::client_layout});
      }
      if (!declared_) take(names);
      take(faults);
      for (const sums& from : other.keys_) {
        sums* s = find(view(from.key));
        if (!s) continue;
        s->weighted.merge(from.weighted);
        s->weight.merge(from.weight);
        s->clients += from.clients;
      }
      reports_ += other.reports_;
      return errc::ok;
#if FEDAGG_EXCEPTIONS
    } catch (...) {
      return errc::out_of_memory;
    }
#endif
  }

  /// The same; throw fedagg::error.
  void add(std::string_view id, std::span<const metric> report) {
    if (const errc rc = try_add(id, report); rc != errc::ok) impl::raise(rc, id);
  }
  void merge(const metric_means& other) {
    if (const errc rc = try_merge(other); rc != errc::ok) impl::raise(rc);
  }

  /// The means so far, ascending by key; keys are borrowed until the next change. Throws std::bad_alloc.
  std::vector<metric_mean> results() const {
    const impl::fp_guard guard;
    std::vector<metric_mean> out;
    for (const std::size_t k : order_) {
      const sums& s = keys_[k];
      // Left over from a report that there was no memory for.
      if (s.clients == 0 && !declared_) continue;
      metric_mean m;
      m.key = view(s.key);
      m.weight = s.weight.nearest();
      m.clients = s.clients;
      if (s.weight.value().significand > 0)
        m.value = detail::exact_sum::ratio(s.weighted, s.weight);
      else
        m.code = errc::zero_weight_sum;
      out.push_back(m);
    }
    return out;
  }

  /// The entries that were left out, ascending by client and key; borrowed until the next change.
  std::vector<rejected_metric> rejected() const {
    std::vector<rejected_metric> out;
    for (const fault& f : faults_) out.push_back({view(f.id), view(f.key), f.reason});
    return out;
  }

  std::size_t reports() const noexcept { return reports_; }

  /// Forgets the reports; declared keys stay declared.
  void clear() noexcept {
    faults_.clear();
    reports_ = 0;
    if (!declared_) {
      keys_.clear();
      order_.clear();
    }
    for (sums& s : keys_) {
      s.weighted = s.weight = {};
      s.clients = 0;
    }
  }

private:
  using text = std::vector<char>;
  struct sums {
    text key;
    detail::exact_sum weighted, weight;
    std::size_t clients = 0;
  };
  struct fault {
    text id, key;
    errc reason;
    bool operator<(const fault& other) const noexcept {
      return std::tuple(view(id), view(key), reason) < std::tuple(view(other.id), view(other.key), other.reason);
    }
  };

  static std::string_view view(const text& t) noexcept { return {t.data(), t.size()}; }
  static text copy(std::string_view s) { return text(s.begin(), s.end()); }

  const sums* find(std::string_view key) const noexcept {
    const auto place = std::lower_bound(order_.begin(), order_.end(), key,
                                        [&](std::size_t k, std::string_view x) { return view(keys_[k].key) < x; });
    return place != order_.end() && view(keys_[*place].key) == key ? &keys_[*place] : nullptr;
  }
  sums* find(std::string_view key) noexcept { return const_cast<sums*>(std::as_const(*this).find(key)); }

  /// Makes room for those of the sorted keys that are new.
  void take(std::span<const std::string_view> keys) {
    const std::size_t before = keys_.size();
    std::vector<sums> fresh;
    for (std::size_t k = 0; k < keys.size(); ++k) {
      if ((k > 0 && keys[k] == keys[k - 1]) || find(keys[k])) continue;
      fresh.emplace_back();
      fresh.back().key = copy(keys[k]);
    }
    keys_.reserve(before + fresh.size());
    order_.reserve(before + fresh.size());
    for (sums& s : fresh) {
      order_.push_back(keys_.size());
      keys_.push_back(std::move(s));
    }
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return view(keys_[a].key) < view(keys_[b].key); });
  }
  void take(std::vector<fault>& faults) {
    faults_.reserve(faults_.size() + faults.size());
    for (fault& f : faults) faults_.push_back(std::move(f));
    std::sort(faults_.begin(), faults_.end());
  }

  errc fault_of(const metric& m, bool twice) const noexcept {
    if (declared_ && !find(m.key)) return errc::client_layout;
    if (twice) return errc::duplicate_client;
    if (!is_finite(m.value)) return errc::non_finite;
    return detail::valid_weight(m.weight) ? errc::ok : errc::invalid_weight;
  }

  bool declared_ = false;
  std::vector<sums> keys_;         // in the order in which they came
  std::vector<std::size_t> order_; // of keys_, ascending by key
  std::vector<fault> faults_;
  std::size_t reports_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_METRICS_HPP
