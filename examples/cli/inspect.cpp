// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include <fedagg/core/element.hpp>

#include "inputs.hpp"
#include "report.hpp"

namespace cli {
namespace {

using fedagg::dtype;
using fedagg::safetensors_file;
using fedagg::safetensors_tensor;
using json = nlohmann::ordered_json;

template <class T>
double load(const std::byte* from) {
  T x;
  std::memcpy(&x, from, sizeof x);
  if constexpr (std::is_same_v<T, fedagg::float16> || std::is_same_v<T, fedagg::bfloat16>)
    return static_cast<double>(to_float(x));
  else return static_cast<double>(x);
}

/// Calls f with the reader of a type and its width; false if no number is stored so.
template <class F>
bool with_reader(dtype type, F&& f) {
  switch (type) {
  case dtype::f64: return f(load<double>), true;
  case dtype::f32: return f(load<float>), true;
  case dtype::f16: return f(load<fedagg::float16>), true;
  case dtype::bf16: return f(load<fedagg::bfloat16>), true;
  case dtype::i64: return f(load<std::int64_t>), true;
  case dtype::i32: return f(load<std::int32_t>), true;
  case dtype::i16: return f(load<std::int16_t>), true;
  case dtype::i8: return f(load<std::int8_t>), true;
  case dtype::u64: return f(load<std::uint64_t>), true;
  case dtype::u32: return f(load<std::uint32_t>), true;
  case dtype::u16: return f(load<std::uint16_t>), true;
  case dtype::u8: return f(load<std::uint8_t>), true;
  default: return false;
  }
}

/// A sum of squares that neither overflows nor vanishes: squares are kept at one of three scales.
class squares {
public:
  void add(double x) {
    const double magnitude = x < 0 ? -x : x;
    if (magnitude > 0x1p500) large_ += (x * 0x1p-600) * (x * 0x1p-600);
    else if (magnitude < 0x1p-500) small_ += (x * 0x1p600) * (x * 0x1p600);
    else middle_ += x * x;
  }
  void add(const squares& other) {
    large_ += other.large_;
    middle_ += other.middle_;
    small_ += other.small_;
  }
  double root() const {
    if (large_ > 0) return std::sqrt(large_ + middle_ * 0x1p-1000 * 0x1p-200) * 0x1p600;
    if (middle_ > 0) return std::sqrt(middle_ + small_ * 0x1p-1000 * 0x1p-200);
    return std::sqrt(small_) * 0x1p-600;
  }

private:
  double large_ = 0, middle_ = 0, small_ = 0;
};

struct tensor_facts {
  std::size_t count = 0;
  std::size_t non_finite = 0;
  squares sum;
  bool numeric = false;
};

tensor_facts facts_of(const safetensors_file& file, const safetensors_tensor& tensor) {
  tensor_facts f;
  f.count = 1;
  for (const std::size_t extent : tensor.shape) f.count *= extent;
  const auto bytes = file.bytes(tensor);
  const std::size_t width = bits_of(tensor.type) / 8;
  f.numeric = with_reader(element_type(tensor.type), [&](auto read) {
    for (std::size_t at = 0; at < bytes.size(); at += width) {
      const double x = read(bytes.data() + at);
      if (fedagg::is_finite(x)) f.sum.add(x);
      else ++f.non_finite;
    }
  });
  return f;
}

/// The Euclidean distance of the floating-point tensors; false if a value is not finite.
bool distance(const safetensors_file& a, const safetensors_file& b, double& d) {
  squares sum;
  bool finite = true;
  for (const safetensors_tensor& tensor : a.tensors()) {
    const dtype type = element_type(tensor.type);
    if (!is_floating(type)) continue;
    const auto x = a.bytes(tensor), y = b.bytes(*b.find(tensor.name));
    const std::size_t width = bits_of(tensor.type) / 8;
    with_reader(type, [&](auto read) {
      for (std::size_t at = 0; at < x.size(); at += width) {
        // Halves, because the difference of two finite doubles can overflow.
        const double half = read(x.data() + at) / 2 - read(y.data() + at) / 2;
        if (fedagg::is_finite(half)) sum.add(half);
        else finite = false;
      }
    });
  }
  d = sum.root() * 2;
  return finite;
}

json number(double x) { return fedagg::is_finite(x) ? json(x) : json(); }

struct table {
  std::vector<std::vector<std::string>> rows;

  /// Columns from `right` on are flush right.
  void print(std::size_t right, const char* indent) const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows)
      for (std::size_t k = 0; k < row.size(); ++k) {
        if (widths.size() <= k) widths.push_back(0);
        widths[k] = std::max(widths[k], row[k].size());
      }
    for (const auto& row : rows) {
      std::string line = indent;
      for (std::size_t k = 0; k < row.size(); ++k) {
        const std::string pad(widths[k] - row[k].size(), ' ');
        line += (k ? "  " : "") + (k < right ? row[k] + pad : pad + row[k]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      std::printf("%s\n", line.c_str());
    }
  }
};

json inspect_file(const safetensors_file& file, bool as_json) {
  json j = {{"file", file.name()}, {"metadata", json::object()}, {"tensors", json::array()}};
  for (const auto& [key, value] : file.metadata()) j["metadata"][key] = value;
  table t{{{"tensor", "dtype", "shape", "elements", "norm", "NaN/Inf"}}};
  squares model;
  std::size_t elements = 0, non_finite = 0, bytes = 0;
  for (const safetensors_tensor& tensor : file.tensors()) {
    const tensor_facts f = facts_of(file, tensor);
    if (is_floating(element_type(tensor.type))) model.add(f.sum);
    elements += f.count;
    non_finite += f.non_finite;
    bytes += tensor.end - tensor.begin;
    j["tensors"].push_back({{"name", tensor.name},
                            {"dtype", name_of(tensor.type)},
                            {"shape", tensor.shape},
                            {"elements", f.count},
                            {"norm", f.numeric ? number(f.sum.root()) : json()},
                            {"non_finite", f.numeric ? json(f.non_finite) : json()}});
    t.rows.push_back({printable(tensor.name), name_of(tensor.type), shape_text(tensor.shape), std::to_string(f.count),
                      f.numeric ? number_text(f.sum.root()) : "-", f.numeric ? std::to_string(f.non_finite) : "-"});
  }
  j["elements"] = elements;
  j["bytes"] = bytes;
  j["norm"] = number(model.root());
  j["non_finite"] = non_finite;
  if (as_json) return j;
  std::printf("%s: %zu tensors, %zu elements, %s, norm %s, %zu NaN/Inf\n", printable(file.name()).c_str(),
              file.tensors().size(), elements, bytes_text(static_cast<double>(bytes)).c_str(),
              number_text(model.root()).c_str(), non_finite);
  for (const auto& [key, value] : file.metadata())
    std::printf("  %s: %s\n", printable(key).c_str(), printable(value).c_str());
  if (t.rows.size() > 1) t.print(3, "  ");
  std::printf("\n");
  return j;
}

} // namespace

int inspect(const inspect_options& how) {
  std::vector<safetensors_file> files;
  int worst = 0;
  json all = {{"files", json::array()}, {"distances", json::array()}};
  for (const std::string& path : how.files) {
    safetensors_file file;
    fedagg::file_error error;
    if (const auto code = safetensors_file::try_open(path, file, error); code != fedagg::errc::ok) {
      note(error.text());
      worst = std::max(worst, static_cast<int>(status_of(code)));
      continue;
    }
    all["files"].push_back(inspect_file(file, how.json));
    files.push_back(std::move(file));
  }
  if (how.distances && files.size() > 1) {
    table t{{{""}}};
    std::vector<std::string> differences;
    for (std::size_t i = 0; i < files.size(); ++i) {
      t.rows[0].push_back("[" + std::to_string(i + 1) + "]");
      t.rows.push_back({"[" + std::to_string(i + 1) + "] " + printable(files[i].name())});
      for (std::size_t k = 0; k < i; ++k) {
        const auto differs = difference(files[k], files[i], false);
        double d = 0;
        const bool known = !differs && distance(files[k], files[i], d);
        t.rows.back().push_back(known ? number_text(d) : "-");
        json pair = {{"files", {files[k].name(), files[i].name()}}, {"distance", known ? number(d) : json()}};
        if (differs) {
          pair["why"] = differs->text;
          differences.push_back(differs->text);
        } else if (!known) {
          pair["why"] = "NaN or Inf";
        }
        all["distances"].push_back(std::move(pair));
      }
      t.rows.back().push_back("0");
    }
    if (!how.json) {
      std::printf("distances of the floating-point tensors; -: NaN or Inf, or files that differ\n");
      t.print(1, "  ");
      for (const std::string& text : differences) std::printf("  %s\n", text.c_str());
    }
  }
  if (how.json) std::fputs(dump(all).c_str(), stdout);
  return worst;
}

} // namespace cli
