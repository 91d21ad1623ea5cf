// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_STRATEGY_SETTINGS_HPP
#define FEDAGG_ADAPTERS_STRATEGY_SETTINGS_HPP

#include <cstdint>
#include <tuple>

#include <fedagg/core/element.hpp>
#include <fedagg/core/errc.hpp>
#include <fedagg/core/rule.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// What clients do to their own training; the headers under client/ do it.
enum class client_algorithm : std::uint8_t { fed_avg, fed_prox, scaffold, fed_dyn, fed_nova, mime, mime_lite, ditto };

inline constexpr const char* client_algorithm_names[] = {"fed_avg",  "fed_prox", "scaffold",  "fed_dyn",
                                                         "fed_nova", "mime",     "mime_lite", "ditto"};
constexpr name_list value_names(client_algorithm) noexcept { return {client_algorithm_names, 8}; }

/// What a strategy tells the trainers: carried to them, not interpreted by the server.
struct client_settings {
  client_algorithm algorithm = client_algorithm::fed_avg;
  double learning_rate = 0.01;
  double momentum = 0;
  std::int64_t epochs = 1;
  std::int64_t batch = 32;
  double mu = unset;        ///< of fed_prox and ditto, which need it
  double alpha = unset;     ///< of fed_dyn, which needs it
  double clip_norm = unset; ///< longer updates are shortened to this before they are sent

  static constexpr const char* name = "client";
  static constexpr auto fields() {
    using c = client_settings;
    return std::tuple{field{"algorithm", &c::algorithm, 0, 7, "what changes in local training"},
                      field{"learning_rate", &c::learning_rate, 0, 1e6, "of local steps"},
                      field{"momentum", &c::momentum, 0, 1, "of local steps"},
                      field{"epochs", &c::epochs, 1, any_count, "passes over the local data"},
                      field{"batch", &c::batch, 1, any_count, "examples of a step"},
                      field{"mu", &c::mu, unset, 1e12, "weight of the proximal term"},
                      field{"alpha", &c::alpha, unset, 1e12, "weight of FedDyn's penalty"},
                      field{"clip_norm", &c::clip_norm, unset, 1e300, "the longest update that is sent as it is"}};
  }

  /// `bad_parameter` if the algorithm lacks its number, or has another's.
  errc check() const noexcept {
    const bool proximal = algorithm == client_algorithm::fed_prox || algorithm == client_algorithm::ditto;
    const bool dynamic = algorithm == client_algorithm::fed_dyn;
    if (proximal != (mu != unset) || dynamic != (alpha != unset)) return errc::bad_parameter;
    if ((proximal && mu < 0) || (dynamic && !(alpha > 0)) || (clip_norm != unset && !(clip_norm > 0)))
      return errc::bad_parameter;
    return errc::ok;
  }
};

/// Where the weights of a cohort come from.
enum class weight_source : std::uint8_t {
  claims, ///< what clients say: numbers of examples, usually
  uniform,
};

inline constexpr const char* weight_source_names[] = {"claims", "uniform"};
constexpr name_list value_names(weight_source) noexcept { return {weight_source_names, 2}; }

struct weight_settings {
  weight_source by = weight_source::claims;
  double share = unset; ///< no client has more than this share of all weight

  static constexpr const char* name = "weights";
  static constexpr auto fields() {
    using w = weight_settings;
    return std::tuple{field{"by", &w::by, 0, 1, "claims of the clients, or all alike"},
                      field{"share", &w::share, unset, 1, "the largest share of one client"}};
  }
  errc check() const noexcept { return share != unset && !(share > 0) ? errc::bad_parameter : errc::ok; }
};

/// What else a server needs to know.
enum class client_rows : std::uint8_t { models, updates };
inline constexpr const char* client_rows_names[] = {"models", "updates"};
constexpr name_list value_names(client_rows) noexcept { return {client_rows_names, 2}; }

enum class state_precision : std::uint8_t { f32, f64 };
inline constexpr const char* state_precision_names[] = {"f32", "f64"};
constexpr name_list value_names(state_precision) noexcept { return {state_precision_names, 2}; }

enum class strategy_policy : std::uint8_t { reject, fail };
inline constexpr const char* strategy_policy_names[] = {"reject", "fail"};
constexpr name_list value_names(strategy_policy) noexcept { return {strategy_policy_names, 2}; }

struct server_settings {
  client_rows send = client_rows::models;
  strategy_policy on_bad_client = strategy_policy::reject;
  state_precision state = state_precision::f32;
  std::int64_t clients = unset; ///< of the whole federation, for optimizers that count who took part

  static constexpr const char* name = "server";
  static constexpr auto fields() {
    using s = server_settings;
    return std::tuple{field{"send", &s::send, 0, 1, "what clients send: models, or updates"},
                      field{"on_bad_client", &s::on_bad_client, 0, 1, "what a client at fault does to the round"},
                      field{"state", &s::state, 0, 1, "what the optimizer's state is kept in"},
                      field{"clients", &s::clients, unset, any_count, "clients of the whole federation"}};
  }
  errc check() const noexcept { return clients != unset && clients < 1 ? errc::bad_parameter : errc::ok; }
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_ADAPTERS_STRATEGY_SETTINGS_HPP
