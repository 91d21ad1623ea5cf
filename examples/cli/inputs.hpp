// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_CLI_INPUTS_HPP
#define FEDAGG_EXAMPLES_CLI_INPUTS_HPP

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/core/cohort.hpp>
#include <fedagg/core/outcome.hpp>
#include <fedagg/formats/safetensors.hpp>

#include "common.hpp"

namespace cli {

/// Why a file cannot take part: `text` is about the file, and names the other one where two differ.
struct fault {
  fedagg::errc code = fedagg::errc::ok;
  std::string tensor;
  std::string text;
};

/// One client's file.
struct input {
  std::string path;
  fedagg::safetensors_file file;
  double weight = 1;
  std::optional<fault> bad;
};

/// Refuses paths that are the same file, by whatever name, before anything is opened.
void check_paths(const aggregate_options& how);

/// Opens a file of the server's own; failure ends the command.
void open_file(const std::string& path, fedagg::safetensors_file& file);

/// Opens all files. One that cannot be found or read ends the command; one that is malformed is marked.
std::vector<input> open_inputs(std::span<const std::string> paths);

/// Fills the weights from the command line or the metadata; a file without a usable one is marked.
void read_weights(const aggregate_options& how, std::vector<input>& inputs);

/// Before the name of a tensor: SCAFFOLD's control for it in the global model, its change in a site's file.
inline constexpr std::string_view control_prefix = "scaffold_control/";
inline bool is_control(std::string_view name) noexcept { return name.starts_with(control_prefix); }

/// The first tensor in which `other` differs from `reference`, the tensors of `name`: missing, surplus, of another type
/// or shape.
std::optional<fault> layout_difference(std::span<const fedagg::safetensors_tensor> reference, const std::string& name,
                                       const fedagg::safetensors_file& other);

/// The same for a file's tensors; with `bytes`, also the contents of tensors that no rule computes with.
std::optional<fault> difference(const fedagg::safetensors_file& reference, const fedagg::safetensors_file& other,
                                bool bytes);

/// The file that the most files agree with, the first of those; null if there is no usable file.
const fedagg::safetensors_file* most_common(std::span<const input> inputs);

/// The tensors that are computed, of a file, in the order of the output; in the file their names have that prefix.
fedagg::model_view in_order(const fedagg::mutable_model_view& out, const fedagg::safetensors_file& file,
                            std::string_view prefix = {});

/// The clients of a round, one for each file. A file that is left out already is still one, of no layout at all: what a
/// rule may lose is counted from all.
fedagg::cohort cohort_of(std::span<const input> inputs, const fedagg::mutable_model_view& out,
                         std::string_view prefix = {});

/// Marks the files that a round has rejected and that were not marked before; returns them.
std::vector<const input*> take_rejections(const fedagg::outcome& o, std::vector<input>& inputs,
                                          std::string_view prefix = {});

} // namespace cli

#endif // FEDAGG_EXAMPLES_CLI_INPUTS_HPP
