// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_STRATEGY_DESCRIPTION_HPP
#define FEDAGG_ADAPTERS_STRATEGY_DESCRIPTION_HPP

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <fedagg/adapters/json/any_value.hpp>
#include <fedagg/adapters/strategy/any_chain.hpp>
#include <fedagg/adapters/strategy/any_optimizer.hpp>
#include <fedagg/adapters/strategy/secure_settings.hpp>
#include <fedagg/adapters/strategy/settings.hpp>
#include <fedagg/core/error.hpp>
#include <fedagg/core/schedule.hpp>
#include <fedagg/core/tensor_roles.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A whole strategy: whose word counts how much, what is done to the rows before the rule, the rule, the server's
/// optimizer, and what the clients are told. A value; JSON both ways.
struct strategy {
  server_settings server;
  weight_settings weights;
  any_chain aggregation;
  any_optimizer optimizer;
  schedule rate;
  tensor_roles roles; ///< the patterns that JSON lists come after the built-in ones
  client_settings client;
  std::optional<secure_settings> secure; ///< by secure aggregation, which opens the sum alone

  /// Reads a JSON text; every key is optional but "rule". `value` is untouched unless the result is `ok`, else `why` names
  /// the key. `json_type`, `bad_parameter` (also where parts do not go together), `unknown_rule`, `unknown_mixing`,
  /// `unknown_optimizer`, `out_of_memory`.
  [[nodiscard]] static errc try_parse(std::string_view text, strategy& value, error& why) noexcept {
    return impl::guarded(why, [&] {
      nlohmann::json j;
      error result = impl::read_text(text, j);
      if (result.code() != errc::ok) return result;
      strategy read;
      result = read.read(j);
      if (result.code() == errc::ok) result = read.check();
      if (result.code() == errc::ok) value = std::move(read);
      return result;
    });
  }
  /// Throws `fedagg::error` with that text.
  static strategy parse(std::string_view text) {
    strategy value;
    error why(errc::ok);
    if (try_parse(text, value, why) != errc::ok) impl::raise(why);
    return value;
  }

  /// As a JSON text that `parse` reads; the same strategy has the same text.
  std::string text() const {
    nlohmann::ordered_json j = nlohmann::ordered_json::object();
    impl::write_parameters(j["server"], nullptr, server);
    impl::write_parameters(j["weights"], nullptr, weights);
    j["mixing"] = nlohmann::ordered_json::array();
    for (const any_mixing& stage : aggregation.mixing) j["mixing"].push_back(stage);
    j["rule"] = aggregation.rule;
    j["optimizer"] = optimizer;
    impl::write_parameters(j["schedule"], nullptr, rate);
    j["roles"] = nlohmann::ordered_json::array();
    for (std::size_t k = tensor_roles().size(); k < roles.size(); ++k)
      j["roles"].push_back({{"tensors", std::string(roles.pattern(k))},
                            {"role", role_names[static_cast<std::size_t>(roles.what(k))]}});
    impl::write_parameters(j["client"], nullptr, client);
    if (secure) impl::write_parameters(j["secure"], nullptr, *secure);
    return j.dump();
  }

  /// `bad_parameter` and a sentence if the parts do not go together.
  error check() const {
    const auto bad = [](const char* why) { return error(errc::bad_parameter, why); };
    if (server.check() != errc::ok) return bad("server: \"clients\" must be 1 or more");
    if (weights.check() != errc::ok) return bad("weights: \"share\" must be more than 0");
    if (aggregation.check() != errc::ok)
      return bad("the rule's parameters do not go together, or it cannot stand behind a mixing stage");
    if (optimizer.check() != errc::ok) return bad("the optimizer's parameters do not go together");
    if (client.check() != errc::ok)
      return bad("client: fed_prox and ditto need \"mu\", fed_dyn \"alpha\", others neither");
    const fed_dyn* dyn = optimizer.get_if<fed_dyn>();
    if ((dyn != nullptr) != (client.algorithm == client_algorithm::fed_dyn) || (dyn && dyn->alpha != client.alpha))
      return bad("the optimizer fed_dyn and clients that run fed_dyn need each other, with the same alpha");
    const bool scaffold = optimizer.get_if<scaffold_server>() != nullptr;
    if (scaffold != (client.algorithm == client_algorithm::scaffold))
      return bad("the optimizer scaffold_server and clients that run scaffold need each other");
    if ((dyn || scaffold) && (server.clients == unset || weights.by != weight_source::uniform))
      return bad("fed_dyn and scaffold need the server's \"clients\", and uniform weights");
    return check_secure();
  }

private:
  /// What a sum is not enough for.
  error check_secure() const {
    if (!secure) return error(errc::ok);
    const auto bad = [](const char* why) { return error(errc::bad_parameter, why); };
    if (secure->check() != errc::ok) return bad("secure: \"clip\" must be given, and more than 0");
    if (!aggregation.rule.get_if<mean>() || !aggregation.mixing.empty())
      return bad("secure aggregation opens the sum alone, and other rules and mixing need each client's update: the rule "
                 "must be mean");
    if (weights.share != unset)
      return bad("weights: \"share\" needs each client's weight, and secure aggregation opens their sum alone");
    if (optimizer.aggregates() > 1)
      return bad("secure aggregation gives one mean, and the optimizer needs several");
    return error(errc::ok);
  }

  template <class Json>
  error read(const Json& j) {
    error why(errc::ok);
    if (!j.is_object()) return error(errc::json_type, "a strategy is an object, this is " + impl::quoted(j));
    if (!j.contains("rule")) return error(errc::json_type, "the key \"rule\" is missing");
    for (auto entry = j.begin(); entry != j.end() && why.code() == errc::ok; ++entry) {
      const auto& key = entry.key();
      const Json& value = entry.value();
      if (key == "server") why = impl::read_parameters(value, {}, server);
      else if (key == "weights") why = impl::read_parameters(value, {}, weights);
      else if (key == "schedule") why = impl::read_parameters(value, {}, rate);
      else if (key == "client") why = impl::read_parameters(value, {}, client);
      else if (key == "secure") why = impl::read_parameters(value, {}, secure.emplace());
      else if (key == "rule") (void)any_rule::try_parse(value, aggregation.rule, why);
      else if (key == "optimizer") (void)any_optimizer::try_parse(value, optimizer, why);
      else if (key == "mixing") why = read_mixing(value);
      else if (key == "roles") why = read_roles(value);
      else why = error(errc::json_type, "a strategy has no part " + impl::quoted(Json(key)));
    }
    return why;
  }

  template <class Json>
  error read_mixing(const Json& j) {
    error why(errc::ok);
    if (!j.is_array()) return error(errc::json_type, "\"mixing\" is a list of stages, this is " + impl::quoted(j));
    for (const Json& value : j) {
      any_mixing stage;
      if (any_mixing::try_parse(value, stage, why) != errc::ok) return why;
      aggregation.mixing.push_back(stage);
    }
    return why;
  }

  template <class Json>
  error read_roles(const Json& j) {
    const auto refuse = [](const Json& value) {
      return error(errc::json_type, "\"roles\" is a list such as [{\"tensors\": \"head.*\", \"role\": \"keep\"}], with train, "
                                    "aggregate or keep; this is " + impl::quoted(value));
    };
    if (!j.is_array()) return refuse(j);
    for (const Json& value : j) {
      if (!value.is_object() || value.size() != 2 || !value.contains("tensors") || !value.contains("role") ||
          !value["tensors"].is_string() || !value["role"].is_string())
        return refuse(value);
      const auto name = value["role"].template get<std::string>();
      std::size_t k = 0;
      while (k < std::size(role_names) && name != role_names[k]) ++k;
      if (k == std::size(role_names)) return refuse(value);
      roles.set(value["tensors"].template get_ref<const typename Json::string_t&>(), static_cast<role>(k));
    }
    return error(errc::ok);
  }
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_ADAPTERS_STRATEGY_DESCRIPTION_HPP
