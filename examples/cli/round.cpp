// SPDX-License-Identifier: MIT
// `fedagg round`: one round of a strategy on files, with the optimizer's state beside the global model.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <fedagg/adapters/strategy.hpp>
#include <fedagg/adapters/threads.hpp>
#include <fedagg/formats/io/checksum.hpp>
#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>
#include <fedagg/formats/saved_state.hpp>
#include <fedagg/passes/streams.hpp>

#include "compiled/chains.hpp"
#include "compiled/optimizers.hpp"
#include "inputs.hpp"
#include "progress.hpp"
#include "report.hpp"

namespace cli {
namespace {

using fedagg::errc;
using fedagg::safetensors_file;
using fedagg::safetensors_tensor;
using json = nlohmann::ordered_json;

bool exists(const std::string& path) {
  struct stat about = {};
  return ::stat(path.c_str(), &about) == 0;
}

std::string read_text(const std::string& path) {
  fedagg::mapped_file file;
  fedagg::file_error error;
  if (fedagg::mapped_file::try_open(path, file, error) != errc::ok) throw failure(error);
  const auto bytes = file.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

fedagg::strategy strategy_of(const std::string& path) {
  fedagg::strategy s;
  fedagg::error why(errc::ok);
  const errc code = fedagg::strategy::try_parse(read_text(path), s, why);
  if (code != errc::ok) throw failure(status::usage, code, printable(path) + ": " + why.what());
  return s;
}

std::vector<const safetensors_tensor*> by_name(std::span<const safetensors_tensor> tensors) {
  std::vector<const safetensors_tensor*> sorted;
  for (const safetensors_tensor& t : tensors) sorted.push_back(&t);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  return sorted;
}

/// What a state says of the model that it belongs to: every tensor's name and bytes, wherever they lie in the file.
std::string identity(std::span<const safetensors_tensor> tensors, const auto& bytes_of) {
  std::uint64_t sum = 0;
  for (const safetensors_tensor* t : by_name(tensors)) {
    sum = fedagg::checksum(std::as_bytes(std::span<const char>(t->name)), sum);
    sum = fedagg::checksum(bytes_of(*t), sum);
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(sum));
  return text;
}

/// y = x, whatever their types.
struct copy_step {
  static constexpr std::size_t inputs = 1, updates = 1, outputs = 1;
  template <class L>
  void operator()(const L* in, L* io) const {
    io[0] = in[0];
  }
};

class round_job {
public:
  explicit round_job(const round_options& how) : how_(how), strategy_(strategy_of(how.config)), server_(strategy_) {
    if (strategy_.secure)
      usage_error("the strategy asks for secure aggregation, and files hold what each client sent");
    aggregate_options paths;
    paths.files = how.files;
    paths.base = how.global;
    paths.base_option = "--global";
    paths.output = how.global;
    paths.trusted = how.trusted;
    paths.report = how.report;
    check_paths(paths);
    for (const std::string& other : {how.global, how.config, how.report})
      if (other == how.state) usage_error("--state is also " + in_quotes(other));
  }

  void run() {
    try {
      work();
    } catch (const failure& f) {
      line_.clear();
      try {
        report(&f);
      } catch (const failure& second) {
        note(second.text);
      }
      throw;
    }
    report(nullptr);
    if (how_.report != "-")
      std::printf("%s: round %llu, %zu of %zu files, %s\n", printable(how_.global).c_str(),
                  static_cast<unsigned long long>(server_.state().round()), server_.result().used, inputs_.size(),
                  strategy_.optimizer.text().c_str());
  }

private:
  std::string next() const { return how_.state + ".next"; }

  void work() {
    open_file(how_.global, global_);
    if (!how_.trusted.empty()) open_file(how_.trusted, trusted_);
    finish_interrupted();
    load_state();
    check_controls();
    inputs_ = open_inputs(how_.files);
    aggregate_options weights;
    weights.weights = how_.weights;
    weights.weights_from = how_.weights_from;
    read_weights(weights, inputs_);
    compare();
    step();
    commit();
  }

  std::string own_identity() const {
    return identity(global_.tensors(), [&](const safetensors_tensor& t) { return global_.bytes(t); });
  }

  /// A round is committed by renaming the model over the old one; the state, complete under its second name by then,
  /// follows. Where the program was killed in between, the state's own word tells which of the two models is there.
  void finish_interrupted() {
    if (!exists(next())) return;
    fedagg::state_reader reader;
    fedagg::file_error error;
    std::string belongs;
    if (fedagg::state_reader::try_open(next(), reader, error) != errc::ok ||
        reader.try_load("model", belongs, error) != errc::ok)
      throw failure(error);
    if (belongs == own_identity()) {
      publish_state();
      note("the state of an interrupted round was put in place");
    } else if (::unlink(next().c_str()) != 0) {
      throw failure(status::io, errc::file_io, printable(next()) + ": " + std::strerror(errno));
    }
  }

  void publish_state() const {
    if (std::rename(next().c_str(), how_.state.c_str()) != 0)
      throw failure(status::io, errc::file_io, printable(how_.state) + ": " + std::strerror(errno));
  }

  void load_state() {
    if (!exists(how_.state)) return;
    fedagg::state_reader reader;
    fedagg::file_error error;
    std::string belongs, strategy;
    if (fedagg::state_reader::try_open(how_.state, reader, error) != errc::ok ||
        reader.try_load("model", belongs, error) != errc::ok || reader.try_load("strategy", strategy, error) != errc::ok ||
        reader.try_load("optimizer", server_.state(), {}, error) != errc::ok)
      throw failure(error);
    if (belongs != own_identity())
      throw failure(errc::state_mismatch, printable(how_.state) + ": belongs to another model than " + printable(how_.global) +
                                              " is now; remove it to begin anew");
    if (strategy != strategy_.text() && !how_.changed_strategy)
      throw failure(errc::state_mismatch, printable(how_.state) + ": was made by another strategy than " +
                                              printable(how_.config) + "; --changed-strategy goes on with it");
  }

  bool scaffold() const { return strategy_.optimizer.get_if<fedagg::scaffold_server>() != nullptr; }
  bool is_trained(const safetensors_tensor& t) const {
    return !is_control(t.name) && strategy_.roles.of(t.name, element_type(t.type)) == fedagg::role::train;
  }

  /// The state's word of the controls counts, not the model's: only what no round has written yet may be without one.
  void check_controls() const {
    for (const safetensors_tensor& t : global_.tensors()) {
      if (!is_control(t.name)) continue;
      const std::string text = printable(how_.global) + ": has tensor " + in_quotes(t.name);
      if (!scaffold()) throw failure(errc::state_mismatch, text + ", but the strategy does not run SCAFFOLD");
      if (server_.state().round() != 0) return;
      for (const std::byte b : global_.bytes(t))
        if (b != std::byte{})
          throw failure(errc::state_mismatch, text + ", but " + printable(how_.state) +
                                                  " is missing: clients remember what a new state would not");
    }
  }

  /// What the model is now, and with SCAFFOLD a control for each trained tensor.
  std::vector<safetensors_tensor> next_tensors() const {
    std::vector<safetensors_tensor> all;
    for (const safetensors_tensor& t : global_.tensors())
      if (!is_control(t.name)) all.push_back(t);
    for (std::size_t k = 0, size = scaffold() ? all.size() : 0; k < size; ++k)
      if (is_trained(all[k])) {
        safetensors_tensor control = all[k];
        control.name.insert(0, control_prefix);
        all.push_back(std::move(control));
      }
    return all;
  }

  void compare() {
    const std::vector<safetensors_tensor> tensors = next_tensors();
    for (input& in : inputs_) {
      if (!in.bad) in.bad = layout_difference(tensors, global_.name(), in.file);
      if (in.bad) refuse_or_note(*in.bad);
    }
    if (!how_.trusted.empty())
      if (const auto wrong = layout_difference(tensors, global_.name(), trusted_)) throw failure(wrong->code, wrong->text);
  }

  void refuse_or_note(const fault& f) const {
    if (strategy_.server.on_bad_client == fedagg::strategy_policy::fail) throw failure(f.code, f.text);
    note("left out: " + f.text);
  }

  void step() {
    fedagg::safetensors_metadata metadata = global_.metadata();
    metadata["fedagg.round"] = std::to_string(server_.state().round() + 1);
    metadata["fedagg.version"] = version();
    fedagg::file_error error;
    if (fedagg::safetensors_writer::try_create(how_.global, next_tensors(), metadata, writer_, error) != errc::ok)
      throw failure(error);
    fedagg::mutable_model_view trained, controls;
    // By name: the order of a file is the writer's choice, and the state is of a model with its tensors in order.
    for (const safetensors_tensor* tensor : by_name(writer_.tensors())) {
      if (is_control(tensor->name)) {
        controls.add(std::string_view(tensor->name).substr(control_prefix.size()), writer_.view(*tensor));
        continue;
      }
      const auto from = global_.bytes(*global_.find(tensor->name));
      if (!from.empty()) std::memcpy(writer_.bytes(*tensor).data(), from.data(), from.size());
      const fedagg::dtype type = element_type(tensor->type);
      if (is_floating(type) || is_integer(type)) out_.add(tensor->name, writer_.view(*tensor));
      if (is_trained(*tensor)) trained.add(tensor->name, writer_.view(*tensor));
    }
    fedagg::cohort cohort = cohort_of(inputs_, out_), changes;
    if (!how_.trusted.empty()) cohort.trusted(in_order(out_, trusted_));
    if (scaffold()) {
      changes = cohort_of(inputs_, trained, control_prefix);
      if (!how_.trusted.empty()) changes.trusted(in_order(trained, trusted_, control_prefix));
    }
    fedagg::thread_pool pool(how_.threads);
    watched executor(pool, line_);
    fedagg::strategy_options options;
    // What is stepped is a copy that is thrown away with everything else if the round is refused.
    options.write = fedagg::write::direct;
    options.executor = executor;
    if (scaffold()) options.control_changes = &changes;
    const errc code = server_.try_round(cohort, out_, options);
    line_.clear();
    if (const int signal = interruptible::received(); signal != 0) interrupted(signal);
    for (const input* in : take_control_rejections()) refuse_or_note(*in->bad);
    for (const input* in : take_rejections(server_.result(), inputs_)) refuse_or_note(*in->bad);
    if (code != errc::ok) {
      std::string text = std::string(fedagg::message(code)) + ": " + std::to_string(server_.result().used) + " of " +
                         std::to_string(inputs_.size()) + " files left";
      if (!server_.fault().name.empty()) text += ", tensor " + in_quotes(server_.fault().name);
      throw failure(code, text);
    }
    if (scaffold()) write_controls(controls);
  }

  /// Those whose controls are at fault, not their models.
  std::vector<const input*> take_control_rejections() {
    fedagg::outcome controls = server_.control_result();
    std::erase_if(controls.rejected, [](const auto& r) { return r.reason == errc::invalid_weight; });
    return take_rejections(controls, inputs_, control_prefix);
  }

  /// The server's control beside the model, for the clients of the next round.
  void write_controls(const fedagg::mutable_model_view& to) {
    fedagg::stream_fault at;
    const errc code = fedagg::try_update(copy_step{}, {&server_.state().slots()[0].model()}, {&to}, {.fault = &at});
    if (code != errc::ok)
      throw failure(code, printable(how_.global) + ": tensor " + in_quotes(std::string(control_prefix).append(at.name)) +
                              ": " + fedagg::message(code));
  }

  void commit() {
    line_.show("writing to the disk");
    fedagg::file_error error;
    fedagg::state_writer state;
    const std::string belongs =
        identity(writer_.tensors(), [&](const safetensors_tensor& t) { return writer_.bytes(t); });
    state.add("model", belongs).add("strategy", strategy_.text()).add("optimizer", server_.state());
    if (state.try_commit(next(), error) != errc::ok) throw failure(error);
    if (const int signal = interruptible::received(); signal != 0) {
      (void)::unlink(next().c_str());
      interrupted(signal);
    }
    if (writer_.try_commit(error) != errc::ok) {
      (void)::unlink(next().c_str());
      throw failure(error);
    }
    publish_state();
    line_.clear();
  }

  [[noreturn]] void interrupted(int signal) {
    failure f(status::internal, errc::executor_failed, "interrupted; the model and the state are as they were");
    f.status = 128 + signal;
    throw f;
  }

  void report(const failure* f) {
    if (how_.report.empty()) return;
    json r;
    r["fedagg"] = version();
    r["ok"] = f == nullptr;
    r["error"] = f ? json{{"code", code_name(f->code)}, {"text", f->text}} : json();
    r["strategy"] = json::parse(strategy_.text());
    r["global"] = how_.global;
    r["state"] = how_.state;
    r["round"] = server_.state().round();
    report_files(r, inputs_, server_.result(), f == nullptr);
    r["client"] = r["strategy"]["client"];
    write_report(how_.report, r);
  }

  const round_options& how_;
  fedagg::strategy strategy_;
  fedagg::strategy_server server_;
  interruptible signals_;
  progress line_;
  safetensors_file global_, trusted_;
  std::vector<input> inputs_;
  fedagg::safetensors_writer writer_;
  fedagg::mutable_model_view out_;
};

} // namespace

void round(const round_options& how) { round_job(how).run(); }

} // namespace cli
