// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_RING_VECTOR_HPP
#define FEDAGG_SECURE_RING_VECTOR_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include <fedagg/core/error.hpp>
#include <fedagg/kernels/packing.hpp>
#include <fedagg/kernels/parts/ring.hpp>
#include <fedagg/secure/secret.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// `count` elements of the integers modulo 2^bits.
struct ring_segment {
  unsigned bits = 32; ///< 8 to 64
  std::uint64_t count = 0;
  friend bool operator==(const ring_segment&, const ring_segment&) = default;
};

/// The segments of a ring vector, in order. In memory an element takes 2 (up to 16 bits), 4 (up to 32) or 8 bytes, and
/// each segment begins at a multiple of 64 bytes; in a message it takes its bits, and each segment begins at a byte.
class ring_layout {
public:
  ring_layout() = default;

  /// Appends a segment. `bad_parameter` unless bits is 8 to 64; `size_overflow` beyond what memory can hold;
  /// `out_of_memory`. The layout is unchanged then.
  [[nodiscard]] errc try_add(unsigned bits, std::uint64_t count) noexcept {
    if (bits < 8 || bits > 64) return errc::bad_parameter;
    constexpr std::uint64_t most = static_cast<std::uint64_t>(PTRDIFF_MAX) / 2;
    const place p{{bits, count}, storage_, packed_};
    if (count > most / 8) return errc::size_overflow;
    const std::uint64_t storage = (count * word_bytes_of(bits) + 63) / 64 * 64;
    const std::uint64_t packed = count / 8 * bits + (count % 8 * bits + 7) / 8;
    if (storage > most - storage_) return errc::size_overflow;
#if FEDAGG_EXCEPTIONS
    try {
      places_.push_back(p);
    } catch (...) {
      return errc::out_of_memory;
    }
#else
    places_.push_back(p);
#endif
    storage_ += static_cast<std::size_t>(storage);
    packed_ += static_cast<std::size_t>(packed);
    return errc::ok;
  }

  /// How many segments.
  std::size_t size() const noexcept { return places_.size(); }
  const ring_segment& segment(std::size_t k) const noexcept { return places_[k].segment; }
  /// Bytes of an element in memory: 2, 4 or 8.
  std::size_t word_bytes(std::size_t k) const noexcept { return word_bytes_of(places_[k].segment.bits); }
  /// Where a segment begins: in memory, in a message.
  std::size_t offset(std::size_t k) const noexcept { return places_[k].offset; }
  std::size_t packed_offset(std::size_t k) const noexcept { return places_[k].packed; }
  /// Of all segments; each takes a multiple of 64 in memory.
  std::size_t storage_bytes() const noexcept { return storage_; }
  std::size_t packed_bytes() const noexcept { return packed_; }

  static constexpr std::size_t word_bytes_of(unsigned bits) noexcept { return bits <= 16 ? 2 : bits <= 32 ? 4 : 8; }

  friend bool operator==(const ring_layout&, const ring_layout&) = default;

private:
  struct place {
    ring_segment segment;
    std::size_t offset = 0, packed = 0;
    friend bool operator==(const place&, const place&) = default;
  };

  std::vector<place> places_;
  std::size_t storage_ = 0, packed_ = 0;
};

/// Elements of a layout, in memory of their own that is wiped when it goes. Arithmetic wraps around at the word; what
/// an element means are its last `bits` bits. Moves, but copies only by `try_copy`.
class ring_vector {
public:
  ring_vector() = default;
  ring_vector(ring_vector&& other) noexcept { swap(other); }
  ring_vector& operator=(ring_vector&& other) noexcept {
    ring_vector taken(static_cast<ring_vector&&>(other));
    swap(taken);
    return *this;
  }
  ~ring_vector() {
    clear();
    ::operator delete(data_, std::align_val_t{64});
  }

  /// All zero, of this layout. Keeps its memory where that is large enough. `out_of_memory`; unchanged then.
  [[nodiscard]] errc try_reset(const ring_layout& layout) noexcept {
    if (const errc rc = take(layout); rc != errc::ok) return rc;
    clear();
    return errc::ok;
  }
  /// `out_of_memory`; unchanged then.
  [[nodiscard]] errc try_copy(const ring_vector& other) noexcept {
    if (this == &other) return errc::ok;
    if (const errc rc = take(other.layout_); rc != errc::ok) return rc;
    if (layout_.storage_bytes() != 0) std::memcpy(data_, other.data_, layout_.storage_bytes());
    return errc::ok;
  }

  const ring_layout& layout() const noexcept { return layout_; }
  /// How many segments.
  std::size_t size() const noexcept { return layout_.size(); }

  /// The words of segment k: Word is std::uint16_t, std::uint32_t or std::uint64_t, as the layout's `word_bytes` says;
  /// empty for another.
  template <class Word>
  std::span<Word> words(std::size_t k) noexcept {
    static_assert(sizeof(Word) == 2 || sizeof(Word) == 4 || sizeof(Word) == 8, "a word of 16, 32 or 64 bits");
    if (sizeof(Word) != layout_.word_bytes(k)) return {};
    return {reinterpret_cast<Word*>(data_ + layout_.offset(k)), static_cast<std::size_t>(layout_.segment(k).count)};
  }
  template <class Word>
  std::span<const Word> words(std::size_t k) const noexcept {
    return const_cast<ring_vector*>(this)->words<Word>(k);
  }
  /// Calls f with the words of segment k, whichever they are.
  template <class F>
  decltype(auto) visit(std::size_t k, F&& f) noexcept {
    switch (layout_.word_bytes(k)) {
    case 2:
      return f(words<std::uint16_t>(k));
    case 4:
      return f(words<std::uint32_t>(k));
    default:
      return f(words<std::uint64_t>(k));
    }
  }
  template <class F>
  decltype(auto) visit(std::size_t k, F&& f) const noexcept {
    switch (layout_.word_bytes(k)) {
    case 2:
      return f(words<std::uint16_t>(k));
    case 4:
      return f(words<std::uint32_t>(k));
    default:
      return f(words<std::uint64_t>(k));
    }
  }

  /// Element i of segment k: below 2^bits, and as the signed number of the same residue.
  std::uint64_t value(std::size_t k, std::size_t i) const noexcept {
    const std::uint64_t word = visit(k, [i](auto w) { return std::uint64_t{w[i]}; });
    return word & ~std::uint64_t{0} >> (64 - layout_.segment(k).bits);
  }
  std::int64_t signed_value(std::size_t k, std::size_t i) const noexcept {
    const unsigned unused = 64 - layout_.segment(k).bits;
    return static_cast<std::int64_t>(value(k, i) << unused) >> unused;
  }

  /// Sets every element to zero.
  void clear() noexcept { wipe(data_, layout_.storage_bytes()); }

  void swap(ring_vector& other) noexcept {
    std::swap(layout_, other.layout_);
    std::swap(data_, other.data_);
    std::swap(room_, other.room_);
  }

private:
  errc take(const ring_layout& layout) noexcept {
    ring_layout own;
    if (const errc rc = impl::no_throw([&] {
          own = layout;
          return errc::ok;
        });
        rc != errc::ok)
      return rc;
    if (layout.storage_bytes() > room_) {
      auto* data =
          static_cast<std::byte*>(::operator new(layout.storage_bytes(), std::align_val_t{64}, std::nothrow));
      if (data == nullptr) return errc::out_of_memory;
      clear();
      ::operator delete(data_, std::align_val_t{64});
      data_ = data;
      room_ = layout.storage_bytes();
    } else {
      clear();
    }
    layout_ = static_cast<ring_layout&&>(own);
    return errc::ok;
  }

  ring_layout layout_;
  std::byte* data_ = nullptr;
  std::size_t room_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// sum += x, element by element, in the ring. `layout_mismatch`, before anything is written.
[[nodiscard]] inline errc try_add(ring_vector& sum, const ring_vector& x) noexcept {
  if (!(sum.layout() == x.layout())) return errc::layout_mismatch;
  for (std::size_t k = 0; k < sum.size(); ++k)
    sum.visit(k, [&]<class W>(std::span<W> to) {
      impl::on_active_isa([&](auto isa) {
        impl::ring_kernel<decltype(isa)>::add(to.data(), x.words<W>(k).data(), to.size());
      });
    });
  return errc::ok;
}

/// Writes the elements as a message has them: little-endian, `bits` bits each, what is left of a segment's last byte
/// zero. `out` has exactly `layout().packed_bytes()`, else `message_format`.
[[nodiscard]] inline errc try_pack(const ring_vector& x, bytes_span out) noexcept {
  if (out.size() != x.layout().packed_bytes()) return errc::message_format;
  for (std::size_t k = 0; k < x.size(); ++k)
    x.visit(k, [&](auto words) {
      impl::pack_words(words.data(), x.layout().segment(k).bits, words.size(), out.data() + x.layout().packed_offset(k));
    });
  return errc::ok;
}

namespace impl {

inline errc check_packed(const ring_layout& layout, bytes_view in) noexcept {
  if (in.size() != layout.packed_bytes()) return errc::message_format;
  for (std::size_t k = 0; k < layout.size(); ++k) {
    const ring_segment& s = layout.segment(k);
    if (!packed_padding_is_zero(in.data() + layout.packed_offset(k), s.bits, static_cast<std::size_t>(s.count)))
      return errc::message_format;
  }
  return errc::ok;
}

} // namespace impl

/// Reads what `try_pack` wrote into a vector of that layout. `message_format` for another size, or bits set behind a
/// segment's last element: nothing is written then.
[[nodiscard]] inline errc try_unpack(bytes_view in, ring_vector& out) noexcept {
  if (const errc rc = impl::check_packed(out.layout(), in); rc != errc::ok) return rc;
  for (std::size_t k = 0; k < out.size(); ++k)
    out.visit(k, [&](auto words) {
      impl::unpack_words(in.data() + out.layout().packed_offset(k), out.layout().segment(k).bits, words.size(),
                         words.data());
    });
  return errc::ok;
}

/// sum += what a message holds, in one pass and no memory: what a server does with each client's. Refused as
/// `try_unpack`.
[[nodiscard]] inline errc try_add_packed(bytes_view in, ring_vector& sum) noexcept {
  if (const errc rc = impl::check_packed(sum.layout(), in); rc != errc::ok) return rc;
  for (std::size_t k = 0; k < sum.size(); ++k)
    sum.visit(k, [&]<class W>(std::span<W> words) {
      const std::uint8_t* from = in.data() + sum.layout().packed_offset(k);
      const unsigned bits = sum.layout().segment(k).bits;
      if (bits == 8 * sizeof(W))
        impl::on_active_isa([&](auto isa) {
          impl::ring_kernel<decltype(isa)>::add(words.data(), reinterpret_cast<const W*>(from), words.size());
        });
      else
        impl::unpack_each<W>(from, bits, words.size(),
                             [&](std::size_t j, W word) { words[j] = static_cast<W>(words[j] + word); });
    });
  return errc::ok;
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_RING_VECTOR_HPP
