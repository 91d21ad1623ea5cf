// SPDX-License-Identifier: MIT
// The command line: `fedagg aggregate`, `fedagg round`, `fedagg inspect`, `fedagg rules`.
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <fedagg/adapters/json.hpp>
#include <fedagg/core/error.hpp>

#include "common.hpp"

namespace {

constexpr const char* exit_codes = R"(Exit codes:
  0    done
  1    out of memory, or a defect of the program
  2    the command line is wrong
  3    an input file is malformed, does not match the others, or holds NaN or Inf
  4    the rule refuses the round: too few files left, the heaviest hold half the weight, overflow
  5    a file cannot be found, read or written
  128+ ended by this signal; the output is as it was)";

constexpr const char* aggregate_examples = R"(Examples:
  fedagg aggregate --rule mean --weights 120,80,200 -o global.safetensors site-*.safetensors
  fedagg aggregate --rule mean --weights-from num_samples -o global.safetensors site-*.safetensors
  fedagg aggregate --rule trimmed_mean --trim 1 --base global.safetensors -o global.safetensors site-*.safetensors
  fedagg aggregate --rule median --on-bad-client reject --report round.json -o global.safetensors site-*.safetensors
  fedagg aggregate --rule-json '{"rule":"trimmed_mean","fraction":0.2}' -o global.safetensors site-*.safetensors

Tensors are matched by name; every file must have the same names, types and shapes. Floating-point tensors are
aggregated, integer ones as --integers says; others (BOOL, F8 ...) are copied from the base, or must be equal in all
files. The output appears complete or not at all; its metadata is that of the base (else of the first file) with
fedagg.rule and fedagg.version added.

)";

constexpr const char* round_examples = R"(Examples:
  fedagg round --config strategy.json --state state.safetensors --global g.safetensors site-*.safetensors

One round of a strategy, in place: weights, mixing, rule, then the server's optimizer. Without a state the optimizer
begins; the state belongs to that model and that strategy from then on. Model and state change together or not at all,
also if the program is killed. A strategy is JSON such as
  {"rule": {"rule": "trimmed_mean", "trim": 1}, "optimizer": {"optimizer": "fed_adam", "learning_rate": 0.01}}

)";

constexpr const char* inspect_examples = R"(Examples:
  fedagg inspect global.safetensors
  fedagg inspect --json site-*.safetensors | python3 -m json.tool

Norms are Euclidean, over the finite values; a file's norm and the distances are over its floating-point tensors.

)";

/// The option under which the command line takes a parameter, in both spellings.
std::string option_names(const std::string& parameter) {
  std::string dashed = parameter;
  for (char& c : dashed)
    if (c == '_') c = '-';
  return dashed == parameter ? "--" + parameter : "--" + dashed + ",--" + parameter;
}

struct parameter_option {
  std::string name;
  std::string rules;
  std::string about;
  std::string values;
  std::string text;
  CLI::Option* option = nullptr;
};

/// One option for each parameter of any rule; rules that share a name share it.
std::vector<parameter_option> parameter_options() {
  std::vector<parameter_option> all;
  for (const auto& rule : fedagg::any_rule::rules())
    for (const auto& p : rule.parameters) {
      parameter_option* found = nullptr;
      for (parameter_option& known : all)
        if (known.name == p.name) found = &known;
      if (found != nullptr) found->rules += std::string(", ") + rule.name;
      else all.push_back({p.name, rule.name, p.about, fedagg::impl::values_text(p), {}, nullptr});
    }
  return all;
}

std::string rule_names() {
  std::string names;
  for (const auto& rule : fedagg::any_rule::rules()) names += (names.empty() ? "" : ", ") + std::string(rule.name);
  return names;
}

int run(int argc, char** argv) {
  CLI::App app("Aggregates, inspects and compares models in safetensors files.", "fedagg");
  app.set_version_flag("--version", "fedagg " + cli::version());
  app.require_subcommand(0, 1);
  app.footer(exit_codes);

  cli::aggregate_options how;
  std::vector<parameter_option> parameters = parameter_options();
  CLI::App* aggregate = app.add_subcommand("aggregate", "One model from the models of several sites");
  aggregate->footer(std::string(aggregate_examples) + exit_codes);
  auto* rule = aggregate->add_option("--rule", how.rule, "The rule: " + rule_names())->type_name("NAME");
  auto* rule_json = aggregate->add_option("--rule-json", how.rule_json, "The rule with its parameters as JSON")->type_name("JSON");
  rule_json->excludes(rule);
  for (parameter_option& p : parameters)
    p.option = aggregate->add_option(option_names(p.name), p.text, p.about + ": " + p.values + " (" + p.rules + ")")
                   ->type_name("VALUE")
                   ->excludes(rule_json)
                   ->group("Parameters of the rules");
  aggregate->add_option("--base", how.base, "The model the sites started from; may be the output")->type_name("FILE");
  aggregate->add_option("--trusted", how.trusted, "The server's own row, for rules that need one (fltrust)")->type_name("FILE");
  aggregate->add_flag("--updates", how.updates, "The files are updates, not models: their origin is zero");
  auto* weights = aggregate->add_option("--weights", how.weights, "One weight per file, in their order")->type_name("W,W,...");
  aggregate->add_option("--weights-from", how.weights_from, "The key of each file's metadata that holds its weight")
      ->type_name("KEY")
      ->excludes(weights);
  aggregate
      ->add_option("--on-bad-client", how.on_bad_client,
                   "What a file with NaN or Inf, or one that is malformed or does not match, does: the whole call fails, "
                   "it is left out, or its NaN and Inf go into the result (mean)")
      ->check(CLI::IsMember({"fail", "reject", "propagate"}))
      ->type_name("POLICY")
      ->capture_default_str();
  aggregate->add_option("--integers", how.integers, "Integer tensors are averaged, or kept from the base")
      ->check(CLI::IsMember({"average", "keep"}))
      ->type_name("WAY")
      ->capture_default_str();
  aggregate->add_option("--threads", how.threads, "Threads; 0: one for each processor")
      ->check(CLI::Range(0u, 1024u))
      ->type_name("N")
      ->capture_default_str();
  aggregate->add_option("--report", how.report, "What happened, as JSON; - for the standard output")->type_name("FILE");
  aggregate->add_option("-o,--output", how.output, "The file to write")->type_name("FILE")->required();
  aggregate->add_option("files", how.files, "The models of the sites")->type_name("FILE")->required();

  cli::round_options turn;
  CLI::App* round = app.add_subcommand("round", "One round of a strategy: rule, server optimizer, saved state");
  round->footer(std::string(round_examples) + exit_codes);
  round->add_option("--config", turn.config, "The strategy, as JSON")->type_name("FILE")->required();
  round->add_option("--state", turn.state, "The optimizer's state; written by the first round")->type_name("FILE")->required();
  round->add_option("--global", turn.global, "The global model; replaced by the new one")->type_name("FILE")->required();
  round->add_option("--trusted", turn.trusted, "The server's own row, for rules that need one (fltrust)")->type_name("FILE");
  auto* round_weights = round->add_option("--weights", turn.weights, "One weight per file, in their order")->type_name("W,W,...");
  round->add_option("--weights-from", turn.weights_from, "The key of each file's metadata that holds its weight")
      ->type_name("KEY")
      ->excludes(round_weights);
  round->add_flag("--changed-strategy", turn.changed_strategy, "Go on with the state of another strategy");
  round->add_option("--threads", turn.threads, "Threads; 0: one for each processor")
      ->check(CLI::Range(0u, 1024u))
      ->type_name("N")
      ->capture_default_str();
  round->add_option("--report", turn.report, "What happened, as JSON; - for the standard output")->type_name("FILE");
  round->add_option("files", turn.files, "The models or updates of the sites")->type_name("FILE")->required();

  cli::inspect_options look;
  CLI::App* inspect = app.add_subcommand("inspect", "Tensors, norms, NaN and Inf, metadata, distances between files");
  inspect->footer(std::string(inspect_examples) + exit_codes);
  inspect->add_flag("--json", look.json, "As JSON");
  inspect->add_flag("!--no-distances", look.distances, "Without the distances between all pairs of files");
  inspect->add_option("files", look.files, "Files")->type_name("FILE")->required();

  bool rules_json = false;
  CLI::App* rules = app.add_subcommand("rules", "The rules with their parameters");
  rules->footer(std::string("Examples:\n  fedagg rules\n  fedagg rules --json\n\n") + exit_codes);
  rules->add_flag("--json", rules_json, "As JSON");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    cli::note(e.what());
    std::fputs("Run with --help for more information.\n", stderr);
    return static_cast<int>(cli::status::usage);
  }

  if (app.get_subcommands().empty()) cli::usage_error("a subcommand is required: aggregate, round, inspect or rules; or --help");
  if (*rules) cli::list_rules(rules_json);
  if (*inspect) return cli::inspect(look);
  if (*round) cli::round(turn);
  if (*aggregate) {
    if (how.rule.empty() && how.rule_json.empty()) cli::usage_error("--rule or --rule-json is required: one of " + rule_names());
    for (const parameter_option& p : parameters)
      if (p.option->count() > 0) how.parameters.emplace_back(p.name, p.text);
    cli::aggregate(how);
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  int result = static_cast<int>(cli::status::internal);
  try {
    result = run(argc, argv);
  } catch (const cli::failure& f) {
    cli::note(f.text);
    result = f.status;
  } catch (const std::bad_alloc&) {
    cli::note("out of memory");
  } catch (const std::exception& e) {
    cli::note(e.what());
  }
  // A full disk or a closed pipe behind the standard output is not success.
  // A write that failed before the last one is only told by the stream's mark.
  if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && result == 0) {
    cli::note("cannot write to the standard output");
    result = static_cast<int>(cli::status::io);
  }
  return result;
}
