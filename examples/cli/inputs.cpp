// SPDX-License-Identifier: MIT
#include "inputs.hpp"

#include <cstring>
#include <map>
#include <set>
#include <utility>

#include <sys/stat.h>

#include <fedagg/core/weighting.hpp>

namespace cli {

using fedagg::errc;
using fedagg::safetensors_file;
using fedagg::safetensors_tensor;

void check_paths(const aggregate_options& how) {
  std::map<std::pair<dev_t, ino_t>, std::string> seen;
  const auto add = [&](const std::string& path, const char* role, const std::string& refused_with) {
    struct stat about = {};
    if (::stat(path.c_str(), &about) != 0) return;
    const auto [at, fresh] = seen.try_emplace({about.st_dev, about.st_ino}, role + in_quotes(path));
    if (!fresh) usage_error(at->second + " and " + role + in_quotes(path) + " are the same file" + refused_with);
  };
  for (const std::string& path : how.files) add(path, "", ": each client may count once");
  const std::string base = how.base_option + std::string(" ");
  if (!how.base.empty()) add(how.base, base.c_str(), ": the base is not a client");
  if (!how.trusted.empty()) add(how.trusted, "--trusted ", ": the trusted row is the server's own");
  struct stat about = {};
  // The output may replace the base, and nothing else.
  if (::stat(how.output.c_str(), &about) == 0) {
    const auto found = seen.find({about.st_dev, about.st_ino});
    if (found != seen.end() && found->second.rfind(base, 0) != 0)
      usage_error("the output " + in_quotes(how.output) + " is the input " + found->second + ": it would replace it");
  }
  if (how.report.empty() || how.report == "-") return;
  if (how.report == how.output) usage_error("--report and --output are the same file " + in_quotes(how.report));
  seen.try_emplace({about.st_dev, about.st_ino}, "the output " + in_quotes(how.output));
  add(how.report, "--report ", "");
}

void open_file(const std::string& path, safetensors_file& file) {
  fedagg::file_error error;
  if (safetensors_file::try_open(path, file, error) != errc::ok) throw failure(error);
}

std::vector<input> open_inputs(std::span<const std::string> paths) {
  std::vector<input> inputs;
  inputs.reserve(paths.size());
  for (const std::string& path : paths) {
    input& in = inputs.emplace_back();
    in.path = path;
    fedagg::file_error error;
    const errc code = safetensors_file::try_open(path, in.file, error);
    if (code == errc::ok) continue;
    if (status_of(code) != status::bad_input) throw failure(error);
    in.bad = fault{code, {}, error.text()};
  }
  return inputs;
}

void read_weights(const aggregate_options& how, std::vector<input>& inputs) {
  if (!how.weights.empty()) {
    std::vector<std::string> parts(1);
    for (const char c : how.weights)
      if (c == ',') parts.emplace_back();
      else parts.back() += c;
    if (parts.size() != inputs.size())
      usage_error("--weights has " + std::to_string(parts.size()) + " values for " + std::to_string(inputs.size()) +
                  " files: one weight per file, in their order");
    double sum = 0;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      double& weight = inputs[k].weight;
      if (!parse_number(parts[k], weight) || !fedagg::detail::valid_weight(weight))
        usage_error("--weights: " + in_quotes(parts[k]) + " for " + in_quotes(inputs[k].path) +
                    " is no weight: a finite number, not negative");
      sum += weight;
    }
    if (!(sum > 0)) usage_error("--weights: all of them are zero");
  } else if (!how.weights_from.empty()) {
    for (input& in : inputs) {
      if (in.bad) continue;
      const auto found = in.file.metadata().find(how.weights_from);
      const std::string key = "metadata " + in_quotes(how.weights_from);
      if (found == in.file.metadata().end()) {
        in.bad = fault{errc::invalid_weight, {}, in.path + ": has no " + key + " to take its weight from"};
      } else if (!parse_number(found->second, in.weight) || !fedagg::detail::valid_weight(in.weight)) {
        in.bad = fault{errc::invalid_weight, {},
                       in.path + ": its " + key + " is " + in_quotes(found->second.substr(0, 60)) +
                           ", no weight: a finite number, not negative"};
        in.weight = 1;
      }
    }
  }
}

std::optional<fault> layout_difference(std::span<const safetensors_tensor> reference, const std::string& name,
                                       const safetensors_file& other) {
  const auto differ = [&](const std::string& tensor, const std::string& text) {
    return fault{errc::client_layout, tensor,
                 printable(other.name()) + ": tensor " + in_quotes(tensor) + " " + text + " " + printable(name)};
  };
  for (const safetensors_tensor& mine : reference) {
    const safetensors_tensor* const theirs = other.find(mine.name);
    if (theirs == nullptr) return differ(mine.name, "is missing; it is in");
    if (theirs->type != mine.type)
      return differ(mine.name, std::string("is ") + name_of(theirs->type) + ", but " + name_of(mine.type) + " in");
    if (theirs->shape != mine.shape)
      return differ(mine.name, "has shape " + shape_text(theirs->shape) + ", but " + shape_text(mine.shape) + " in");
  }
  if (other.tensors().size() > reference.size()) {
    std::set<std::string_view> names;
    for (const safetensors_tensor& mine : reference) names.insert(mine.name);
    for (const safetensors_tensor& theirs : other.tensors())
      if (!names.contains(theirs.name)) return differ(theirs.name, "is surplus; it is not in");
  }
  return std::nullopt;
}

std::optional<fault> difference(const safetensors_file& reference, const safetensors_file& other, bool bytes) {
  if (auto layout = layout_difference(reference.tensors(), reference.name(), other); layout || !bytes) return layout;
  for (const safetensors_tensor& mine : reference.tensors()) {
    const fedagg::dtype type = element_type(mine.type);
    if (is_floating(type) || is_integer(type)) continue;
    const auto a = reference.bytes(mine), b = other.bytes(*other.find(mine.name));
    if (!a.empty() && std::memcmp(a.data(), b.data(), a.size()) != 0) {
      return fault{errc::unsupported_element, mine.name,
                   printable(other.name()) + ": tensor " + in_quotes(mine.name) + " of type " + name_of(mine.type) +
                       " cannot be aggregated (give --base to keep its value) and differs from that in " +
                       printable(reference.name())};
    }
  }
  return std::nullopt;
}

const safetensors_file* most_common(std::span<const input> inputs) {
  struct group {
    const safetensors_file* first;
    std::size_t count;
  };
  std::vector<group> groups;
  for (const input& in : inputs) {
    if (in.bad) continue;
    bool found = false;
    for (group& g : groups)
      if (!difference(*g.first, in.file, true)) {
        ++g.count;
        found = true;
        break;
      }
    if (!found) groups.push_back({&in.file, 1});
  }
  const safetensors_file* best = nullptr;
  std::size_t most = 0;
  for (const group& g : groups)
    if (g.count > most) {
      most = g.count;
      best = g.first;
    }
  return best;
}

fedagg::model_view in_order(const fedagg::mutable_model_view& out, const safetensors_file& file,
                            std::string_view prefix) {
  fedagg::model_view model;
  for (const auto& entry : out.entries())
    model.add(entry.name, file.view(*file.find(std::string(prefix).append(entry.name))));
  return model;
}

fedagg::cohort cohort_of(std::span<const input> inputs, const fedagg::mutable_model_view& out,
                         std::string_view prefix) {
  fedagg::model_view nothing_alike;
  for (std::size_t k = 0; k <= out.size(); ++k) nothing_alike.add({}, fedagg::any_tensor());
  fedagg::cohort cohort;
  for (const input& in : inputs)
    cohort.add(in.bad ? nothing_alike : in_order(out, in.file, prefix), {.weight = in.weight, .id = in.path});
  return cohort;
}

std::vector<const input*> take_rejections(const fedagg::outcome& o, std::vector<input>& inputs,
                                          std::string_view prefix) {
  std::vector<const input*> taken;
  for (const fedagg::rejection& r : o.rejected) {
    input& in = inputs[r.client];
    if (in.bad) continue;
    const std::string tensor = std::string(prefix).append(r.tensor_name);
    in.bad = fault{r.reason, tensor, printable(in.path) + ": tensor " + in_quotes(tensor) + ": " + fedagg::message(r.reason)};
    taken.push_back(&in);
  }
  return taken;
}

} // namespace cli
