// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PROTOCOLS_METRICS_HPP
#define FEDAGG_PROTOCOLS_METRICS_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
  static constexpr const char* kind = "metric_means";
  static constexpr unsigned version = 1;

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

  /// The same reports give the same file, in whichever order they came.
  template <class Archive>
  errc archive(Archive& a) {
    std::uint64_t reports = reports_;
    text names;
    std::vector<std::uint64_t> name_sizes, clients, words;
    std::vector<std::uint32_t> reasons;
    for (const std::size_t k : order_) {
      name_sizes.push_back(keys_[k].key.size());
      clients.push_back(keys_[k].clients);
      names.insert(names.end(), keys_[k].key.begin(), keys_[k].key.end());
      for (const detail::exact_sum* s : {&keys_[k].weighted, &keys_[k].weight})
        words.insert(words.end(), s->words().begin(), s->words().end());
    }
    for (const fault& f : faults_) {
      reasons.push_back(static_cast<std::uint32_t>(f.reason));
      for (const text* t : {&f.id, &f.key}) {
        name_sizes.push_back(t->size());
        names.insert(names.end(), t->begin(), t->end());
      }
    }
    if (const errc rc = a.value("declared", declared_); rc != errc::ok) return rc;
    if (const errc rc = a.value("reports", reports); rc != errc::ok) return rc;
    if (const errc rc = a.value("names", names); rc != errc::ok) return rc;
    if (const errc rc = a.array("name_sizes", name_sizes); rc != errc::ok) return rc;
    if (const errc rc = a.array("clients", clients); rc != errc::ok) return rc;
    if (const errc rc = a.array("sums", words); rc != errc::ok) return rc;
    if (const errc rc = a.array("fault_reasons", reasons); rc != errc::ok) return rc;
    reports_ = static_cast<std::size_t>(reports);
    return a.loading() ? load({names.data(), names.size()}, name_sizes, clients, words, reasons) : errc::ok;
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

  errc load(std::string_view names, std::span<const std::uint64_t> sizes, std::span<const std::uint64_t> clients,
            std::span<const std::uint64_t> words, std::span<const std::uint32_t> reasons) {
    constexpr std::size_t each = detail::exact_sum::size;
    if (sizes.size() < clients.size() || sizes.size() - clients.size() != 2 * reasons.size()) return errc::file_format;
    if (words.size() / each / 2 != clients.size() || words.size() % (2 * each) != 0) return errc::file_format;
    std::vector<std::string_view> parts;
    for (const std::uint64_t size : sizes) {
      if (size > names.size()) return errc::file_format;
      parts.push_back(names.substr(0, static_cast<std::size_t>(size)));
      names.remove_prefix(static_cast<std::size_t>(size));
    }
    if (!names.empty()) return errc::file_format;
    for (std::size_t k = 1; k < clients.size(); ++k)
      if (!(parts[k - 1] < parts[k])) return errc::file_format;
    take(std::span<const std::string_view>(parts).first(clients.size()));
    for (std::size_t k = 0; k < clients.size(); ++k) {
      keys_[k].clients = static_cast<std::size_t>(clients[k]);
      const auto from = words.subspan(2 * each * k, 2 * each);
      std::copy_n(from.begin(), each, keys_[k].weighted.words().begin());
      std::copy_n(from.begin() + each, each, keys_[k].weight.words().begin());
      if (keys_[k].weight.value().significand < 0) return errc::file_format;
    }
    for (std::size_t k = 0; k < reasons.size(); ++k) {
      const auto reason = static_cast<errc>(reasons[k]);
      if (reason != errc::non_finite && reason != errc::invalid_weight && reason != errc::client_layout &&
          reason != errc::duplicate_client)
        return errc::file_format;
      faults_.push_back({copy(parts[clients.size() + 2 * k]), copy(parts[clients.size() + 2 * k + 1]), reason});
    }
    return std::is_sorted(faults_.begin(), faults_.end()) ? errc::ok : errc::file_format;
  }

  bool declared_ = false;
  std::vector<sums> keys_;         // in the order in which they came
  std::vector<std::size_t> order_; // of keys_, ascending by key
  std::vector<fault> faults_;
  std::size_t reports_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PROTOCOLS_METRICS_HPP
