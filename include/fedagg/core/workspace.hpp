// SPDX-License-Identifier: MIT
#ifndef FEDAGG_CORE_WORKSPACE_HPP
#define FEDAGG_CORE_WORKSPACE_HPP

#include <cstddef>

#include <fedagg/core/any_tensor.hpp>
#include <fedagg/core/list.hpp>
#include <fedagg/core/outcome.hpp>

namespace fedagg::inline FEDAGG_ABI {
namespace detail {

/// One tensor of the output that takes part, and how the cohort's memory for it is read.
struct segment {
  std::size_t tensor = 0;   ///< index in the output
  std::size_t position = 0; ///< index among the tensors in scope
  std::size_t size = 0;
  std::size_t first_task = 0; ///< tasks [first_task, next segment's first_task) are its tiles
  dtype type = dtype::f32;
  bool direct = false; ///< all views are dense in the same order: pointers suffice
  bool keep = false;   ///< copied from the base
  bool idle = false;   ///< left out of this sweep
};

/// A range of bytes, to find overlaps.
struct byte_range {
  std::size_t first = 0;
  std::size_t last = 0;
};

/// Room for one object of a type that this layer does not know, made when it is first asked for and kept. Units built
/// with other flags have types of their own: whoever asks next for another one gets a new one.
class any_box {
  using drop_call = void (*)(void*) noexcept;

public:
  any_box() = default;
  any_box(const any_box&) noexcept {} // a copy starts empty: what is in it is scratch
  any_box(any_box&& other) noexcept : object_(other.object_), drop_(other.drop_) {
    other.object_ = nullptr;
    other.drop_ = nullptr;
  }
  any_box& operator=(any_box other) noexcept {
    void* const object = object_;
    const drop_call drop = drop_;
    object_ = other.object_;
    drop_ = other.drop_;
    other.object_ = object;
    other.drop_ = drop;
    return *this;
  }
  ~any_box() { clear(); }

  template <class T>
  T& get() {
    const auto drop = [](void* p) noexcept { delete static_cast<T*>(p); };
    constexpr drop_call drop_this = drop;
    if (drop_ != drop_this) {
      clear();
      object_ = new T;
      drop_ = drop_this;
    }
    return *static_cast<T*>(object_);
  }

private:
  void clear() noexcept {
    if (drop_) drop_(object_);
    object_ = nullptr;
    drop_ = nullptr;
  }

  void* object_ = nullptr;
  drop_call drop_ = nullptr;
};

/// Everything a round needs besides its arguments; kept between rounds so that a steady state allocates nothing.
struct round_buffers {
  outcome result;
  list<std::size_t> present;     // clients in use
  list<errc> fault;              // per client
  list<std::size_t> fault_place; // per client: where its values are at fault, and how
  list<double> weights;          // per client in use
  list<double> coefficients;     // per client in use
  list<double> sorted_weights;
  list<std::size_t> order;
  list<segment> segments;
  list<const any_tensor*> views;      // segment by segment, one per client in use
  list<const any_tensor*> base_views; // one per segment, null without a base
  list<const void*> pointers;         // as `views`
  list<byte_range> ranges;
  list<std::byte> scratch;
  list<unsigned char> slots;
  any_box more; // of rounds that need geometry
};

} // namespace detail

/// Memory that a caller keeps between rounds, and the outcome of the last one. Not shared by concurrent calls.
class workspace {
public:
  /// The last call's outcome; valid until the next call with this workspace.
  const outcome& result() const noexcept { return buffers_.result; }

  /// The library's own.
  detail::round_buffers& buffers() noexcept { return buffers_; }

private:
  detail::round_buffers buffers_;
};

} // namespace fedagg::inline FEDAGG_ABI

#endif // FEDAGG_CORE_WORKSPACE_HPP
