// SPDX-License-Identifier: MIT
#include "attacks.hpp"

#include <string>

#include <fedagg/adapters/json/serializer.hpp>
#include <fedagg/attacks/alie.hpp>
#include <fedagg/attacks/fang.hpp>
#include <fedagg/attacks/gaussian.hpp>
#include <fedagg/attacks/inner_product.hpp>
#include <fedagg/attacks/label_flip.hpp>
#include <fedagg/attacks/mimic.hpp>
#include <fedagg/attacks/min_max.hpp>
#include <fedagg/attacks/min_sum.hpp>
#include <fedagg/attacks/non_finite.hpp>
#include <fedagg/attacks/optimal.hpp>
#include <fedagg/attacks/sign_flip.hpp>
#include <fedagg/core/error.hpp>

namespace study {
namespace {

using nlohmann::json;

/// The library reads any aggregate of parameters under the key "rule".
json as_rule(json j, std::string& name) {
  if (!j.is_object() || !j.contains("attack") || !j["attack"].is_string())
    throw fedagg::error(fedagg::errc::json_type,
                        "an attack is an object such as {\"attack\": \"alie\"}, this is " + j.dump());
  name = j["attack"].get<std::string>();
  j["rule"] = name;
  j.erase("attack");
  j.erase("label");
  return j;
}

template <class A>
attack bind(const A& a) {
  return {[a](const fedagg::knowledge<float>& k, std::span<float> out, const trial&) { return a.craft(k, out); },
          false};
}

template <class A>
attack bind_optimal(json j, const json& base) {
  fedagg::optimal<A> a = j.get<fedagg::optimal<A>>();
  a.base = base.get<A>();
  return {[a](const fedagg::knowledge<float>& k, std::span<float> out, const trial& aggregate) {
            return a.craft(k, out, aggregate);
          },
          false};
}

attack read_optimal(json j) {
  std::string name;
  const json base = as_rule(j.value("base", json()), name);
  j.erase("base");
  if (name == fedagg::alie::name) return bind_optimal<fedagg::alie>(j, base);
  if (name == fedagg::inner_product::name) return bind_optimal<fedagg::inner_product>(j, base);
  throw fedagg::error(fedagg::errc::unknown_rule,
                      "optimal searches for the factor of alie or inner_product, not of " + name);
}

} // namespace

attack read_attack(const json& given, const words& w) {
  std::string name;
  const json j = as_rule(resolved(given, w), name);
  if (name == "none") return {};
  if (name == fedagg::label_flip::name) return {{}, true};
  if (name == "optimal") return read_optimal(j);
  attack read;
  const auto match = [&]<class A>(A) {
    if (name != A::name) return false;
    read = bind(j.get<A>());
    return true;
  };
  using namespace fedagg;
  if (!match(alie{}) && !match(fang{}) && !match(gaussian{}) && !match(inner_product{}) && !match(mimic{}) &&
      !match(min_max{}) && !match(min_sum{}) && !match(non_finite{}) && !match(sign_flip{}))
    throw error(errc::unknown_rule, "no attack is called " + name);
  return read;
}

} // namespace study
