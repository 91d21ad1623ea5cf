// SPDX-License-Identifier: MIT
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <fedagg/adapters/json.hpp>
#include <fedagg/adapters/threads.hpp>
#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>
#include <fedagg/kernels/isa.hpp>

#include "compiled/rules.hpp"
#include "inputs.hpp"
#include "progress.hpp"
#include "report.hpp"

namespace cli {
namespace {

using fedagg::errc;
using fedagg::safetensors_file;
using fedagg::safetensors_tensor;
using json = nlohmann::ordered_json;

/// A word of the command line as the JSON value that the parameter takes; what is none stays a text, and is refused
/// with its name.
nlohmann::json value_of(const fedagg::rule_parameter& parameter, const std::string& text) {
  if (parameter.kind == fedagg::parameter_kind::choice) return text;
  if (text == "true" || text == "false") return text == "true";
  const auto whole = nlohmann::json::parse(text, nullptr, false);
  if (whole.is_number_integer()) return whole;
  double x = 0;
  return parse_number(text, x) ? nlohmann::json(x) : nlohmann::json(text);
}

fedagg::any_rule rule_of(const aggregate_options& how) {
  fedagg::any_rule rule;
  fedagg::error why(errc::ok);
  if (!how.rule_json.empty()) {
    if (fedagg::any_rule::try_parse(how.rule_json, rule, why) != errc::ok) usage_error(std::string("--rule-json: ") + why.what());
  } else {
    nlohmann::json j = {{"rule", how.rule}};
    for (const fedagg::rule_description& known : fedagg::any_rule::rules()) {
      if (how.rule != known.name) continue;
      for (const auto& [name, text] : how.parameters) {
        auto parameter = known.parameters.begin();
        while (parameter != known.parameters.end() && name != parameter->name) ++parameter;
        if (parameter == known.parameters.end()) usage_error("the rule " + how.rule + " has no parameter " + in_quotes(name));
        j[name] = value_of(*parameter, text);
      }
    }
    if (fedagg::any_rule::try_parse(j, rule, why) != errc::ok) usage_error(why.what());
  }
  if (rule.check() != errc::ok)
    usage_error("the parameters of " + rule.text() + " do not go together; see `fedagg rules`");
  return rule;
}

bool is_linear(const fedagg::any_rule& rule) {
  return rule.visit([]<class R>(const R&) { return fedagg::linear_rule<R>; });
}

/// Everything a call leaves behind for its report.
class job {
public:
  explicit job(const aggregate_options& how) : how_(how), rule_(rule_of(how)) {
    if (how.on_bad_client == "propagate" && !is_linear(rule_))
      usage_error("--on-bad-client propagate is for rules that are sums, such as mean, not for " + std::string(rule_.name()));
    if (how.updates && !how.base.empty()) usage_error("--updates are taken from zero, so that there is no --base");
    if (how.integers == "keep" && how.base.empty()) usage_error("--integers keep needs a --base to keep them from");
    check_paths(how);
    if (how.on_bad_client == "reject") options_.on_bad_client = fedagg::bad_client::reject;
    else if (how.on_bad_client == "propagate") options_.on_bad_client = fedagg::bad_client::propagate;
    else options_.on_bad_client = fedagg::bad_client::fail;
  }

  void run() {
    try {
      work();
    } catch (const failure& f) {
      line_.clear();
      // The report is about the round; that it cannot be written does not hide why the round failed.
      try {
        report(&f);
      } catch (const failure& second) {
        note(second.text);
      }
      throw;
    }
    report(nullptr);
    if (how_.report != "-") summary();
  }

private:
  void work() {
    line_.show("reading headers");
    if (!how_.base.empty()) open_file(how_.base, base_);
    if (!how_.trusted.empty()) open_file(how_.trusted, trusted_);
    inputs_ = open_inputs(how_.files);
    read_weights(how_, inputs_);
    compare();
    create();
    aggregate();
    if (const int signal = interruptible::received(); signal != 0) interrupted(signal);
    line_.show("writing to the disk");
    fedagg::file_error error;
    if (writer_.try_commit(error) != errc::ok) throw failure(error);
    line_.clear();
  }

  /// Marks what differs from the base, or else from the first file; with `reject`, from what most files agree on, so
  /// that a bad first file does not make all others bad.
  void compare() {
    const bool rejects = options_.on_bad_client == fedagg::bad_client::reject;
    if (!how_.base.empty()) reference_ = &base_;
    else if (rejects) reference_ = most_common(inputs_);
    else if (!inputs_.front().bad) reference_ = &inputs_.front().file;
    for (input& in : inputs_)
      if (!in.bad && reference_ != nullptr && reference_ != &in.file)
        in.bad = difference(*reference_, in.file, how_.base.empty());
    const input* first = nullptr;
    for (const input& in : inputs_) {
      if (!in.bad) continue;
      if (first == nullptr) first = &in;
      // The first one ends the command with its text.
      if (rejects || first != &in) note((rejects ? "left out: " : "") + in.bad->text);
    }
    if (first == nullptr) return compare_trusted();
    if (!rejects) throw failure(first->bad->code, first->bad->text);
    if (reference_ == nullptr) throw failure(status::refused, errc::too_few_clients, "no file is left");
    compare_trusted();
  }

  void compare_trusted() const {
    if (how_.trusted.empty()) return;
    if (const auto wrong = difference(*reference_, trusted_, false)) throw failure(wrong->code, wrong->text);
  }

  bool is_computed(const safetensors_tensor& tensor) const {
    const fedagg::dtype type = element_type(tensor.type);
    return is_floating(type) || (is_integer(type) && how_.integers == "average");
  }

  /// Lays the output out and copies what no rule computes.
  void create() {
    fedagg::safetensors_metadata metadata = reference_->metadata();
    metadata["fedagg.rule"] = rule_.text();
    metadata["fedagg.version"] = version();
    fedagg::file_error error;
    if (fedagg::safetensors_writer::try_create(how_.output, reference_->tensors(), metadata, writer_, error) != errc::ok)
      throw failure(error);
    for (const safetensors_tensor& tensor : writer_.tensors()) {
      if (is_computed(tensor)) {
        out_.add(tensor.name, writer_.view(tensor));
        computed_bytes_ += tensor.end - tensor.begin;
        continue;
      }
      kept_.push_back(tensor.name);
      const auto from = reference_->bytes(*reference_->find(tensor.name));
      if (!from.empty()) std::memcpy(writer_.bytes(tensor).data(), from.data(), from.size());
    }
  }

  void aggregate() {
    fedagg::cohort cohort = cohort_of(inputs_, out_);
    if (!how_.base.empty()) cohort.base(in_order(out_, base_));
    if (!how_.trusted.empty()) cohort.trusted(in_order(out_, trusted_));
    if (how_.updates) cohort.updates();

    fedagg::thread_pool pool(how_.threads);
    watched executor(pool, line_);
    options_.executor = executor;
    threads_ = pool.concurrency();
    const auto begin = std::chrono::steady_clock::now();
    const errc code = try_aggregate(rule_, cohort, out_, space_, options_);
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    peak_rss_anon_ = executor.peak_rss_anon();
    line_.clear();
    ran_ = true;
    if (const int signal = interruptible::received(); signal != 0) interrupted(signal);
    for (const input* in : take_rejections(space_.result(), inputs_))
      if (options_.on_bad_client == fedagg::bad_client::reject) note("left out: " + in->bad->text);
    if (code != errc::ok) refuse(code);
    const fedagg::outcome& o = space_.result();
    if (weights_given() && !o.weights_used)
      note("note: " + std::string(rule_.name()) + " ignores the weights" +
           (rule_.visit([]<class R>(const R&) { return fedagg::weighable_rule<R>; }) ? " (--weighting trusted uses them)" : ""));
  }

  [[noreturn]] void refuse(errc code) {
    const fedagg::outcome& o = space_.result();
    if (options_.on_bad_client != fedagg::bad_client::reject) {
      // The first bad file ends the command with its text, the others are named before.
      const input* first = nullptr;
      for (const input& in : inputs_) {
        if (!in.bad) continue;
        if (first == nullptr) first = &in;
        else note(in.bad->text);
      }
      if (first != nullptr) throw failure(first->bad->code, first->bad->text);
    }
    std::size_t left = 0;
    for (const input& in : inputs_) left += in.bad ? 0 : 1;
    std::string text = std::string(fedagg::message(code)) + ": " + rule_.text() + ", " + std::to_string(left) + " of " +
                       std::to_string(inputs_.size()) + " files left";
    if (!o.tensor_name.empty()) text += ", tensor " + in_quotes(o.tensor_name);
    throw failure(code, text);
  }

  [[noreturn]] void interrupted(int signal) {
    failure f(status::internal, errc::executor_failed, "interrupted; the output is as it was");
    f.status = 128 + signal;
    throw f;
  }

  bool weights_given() const { return !how_.weights.empty() || !how_.weights_from.empty(); }

  double bytes_per_second() const {
    const double moved = static_cast<double>(computed_bytes_) * static_cast<double>(space_.result().used + 1);
    return seconds_ > 0 ? moved / seconds_ : 0;
  }

  void report(const failure* f) {
    if (how_.report.empty()) return;
    const fedagg::outcome& o = space_.result();
    json r;
    r["fedagg"] = version();
    r["ok"] = f == nullptr;
    r["error"] = f ? json{{"code", code_name(f->code)}, {"text", f->text}} : json();
    r["rule"] = rule_;
    r["output"] = how_.output;
    r["base"] = how_.base.empty() ? json() : json(how_.base);
    r["on_bad_client"] = how_.on_bad_client;
    r["integers"] = how_.integers;
    r["weights"] = {{"from", !how_.weights.empty()        ? json("command line")
                             : !how_.weights_from.empty() ? json("metadata " + how_.weights_from)
                                                          : json()},
                    {"used", o.weights_used}};
    report_files(r, inputs_, o, f == nullptr);
    const std::size_t bad = r["rejected"].size();
    r["clients"] = inputs_.size();
    r["used"] = f ? 0 : inputs_.size() - bad;
    r["tensors"] = {{"aggregated", out_.size()}, {"kept", kept_}};
    r["passes"] = o.passes;
    r["seconds"] = seconds_;
    r["bytes_per_second"] = ran_ ? json(bytes_per_second()) : json();
    r["threads"] = threads_;
    r["isa"] = fedagg::name_of(fedagg::active_isa());
    r["breakdown"] = {{"clients", o.breakdown}, {"mass", o.weights_used ? json(o.breakdown_mass) : json()}};
    r["rss_anon_bytes"] = peak_rss_anon_ ? json(peak_rss_anon_) : json();
    write_report(how_.report, r);
  }

  void summary() const {
    const fedagg::outcome& o = space_.result();
    std::printf("%s: %s of %zu files", printable(how_.output).c_str(), rule_.text().c_str(), o.used);
    if (o.used < inputs_.size()) std::printf(" (%zu left out)", inputs_.size() - o.used);
    std::printf(", %s each, %.3f s, %s/s\n", bytes_text(static_cast<double>(computed_bytes_)).c_str(), seconds_,
                bytes_text(bytes_per_second()).c_str());
  }

  const aggregate_options& how_;
  fedagg::any_rule rule_;
  fedagg::options options_;
  interruptible signals_;
  progress line_;
  safetensors_file base_;
  safetensors_file trusted_;
  std::vector<input> inputs_;
  const safetensors_file* reference_ = nullptr;
  fedagg::safetensors_writer writer_;
  fedagg::mutable_model_view out_;
  std::vector<std::string> kept_;
  fedagg::workspace space_;
  std::uint64_t computed_bytes_ = 0;
  std::uint64_t peak_rss_anon_ = 0;
  std::size_t threads_ = 0;
  double seconds_ = 0;
  bool ran_ = false;
};

} // namespace

void aggregate(const aggregate_options& how) { job(how).run(); }

} // namespace cli
