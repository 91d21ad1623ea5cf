// SPDX-License-Identifier: MIT
#include <fedagg/adapters/json.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "compiled/rules.hpp"
#include "support/catch.hpp"

using nlohmann::json;

// A user's rule and enumeration, outside the library's namespaces.
namespace elsewhere {

enum class shape : std::uint8_t { round, square };
inline constexpr const char* shape_names[] = {"round", "square"};
constexpr fedagg::name_list value_names(shape) noexcept { return {shape_names, 2}; }

struct custom {
  double radius = 1.5;
  float slope = 0.25f;
  std::int32_t steps = 3;
  std::uint8_t level = 7;
  bool strict = false;
  shape form = shape::round;
  int quota = fedagg::unset;

  static constexpr const char* name = "custom";
  static constexpr auto fields() {
    using fedagg::field;
    return std::tuple{field{"radius", &custom::radius, -2, 10, "how far"},
                      field{"slope", &custom::slope, 0, 1},
                      field{"steps", &custom::steps, -5, 1000},
                      field{"level", &custom::level, 0, 1000},
                      field{"strict", &custom::strict, 0, 1},
                      field{"form", &custom::form, 0, 1},
                      field{"quota", &custom::quota, fedagg::unset, 9}};
  }
};

struct plain {
  int size = 0;
};

} // namespace elsewhere

namespace {

struct failure {
  fedagg::errc code = fedagg::errc::ok;
  std::string text;
};

failure parse(const char* text, fedagg::any_rule& rule) {
  fedagg::error why(fedagg::errc::ok);
  const fedagg::errc code = fedagg::any_rule::try_parse(text, rule, why);
  REQUIRE(why.code() == code);
  return {code, why.what()};
}

void refused(const char* text, fedagg::errc code, std::initializer_list<const char*> words) {
  CAPTURE(text);
  fedagg::any_rule rule = fedagg::median{.even = fedagg::middle::lower};
  const failure f = parse(text, rule);
  CHECK(f.code == code);
  for (const char* word : words) {
    CAPTURE(f.text, word);
    CHECK(f.text.find(word) != std::string::npos);
  }
  REQUIRE(rule.get_if<fedagg::median>() != nullptr);
  CHECK(rule.get_if<fedagg::median>()->even == fedagg::middle::lower);
}

} // namespace

static_assert(noexcept(fedagg::any_rule::try_parse(std::string_view{}, std::declval<fedagg::any_rule&>(),
                                                   std::declval<fedagg::error&>())));
static_assert(!std::is_constructible_v<fedagg::any_rule, elsewhere::custom>, "only rules of the list");
static_assert(fedagg::rule_value<elsewhere::custom> && !fedagg::rule_value<elsewhere::plain>);

TEST_CASE("a rule reads its parameters") {
  fedagg::any_rule rule;
  CHECK(std::strcmp(rule.name(), "mean") == 0);
  REQUIRE(parse(R"({"rule":"trimmed_mean","trim":1})", rule).code == fedagg::errc::ok);
  REQUIRE(rule.get_if<fedagg::trimmed_mean>() != nullptr);
  CHECK(rule.get_if<fedagg::mean>() == nullptr);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->trim == 1);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->fraction == fedagg::unset);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->weighting == fedagg::weights::ignored);
  CHECK(std::strcmp(rule.name(), "trimmed_mean") == 0);

  REQUIRE(parse(R"({"weight_cap": 2, "fraction": 0.25, "rule": "trimmed_mean", "weighting": "trusted"})", rule).code ==
          fedagg::errc::ok);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->trim == fedagg::unset);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->fraction == 0.25);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->weighting == fedagg::weights::trusted);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->weight_cap == 2.0);

  // A whole number is one in any notation; the largest count is the range's end.
  REQUIRE(parse(R"({"rule":"trimmed_mean","trim":2.0})", rule).code == fedagg::errc::ok);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->trim == 2);
  REQUIRE(parse(R"({"rule":"trimmed_mean","trim":9007199254740992})", rule).code == fedagg::errc::ok);
  CHECK(rule.get_if<fedagg::trimmed_mean>()->trim == 9007199254740992);
}

TEST_CASE("what is wrong is typed, and the text names rule and key") {
  using enum fedagg::errc;
  refused(R"({"rule":"crumb"})", unknown_rule, {"crumb", "mda, meamed, mean, median, monna"});
  refused(R"({"rule":""})", unknown_rule, {"\"\""});
  refused(R"({"trim":1})", json_type, {"\"rule\" is missing"});
  refused(R"({"rule":3})", json_type, {"\"rule\" is 3"});
  refused(R"([1])", json_type, {"[1]"});
  refused(R"("mean")", json_type, {"\"mean\""});
  refused("null", json_type, {"null"});
  refused("", json_type, {"not valid JSON"});
  refused(R"({"rule":"mean")", json_type, {"not valid JSON"});
  refused(R"({"rule":"mean"} x)", json_type, {"not valid JSON"});
  refused("{\"rule\":\"m\xff\"}", json_type, {"not valid JSON"});
  refused(R"({"rule":"mean","trim":1})", json_type, {"mean", "\"trim\""});
  refused(R"({"rule":"trimmed_mean","trim":1,"trim":2})", json_type, {"\"trim\"", "twice"});
  refused(R"({"rule":"mean","rule":"median"})", json_type, {"\"rule\"", "twice"});
  refused(R"({"rule":"trimmed_mean","trim":"1"})", json_type, {"trimmed_mean", "\"trim\" is \"1\"", "whole number from 0"});
  refused(R"({"rule":"trimmed_mean","trim":1.5})", json_type, {"trimmed_mean", "\"trim\" is 1.5"});
  refused(R"({"rule":"trimmed_mean","trim":true})", json_type, {"\"trim\" is true"});
  refused(R"({"rule":"trimmed_mean","trim":null})", json_type, {"\"trim\" is null"});
  refused(R"({"rule":"trimmed_mean","trim":[1]})", json_type, {"\"trim\" is [1]"});
  refused(R"({"rule":"trimmed_mean","trim":-1})", bad_parameter, {"trimmed_mean", "\"trim\" is -1"});
  refused(R"({"rule":"trimmed_mean","trim":-2})", bad_parameter, {"\"trim\" is -2"});
  refused(R"({"rule":"trimmed_mean","trim":9007199254740993})", bad_parameter, {"\"trim\""});
  refused(R"({"rule":"trimmed_mean","trim":18446744073709551615})", bad_parameter, {"\"trim\""});
  refused(R"({"rule":"trimmed_mean","trim":1e300})", bad_parameter, {"\"trim\""});
#ifdef __FAST_MATH__
  // The parser tells Inf by std::isfinite, which such a build takes for always true.
  refused(R"({"rule":"trimmed_mean","trim":1e999})", bad_parameter, {"\"trim\""});
#else
  refused(R"({"rule":"trimmed_mean","trim":1e999})", json_type, {"not valid JSON"});
#endif
  refused(R"({"rule":"trimmed_mean","fraction":0.75})", bad_parameter, {"\"fraction\" is 0.75", "from 0 to 0.5"});
  refused(R"({"rule":"trimmed_mean","fraction":-0.5})", bad_parameter, {"\"fraction\""});
  refused(R"({"rule":"median","even":"upper"})", bad_parameter, {"median", "\"even\" is \"upper\"", "midpoint, lower"});
  refused(R"({"rule":"median","even":0})", json_type, {"\"even\" is 0"});
  refused(R"({"rule":"median","weight_cap":-1})", bad_parameter, {"\"weight_cap\" is -1"});

  // Hostile, but no more than refused: a long value is cut, deep nesting is no recursion.
  const std::string longer = R"({"rule":")" + std::string(100000, 'x') + "\"}";
  refused(longer.c_str(), unknown_rule, {"..."});
  const std::string deep = R"({"rule":"mean","a":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  refused(deep.c_str(), json_type, {"\"a\""});
  const std::string_view null_byte("{\"rule\":\"mean\"}\0x", 17);
  fedagg::any_rule rule;
  fedagg::error why(ok);
  CHECK(fedagg::any_rule::try_parse(null_byte, rule, why) == json_type);
}

TEST_CASE("every rule of the list goes to JSON and back") {
  using nlohmann::ordered_json;
  const auto check = [](const std::string& name, const json& j, const json& back, const ordered_json& ordered,
                        const ordered_json& ordered_back) {
    CAPTURE(name);
    CHECK(j.at("rule") == name);
    CHECK(back == j);
    const auto any = j.get<fedagg::any_rule>();
    CHECK(any.name() == name);
    CHECK(json(any) == j);
    CHECK(json(fedagg::any_rule::parse(any.text())) == j);
    CHECK(ordered.begin().key() == "rule");
    CHECK(ordered.dump() == ordered_back.dump());
  };
  std::apply(
      [&]<class... R>(const R&... rules) {
        (check(R::name, json(rules), json(json(rules).template get<R>()), ordered_json(rules),
               ordered_json(ordered_json(rules).template get<R>())),
         ...);
      },
      fedagg::rule_list{});
  CHECK(json(fedagg::trimmed_mean{.trim = 3, .weighting = fedagg::weights::trusted, .weight_cap = 0.1}) ==
        json{{"rule", "trimmed_mean"}, {"trim", 3}, {"weighting", "trusted"}, {"weight_cap", 0.1}});
  CHECK(json(fedagg::mean{}) == json{{"rule", "mean"}});
  CHECK(json(fedagg::median{.even = fedagg::middle::lower}).at("even") == "lower");
}

TEST_CASE("a user's rule outside the library goes to JSON and back") {
  const elsewhere::custom rule{.radius = 0.1, .slope = 0.3f, .steps = -4, .level = 255, .strict = true,
                               .form = elsewhere::shape::square, .quota = 0};
  const json j = rule;
  CHECK(j.at("form") == "square");
  CHECK(j.at("strict") == true);
  const auto back = json::parse(j.dump()).get<elsewhere::custom>();
  CHECK(back.radius == rule.radius);
  CHECK(back.slope == rule.slope);
  CHECK(back.steps == -4);
  CHECK(back.level == 255);
  CHECK(back.strict);
  CHECK(back.form == elsewhere::shape::square);
  CHECK(back.quota == 0);

  CHECK_FALSE(json(elsewhere::custom{}).contains("quota"));
  CHECK(json{{"rule", "custom"}}.get<elsewhere::custom>().quota == fedagg::unset);
  // -1 is a value where the range says so, and "not given" only where that is the default.
  CHECK(json{{"rule", "custom"}, {"radius", -1}}.get<elsewhere::custom>().radius == -1.0);

  const auto code_of = [](const json& value) {
    elsewhere::custom read{.steps = 77};
    const fedagg::error why = fedagg::impl::read_rule(value, read);
    if (why.code() != fedagg::errc::ok) CHECK(read.steps == 77);
    return why.code();
  };
  CHECK(code_of({{"rule", "custom"}}) == fedagg::errc::ok);
  CHECK(code_of({{"rule", "custom"}, {"level", 256}}) == fedagg::errc::bad_parameter);
  CHECK(code_of({{"rule", "custom"}, {"level", -1}}) == fedagg::errc::bad_parameter);
  CHECK(code_of({{"rule", "custom"}, {"steps", 4294967296}}) == fedagg::errc::bad_parameter);
  CHECK(code_of({{"rule", "custom"}, {"steps", 0.5}}) == fedagg::errc::json_type);
  CHECK(code_of({{"rule", "custom"}, {"strict", 1}}) == fedagg::errc::json_type);
  CHECK(code_of({{"rule", "custom"}, {"form", "oval"}}) == fedagg::errc::bad_parameter);
  CHECK(code_of({{"rule", "custom"}, {"quota", -1}}) == fedagg::errc::bad_parameter);
  CHECK(code_of({{"rule", "custom"}, {"slope", std::numeric_limits<double>::quiet_NaN()}}) == fedagg::errc::bad_parameter);
  CHECK(code_of({{"rule", "custom"}, {"radius", std::numeric_limits<double>::infinity()}}) == fedagg::errc::bad_parameter);
  CHECK(code_of({{"rule", "mean"}}) == fedagg::errc::unknown_rule);
  CHECK(code_of({{"radius", 1}}) == fedagg::errc::json_type);
  CHECK(code_of(json::array()) == fedagg::errc::json_type);
}

TEST_CASE("types that are no rules keep their own serialisation") {
  CHECK(json(std::array<int, 2>{1, 2}).dump() == "[1,2]");
  CHECK(json(std::string("x")).dump() == "\"x\"");
  static_assert(!std::is_constructible_v<json, elsewhere::plain>);
}

#if FEDAGG_EXCEPTIONS
TEST_CASE("the throwing calls throw the typed error with its text") {
  const auto thrown = [](auto&& call) {
    try {
      call();
    } catch (const fedagg::error& e) {
      return failure{e.code(), e.what()};
    }
    return failure{};
  };
  failure f = thrown([] { fedagg::any_rule::parse(R"({"rule":"median","even":"upper"})"); });
  CHECK(f.code == fedagg::errc::bad_parameter);
  CHECK(f.text == "a parameter is outside its range: median: \"even\" is \"upper\", must be one of midpoint, lower");
  f = thrown([] { json{{"rule", "crumb"}}.get<fedagg::any_rule>(); });
  CHECK(f.code == fedagg::errc::unknown_rule);
  f = thrown([] { json{{"rule", "custom"}, {"colour", 1}}.get<elsewhere::custom>(); });
  CHECK(f.code == fedagg::errc::json_type);
  CHECK(f.text.find("custom has no parameter \"colour\"") != std::string::npos);
}

TEST_CASE("a refused round of a rule chosen at run time throws") {
  const std::vector<float> a = {1, 2};
  std::vector<float> out(2);
  fedagg::cohort c;
  c.add(a).add(a);
  CHECK_THROWS_AS(fedagg::aggregate(fedagg::any_rule(fedagg::trimmed_mean{.trim = 1}), c, out), fedagg::error);
}
#endif

TEST_CASE("impossible parameters are known before a round") {
  const auto check = [](fedagg::any_rule rule) { return rule.check(); };
  CHECK(check(fedagg::mean{}) == fedagg::errc::ok);
  CHECK(check(fedagg::median{}) == fedagg::errc::ok);
  CHECK(check(fedagg::median{.weight_cap = -1}) == fedagg::errc::bad_parameter);
  CHECK(check(fedagg::trimmed_mean{.trim = 9007199254740992}) == fedagg::errc::ok);
  CHECK(check(fedagg::trimmed_mean{}) == fedagg::errc::bad_parameter);
  CHECK(check(fedagg::trimmed_mean{.trim = 1, .fraction = 0.1}) == fedagg::errc::bad_parameter);
  CHECK(check(fedagg::trimmed_mean{.fraction = 0.5}) == fedagg::errc::bad_parameter);
  CHECK(check(fedagg::trimmed_mean{.mass = 0.2}) == fedagg::errc::bad_parameter);
  CHECK(check(fedagg::trimmed_mean{.mass = 0.2, .weighting = fedagg::weights::trusted}) == fedagg::errc::ok);
}

TEST_CASE("a rule chosen at run time computes what the rule computes") {
  const std::vector<float> a = {1, -5, 3}, b = {2, 9, 4}, c = {40, 2, -7};
  fedagg::cohort cohort;
  cohort.add(a, {.weight = 3}).add(b, {.weight = 1}).add(c, {.weight = 2});
  const auto both = [&](const auto& rule) {
    std::vector<float> direct(3), chosen(3), thrown(3);
    fedagg::aggregate(rule, cohort, direct);
    const fedagg::any_rule any = rule;
    fedagg::workspace space;
    REQUIRE(fedagg::try_aggregate(any, cohort, chosen, space) == fedagg::errc::ok);
    CHECK(chosen == direct);
    CHECK(space.result().used == 3);
    const fedagg::outcome o = fedagg::aggregate(any, cohort, thrown);
    CHECK(o.used == 3);
    CHECK(thrown == direct);
    return direct;
  };
  CHECK(both(fedagg::mean{}) == std::vector<float>{85.0f / 6, -1.0f / 3, -1.0f / 6});
  CHECK(both(fedagg::median{}) == std::vector<float>{2, 2, 3});
  CHECK(both(fedagg::trimmed_mean{.trim = 1}) == std::vector<float>{2, 2, 3});

  // The options reach the rule.
  std::vector<float> out(3, 8);
  const std::vector<float> bad = {1, std::numeric_limits<float>::infinity(), 0};
  cohort.add(bad);
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(fedagg::any_rule(fedagg::median{}), cohort, out, space,
                              {.on_bad_client = fedagg::bad_client::fail, .write = fedagg::write::atomic}) ==
        fedagg::errc::non_finite);
  CHECK(out == std::vector<float>(3, 8));
}

TEST_CASE("the descriptions are those of fields()") {
  const std::vector<fedagg::rule_description> rules = fedagg::any_rule::rules();
  REQUIRE(rules.size() == std::tuple_size_v<fedagg::rule_list>);
  const auto& trimmed = rules.back();
  CHECK(trimmed.name == std::string("trimmed_mean"));
  const auto count = fedagg::detail::with_fields([](const auto&... f) { return sizeof...(f); }, fedagg::trimmed_mean::fields());
  REQUIRE(trimmed.parameters.size() == count);
  const auto& trim = trimmed.parameters[0];
  CHECK(trim.name == std::string("trim"));
  CHECK(trim.kind == fedagg::parameter_kind::integer);
  CHECK(trim.optional);
  CHECK(trim.standard.is_null());
  CHECK(trim.low == 0);
  CHECK(trim.about == std::string("clients dropped from each end"));
  const auto& weighting = trimmed.parameters[3];
  CHECK(weighting.kind == fedagg::parameter_kind::choice);
  CHECK_FALSE(weighting.optional);
  CHECK(weighting.standard == "ignored");
  REQUIRE(weighting.choices.count == 2);
  CHECK(weighting.choices.names[1] == std::string("trusted"));
  const auto custom = fedagg::describe_rule<elsewhere::custom>();
  CHECK(custom.parameters[0].low == -2);
  CHECK(custom.parameters[0].high == 10);
  CHECK(custom.parameters[4].kind == fedagg::parameter_kind::boolean);
  CHECK(custom.parameters[6].optional);
  // Whatever is described as a default reads back as a rule.
  for (const auto& rule : rules) {
    json j = {{"rule", rule.name}};
    for (const auto& p : rule.parameters)
      if (!p.optional) j[p.name] = p.standard;
    CHECK(json(j.get<fedagg::any_rule>()) == j);
  }
}
