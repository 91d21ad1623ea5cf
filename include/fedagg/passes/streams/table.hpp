// SPDX-License-Identifier: MIT
#ifndef FEDAGG_PASSES_STREAMS_TABLE_HPP
#define FEDAGG_PASSES_STREAMS_TABLE_HPP

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include <fedagg/core/element.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/model_view.hpp>
#include <fedagg/kernels/simd.hpp>
#include <fedagg/passes/admission.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// The most streams that a step reads and writes together.
inline constexpr std::size_t max_streams = 8;

namespace impl {

/// The tensors that a step goes over, each in all of its streams. The views are borrowed.
class stream_table {
public:
  void clear(std::size_t inputs, std::size_t updates) noexcept {
    inputs_ = inputs;
    updates_ = updates;
    rows_.clear();
    in_.clear();
    io_.clear();
    ranges_.clear();
    read_ranges_.clear();
  }

  /// Adds a tensor: `input(i)` and `update(i)` give its view in each stream. A view's own status, `layout_mismatch`,
  /// `unsupported_element` or `overlapping_output`.
  template <class Inputs, class Updates>
  errc add(std::size_t position, std::string_view name, const Inputs& input, const Updates& update) {
    row r{position, name, 0, true, dtype::f64};
    const any_mutable_tensor* lead = updates_ ? &update(0) : nullptr;
    const any_tensor shape = lead ? any_tensor(*lead) : input(0);
    r.size = shape.size();
    r.type = shape.type();
    const auto take = [&](const auto& t) {
      if (t.status() != errc::ok) return t.status();
      if (!is_floating(t.type())) return errc::unsupported_element;
      if (!same_shape(any_tensor(t), shape)) return errc::layout_mismatch;
      r.plain = r.plain && t.contiguous() && t.type() == r.type;
      return errc::ok;
    };
    for (std::size_t i = 0; i < inputs_; ++i) {
      if (const errc rc = take(input(i)); rc != errc::ok) return rc;
      in_.push_back(&input(i));
    }
    for (std::size_t i = 0; i < updates_; ++i) {
      const any_mutable_tensor& t = update(i);
      if (const errc rc = take(t); rc != errc::ok) return rc;
      if (self_overlapping(t)) return errc::overlapping_output;
      if (t.size() != 0) ranges_.push_back(range_of(t));
      io_.push_back(&t);
    }
    rows_.push_back(r);
    return errc::ok;
  }

  /// What is written and read beside the streams.
  void writes(const any_mutable_tensor& t) {
    if (t.size() != 0) ranges_.push_back(range_of(t));
  }
  void reads(const any_tensor& t) {
    if (t.size() != 0) read_ranges_.push_back(range_of(t));
  }

  /// What is written overlaps nothing else that is read or written; an input may be the very view of an output.
  errc check_memory() {
    sort_ranges(ranges_);
    for (std::size_t i = 1; i < ranges_.size(); ++i)
      if (ranges_[i].first < ranges_[i - 1].last) return errc::overlapping_output;
    for (const byte_range& r : read_ranges_.each())
      if (touches(ranges_, r)) return errc::overlapping_output;
    for (std::size_t k = 0; k < rows_.size(); ++k)
      for (std::size_t i = 0; i < inputs_; ++i) {
        bool same = false;
        for (std::size_t o = 0; o < updates_; ++o) same = same || same_view(input(k, i), any_tensor(update(k, o)));
        if (!same && touches(ranges_, range_of(input(k, i)))) return errc::overlapping_output;
      }
    return errc::ok;
  }

  /// The floating tensors of whole models; names must agree, also those of the others.
  template <std::size_t I, std::size_t O, class Fault>
  errc fill(const std::array<const model_view*, I>& in, const std::array<const mutable_model_view*, O>& io,
            Fault* fault) {
    clear(I, O);
    std::size_t count = 0;
    if constexpr (O != 0)
      count = io[0]->size();
    else
      count = in[0]->size();
    for (const auto* m : in)
      if (m->size() != count) return errc::layout_mismatch;
    for (const auto* m : io)
      if (m->size() != count) return errc::layout_mismatch;
    for (std::size_t k = 0; k < count; ++k) {
      const auto refuse = [&](errc rc, std::string_view name) {
        if (fault) *fault = {k, name};
        return rc;
      };
      std::string_view name;
      bool floating = false;
      if constexpr (O != 0) {
        name = io[0]->entries()[k].name;
        floating = is_floating(io[0]->entries()[k].tensor.type());
      } else {
        name = in[0]->entries()[k].name;
        floating = is_floating(in[0]->entries()[k].tensor.type());
      }
      for (const auto* m : in)
        if (m->entries()[k].name != name) return refuse(errc::layout_mismatch, name);
      for (const auto* m : io)
        if (m->entries()[k].name != name) return refuse(errc::layout_mismatch, name);
      if (!floating) continue;
      const errc rc = add(
          k, name, [&](std::size_t i) -> const any_tensor& { return in[i]->entries()[k].tensor; },
          [&](std::size_t i) -> const any_mutable_tensor& { return io[i]->entries()[k].tensor; });
      if (rc != errc::ok) return refuse(rc, name);
    }
    return check_memory();
  }

  std::size_t size() const noexcept { return rows_.size(); }
  std::size_t position(std::size_t k) const noexcept { return rows_[k].position; }
  std::string_view name(std::size_t k) const noexcept { return rows_[k].name; }
  std::size_t size_of(std::size_t k) const noexcept { return rows_[k].size; }
  /// True if every stream of the tensor is contiguous and of this type.
  bool plain(std::size_t k, dtype type) const noexcept { return rows_[k].plain && rows_[k].type == type; }
  const any_tensor& input(std::size_t k, std::size_t i) const noexcept { return *in_[k * inputs_ + i]; }
  const any_mutable_tensor& update(std::size_t k, std::size_t i) const noexcept { return *io_[k * updates_ + i]; }

private:
  struct row {
    std::size_t position;
    std::string_view name;
    std::size_t size;
    bool plain;
    dtype type;
  };

  std::size_t inputs_ = 0, updates_ = 0;
  std::vector<row> rows_;
  std::vector<const any_tensor*> in_;
  std::vector<const any_mutable_tensor*> io_;
  detail::list<byte_range> ranges_, read_ranges_;
};

/// Elements [begin, begin + count) of a floating view as doubles; count <= 512.
inline void load_doubles(const any_tensor& t, std::size_t begin, std::size_t count, double* to) noexcept {
  alignas(64) std::byte packed[512 * 8];
  const std::size_t bytes = fedagg::size_of(t.type());
  const std::byte* from = static_cast<const std::byte*>(t.data()) + (t.contiguous() ? begin * bytes : 0);
  if (!t.contiguous()) {
    gather(t, begin, count, packed);
    from = packed;
  }
  on_active_isa([&](auto isa) {
    using kernel = convert_kernel<decltype(isa)>;
    switch (t.type()) {
    case dtype::f64:
      std::memcpy(to, from, count * sizeof(double));
      return;
    case dtype::f32:
      return kernel::to_doubles(reinterpret_cast<const float*>(from), count, to, 1);
    case dtype::f16:
      return kernel::to_doubles(reinterpret_cast<const float16*>(from), count, to, 1);
    default:
      return kernel::to_doubles(reinterpret_cast<const bfloat16*>(from), count, to, 1);
    }
  });
}

/// Rounds doubles once into elements [begin, begin + count) of a floating view, or only looks; false if one overflows.
inline bool store_doubles(const any_mutable_tensor& t, std::size_t begin, std::size_t count, const double* from,
                          bool store) noexcept {
  alignas(64) std::byte packed[512 * 8];
  const bool fits =
      on_active_isa([&](auto isa) { return convert_kernel<decltype(isa)>::round_all(t.type(), from, count, packed); });
  if (store) scatter(t, begin, count, packed);
  return fits;
}

} // namespace impl
} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_PASSES_STREAMS_TABLE_HPP
