// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_SECURE_SETUP_HPP
#define FEDAGG_SECURE_SECURE_SETUP_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <fedagg/core/errc.hpp>
#include <fedagg/secure/graph_parameters.hpp>
#include <fedagg/secure/mask.hpp>
#include <fedagg/secure/protocol/transcript.hpp>
#include <fedagg/secure/ring_vector.hpp>
#include <fedagg/secure/threat_model.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// How strong a round of secure aggregation is. Every party holds these itself: a message made under others is refused.
struct secure_parameters {
  threat_model model = threat_model::malicious;
  /// Clients that may work together with the server, or with each other, against the rest.
  std::uint32_t colluding = 0;
  /// Clients that may stop answering at any time, and the round still ends with the sum of the others.
  std::uint32_t dropouts = 0;
  /// Shares that open a secret (t); 0 for the most that these dropouts allow on the complete graph, n - dropouts.
  std::uint32_t threshold = 0;
  /// Clients that each one shares masks with: 0 for all others, else an even number (SecAgg+, Bell et al. 2020), which
  /// `malicious` does not allow.
  std::uint32_t degree = 0;
  /// Inputs below which no sum is opened; 0 for colluding + 2, below which no other number may be.
  std::uint32_t minimum_inputs = 0;
};

namespace impl {

/// A server that is honest only until the graph is fixed also says who leaves.
constexpr graph_setting graph_of(std::uint32_t clients, const secure_parameters& p) noexcept {
  return {clients, p.colluding, p.dropouts, p.model, p.model != threat_model::curious};
}

} // namespace impl

/// Sets degree and threshold to the cheapest that keep what the other parameters promise: a sparse graph where one
/// does, but in the `malicious` model. `insecure_parameters` where none does, `bad_parameter` for no clients or too
/// many; unchanged then.
[[nodiscard]] constexpr errc try_choose_graph(std::uint32_t clients, secure_parameters& p) noexcept {
  graph_parameters found;
  const errc rc = try_find_graph(impl::graph_of(clients, p), found);
  if (rc == errc::ok) p.degree = found.degree, p.threshold = found.threshold;
  return rc;
}

/// What all parties of one round agreed on beforehand, by other means than the server.
struct secure_setup {
  secure_parameters parameters;
  /// The clients' long-term Ed25519 keys. A client is known by its place in here.
  std::vector<public_key> roster;
  /// Names this training run: 32 random bytes, say.
  digest session = {};
  std::uint64_t round = 0;
  ring_layout layout;
  /// What the vectors mean: a codec's description. All of it must be the same everywhere.
  std::vector<std::uint8_t> description;

  /// The vectors are a codec's: takes its layout and description. Throws std::bad_alloc.
  template <class Codec>
  void carry(const Codec& codec) {
    struct {
      std::vector<std::uint8_t>& out;
      void update(bytes_view in) { out.insert(out.end(), in.begin(), in.end()); }
    } sink{description};
    description.clear();
    codec.describe(sink);
    layout = codec.layout();
  }

  std::uint32_t clients() const noexcept { return static_cast<std::uint32_t>(roster.size()); }
  bool complete() const noexcept { return parameters.degree == 0 || parameters.degree + 1 == clients(); }
  std::uint32_t degree() const noexcept { return complete() ? clients() - 1 : parameters.degree; }
  std::uint32_t threshold() const noexcept {
    if (parameters.threshold != 0 || !complete() || parameters.dropouts >= clients()) return parameters.threshold;
    return clients() - parameters.dropouts;
  }
  std::uint32_t minimum_inputs() const noexcept {
    return parameters.minimum_inputs == 0 ? parameters.colluding + 2 : parameters.minimum_inputs;
  }
  /// Whether clients first sign whose inputs are summed, and open nothing before a quorum has signed the same.
  bool consistent() const noexcept { return parameters.model != threat_model::curious; }
  /// How many signatures on one set of survivors: two sets cannot both get that many, because an honest client signs
  /// one. More than half of all clients and the colluding ones once more; on the complete graph the threshold is.
  std::uint32_t quorum() const noexcept {
    if (!consistent()) return 0;
    return complete() ? threshold() : (clients() + parameters.colluding) / 2 + 1;
  }
  /// Fewer members than this, and a set of clients is refused. On a sparse graph more dropouts than were declared could
  /// leave survivors that are not connected, and then the sums of their parts come out.
  std::uint32_t least() const noexcept {
    std::uint32_t most = complete() ? threshold() : quorum();
    const std::uint32_t alive = complete() || parameters.dropouts >= clients() ? 0 : clients() - parameters.dropouts;
    if (alive > most) most = alive;
    return minimum_inputs() > most ? minimum_inputs() : most;
  }

  /// `ok` if the conditions of the threat model hold (see threat_model.hpp), else `insecure_parameters`; `bad_key` for
  /// a key that stands twice in the roster; `size_overflow` for a segment that is longer than a mask;
  /// `bad_parameter`.
  template <mask_generator G = chacha20_masks>
  errc check() const noexcept {
    const secure_parameters& p = parameters;
    if (roster.size() < 2 || roster.size() > 1000000 || layout.size() == 0) return errc::bad_parameter;
    const std::uint32_t n = clients();
    if (p.colluding >= n || p.dropouts >= n || p.degree >= n) return errc::bad_parameter;
    for (std::size_t k = 0; k < layout.size(); ++k)
      if (layout.segment(k).count > std::uint64_t{G::segment_bytes} / layout.word_bytes(k)) return errc::size_overflow;
    if (minimum_inputs() < p.colluding + 2) return errc::insecure_parameters;
    if (least() > n - p.dropouts) return errc::insecure_parameters;
    const errc rc = complete() ? check_complete(n, threshold(), p.colluding, p.dropouts, p.model)
                               : check_graph(impl::graph_of(n, p), {p.degree, threshold()});
    if (rc != errc::ok) return rc;
    return impl::no_throw([&] {
      std::vector<public_key> sorted = roster;
      std::sort(sorted.begin(), sorted.end());
      return std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end() ? errc::ok : errc::bad_key;
    });
  }

  /// The name of this setup with these primitives and masks, different for any other.
  template <crypto_suite S, mask_generator G = chacha20_masks>
  digest hash() const noexcept {
    const secure_parameters& p = parameters;
    transcript<S> h("fedagg secure aggregation 1 setup");
    h.bytes(transcript<S>::text(S::name)).bytes(transcript<S>::text(G::name));
    h.number(static_cast<std::uint64_t>(p.model)).number(p.colluding).number(p.dropouts).number(threshold());
    h.number(degree()).number(minimum_inputs()).bytes(session).number(round);
    h.number(roster.size());
    for (const public_key& key : roster) h.bytes(key);
    h.number(layout.size());
    for (std::size_t k = 0; k < layout.size(); ++k) h.number(layout.segment(k).bits).number(layout.segment(k).count);
    return h.bytes(description).finish();
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_SECURE_SETUP_HPP
