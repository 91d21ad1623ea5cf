// SPDX-License-Identifier: MIT
#ifndef FEDAGG_SECURE_MASK_HPP
#define FEDAGG_SECURE_MASK_HPP

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <fedagg/core/errc.hpp>
#include <fedagg/core/executor.hpp>
#include <fedagg/core/relaxed.hpp>
#include <fedagg/core/wipe.hpp>
#include <fedagg/kernels/parts/chacha.hpp>
#include <fedagg/passes/round/tasks.hpp>
#include <fedagg/secure/chacha20.hpp>
#include <fedagg/secure/secret.hpp>

namespace fedagg::inline FEDAGG_ABI {

/// The key of one mask, and whether it is taken off.
struct mask_key {
  secret_key key;
  bool subtract = false;
};

/// The words of one segment that masks are added to: unsigned, of 16, 32 or 64 bits, with wrap-around. The index names
/// the segment in the keys' streams: its place in the ring vector, the same for all clients and the server.
class mask_segment {
public:
  mask_segment(std::span<std::uint16_t> words, std::uint64_t index = 0) noexcept : mask_segment(words, index, 2) {}
  mask_segment(std::span<std::uint32_t> words, std::uint64_t index = 0) noexcept : mask_segment(words, index, 4) {}
  mask_segment(std::span<std::uint64_t> words, std::uint64_t index = 0) noexcept : mask_segment(words, index, 8) {}

  std::uint64_t index() const noexcept { return index_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t word_bytes() const noexcept { return word_bytes_; }
  void* data() const noexcept { return data_; }

private:
  template <class Word>
  mask_segment(std::span<Word> words, std::uint64_t index, std::size_t word_bytes) noexcept
      : data_(words.data()), size_(words.size()), word_bytes_(word_bytes), index_(index) {}

  void* data_;
  std::size_t size_, word_bytes_;
  std::uint64_t index_;
};

/// Where masks come from: a pseudorandom stream of bytes for each key and segment, any part of which can be had, on
/// several threads at once. Word w of a segment is masked with bytes w b to w b + b - 1, the lowest first, b being the
/// bytes of its words. A copyable object; constant time in the key.
///
///   G::name                                  generators never mix in a round: it stands in the round's parameters
///   G::segment_bytes                         bytes of a stream
///   keystream(key, segment, offset, out)     writes the stream's bytes from `offset`, a multiple of 2048, on; false if
///                                            that failed
///
/// Optional: add(keys, segment, offset, words) noexcept, which adds the words of all the keys' streams, or takes them
/// off, in one go; for words of 16, 32 and 64 bits.
// clang-format off
template <class G>
concept mask_generator = std::copyable<G> && requires(const G& g, const secret_key& key, std::uint64_t at, bytes_span out) {
  { G::name } -> std::convertible_to<const char*>;
  { G::segment_bytes } -> std::convertible_to<std::uint64_t>;
  { g.keystream(key, at, at, out) } noexcept -> std::same_as<bool>;
};

template <class G>
concept fused_mask_generator = mask_generator<G> && requires(const G& g, std::span<const mask_key> keys, std::uint64_t at) {
  { g.add(keys, at, at, std::span<std::uint16_t>()) } noexcept;
  { g.add(keys, at, at, std::span<std::uint32_t>()) } noexcept;
  { g.add(keys, at, at, std::span<std::uint64_t>()) } noexcept;
};

/// A vector of segments, such as `ring_vector`: `visit(k, f)` calls f with the words of segment k, as a span.
template <class V>
concept masked_vector = requires(V& v, std::size_t k) {
  { v.size() } -> std::convertible_to<std::size_t>;
  { v.visit(k, [](auto words) { return mask_segment(words); }) } -> std::same_as<mask_segment>;
};
// clang-format on

} // namespace fedagg::inline FEDAGG_ABI

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Masks from ChaCha20 (RFC 8439): the stream of a key and a segment is the keystream from block 0 on, with the nonce
/// "mask", segment in eight bytes, the lowest first. Generated and added in one go.
struct chacha20_masks {
  static constexpr const char* name = "chacha20";
  static constexpr std::uint64_t segment_bytes = chacha20_stream::size;

  bool keystream(const secret_key& key, std::uint64_t segment, std::uint64_t offset, bytes_span out) const noexcept {
    impl::chacha_key ready;
    impl::prepare(ready, key.bytes(), stream_nonce(stream_purpose::mask, segment));
    impl::keystream(ready, static_cast<std::uint32_t>(offset / 64), out);
    wipe(&ready, sizeof ready);
    return true;
  }

  template <class Word>
  void add(std::span<const mask_key> keys, std::uint64_t segment, std::uint64_t offset,
           std::span<Word> words) const noexcept {
    constexpr std::size_t most = 32;
    const chacha20_nonce nonce = stream_nonce(stream_purpose::mask, segment);
    impl::chacha_key ready[most];
    while (!keys.empty()) {
      const std::size_t count = keys.size() < most ? keys.size() : most;
      // What is taken off comes first.
      std::size_t subtracted = 0, added = count;
      for (const mask_key& k : keys.first(count))
        impl::prepare(ready[k.subtract ? subtracted++ : --added], k.key.bytes(), nonce);
      impl::on_active_isa([&](auto tag) {
        impl::chacha_kernel<decltype(tag)>::add(ready, subtracted, count, static_cast<std::uint32_t>(offset / 64),
                                                words.data(), words.size());
      });
      keys = keys.subspan(count);
    }
    wipe(ready, sizeof ready);
  }
};

namespace impl {

/// The segments of a vector: their places are their indices.
template <masked_vector V>
struct vector_segments {
  V& vector;
  std::size_t size() const noexcept { return vector.size(); }
  mask_segment operator[](std::size_t k) const noexcept {
    return vector.visit(k, [&](auto words) { return mask_segment(words, k); });
  }
};

/// Masks added to the words of several segments, in tasks.
template <class G, class Segments>
class mask_pass {
public:
  mask_pass(const G& generator, const Segments& segments, std::span<const mask_key> keys) noexcept
      : generator_(generator), segments_(segments), keys_(keys) {}

  errc run(executor_ref executor) noexcept {
    std::size_t tasks = 0;
    for (std::size_t k = 0; k < segments_.size(); ++k) {
      const mask_segment s = segments_[k];
      if (k != 0 && s.index() <= segments_[k - 1].index()) return errc::bad_parameter;
      if (s.size() > 0 && !s.data()) return errc::null_data;
      if (s.size() > std::uint64_t{G::segment_bytes} / s.word_bytes()) return errc::size_overflow;
      tasks += tasks_of(s);
    }
    if (keys_.empty()) return errc::ok;
    if (const errc rc = run_tasks(executor, tasks, [this](std::size_t index) { part(index); }); rc != errc::ok)
      return rc;
    return failed_ ? errc::no_randomness : errc::ok;
  }

private:
  /// Bytes that all keys are added to before the next ones are.
  static constexpr std::size_t tile = 32768;

  /// A task is worth a thread: so many tiles for each key.
  std::size_t task_words(const mask_segment& s) const noexcept {
    const std::size_t tiles = keys_.size() < 8 ? 8 / keys_.size() : 1;
    return tiles * (tile / s.word_bytes());
  }
  std::size_t tasks_of(const mask_segment& s) const noexcept {
    if (keys_.empty()) return 0;
    const std::size_t words = task_words(s);
    return s.size() / words + (s.size() % words != 0);
  }

  void part(std::size_t index) noexcept {
    std::size_t k = 0;
    for (; k < segments_.size() && index >= tasks_of(segments_[k]); ++k) index -= tasks_of(segments_[k]);
    if (k == segments_.size()) return;
    const mask_segment s = segments_[k];
    const std::size_t words = task_words(s), begin = index * words, left = s.size() - begin;
    const std::size_t end = begin + (left < words ? left : words);
    s.word_bytes() == 2   ? over<std::uint16_t>(s, begin, end)
    : s.word_bytes() == 4 ? over<std::uint32_t>(s, begin, end)
                          : over<std::uint64_t>(s, begin, end);
  }

  template <class Word>
  void over(const mask_segment& s, std::size_t begin, std::size_t end) noexcept {
    constexpr std::size_t most = tile / sizeof(Word);
    for (; begin < end; begin += most) {
      const std::size_t count = end - begin < most ? end - begin : most;
      const std::span<Word> words(static_cast<Word*>(s.data()) + begin, count);
      if constexpr (fused_mask_generator<G>)
        generator_.add(keys_, s.index(), std::uint64_t{begin} * sizeof(Word), words);
      else
        stepwise(s.index(), begin, words);
    }
  }

  /// A stream at a time, in pieces.
  template <class Word>
  void stepwise(std::uint64_t segment, std::size_t begin, std::span<Word> words) noexcept {
    alignas(64) std::uint8_t bytes[8192];
    Word mask[sizeof bytes / sizeof(Word)];
    for (std::size_t at = 0; at < words.size(); at += sizeof bytes / sizeof(Word)) {
      const std::size_t left = words.size() - at,
                        count = left < sizeof bytes / sizeof(Word) ? left : sizeof bytes / sizeof(Word);
      for (const mask_key& k : keys_) {
        if (!generator_.keystream(k.key, segment, std::uint64_t{begin + at} * sizeof(Word),
                                  bytes_span(bytes, count * sizeof(Word)))) {
          detail::relaxed_store(failed_, true);
          break;
        }
        std::memcpy(mask, bytes, count * sizeof(Word));
        Word* to = words.data() + at;
        for (std::size_t j = 0; j < count; ++j)
          to[j] = static_cast<Word>(k.subtract ? to[j] - mask[j] : to[j] + mask[j]);
      }
    }
    wipe(bytes, sizeof bytes);
    wipe(mask, sizeof mask);
  }

  const G& generator_;
  const Segments& segments_;
  std::span<const mask_key> keys_;
  bool failed_ = false;
};

} // namespace impl

/// Adds to the words of each segment those of every key's stream, or takes them off where `subtract` says so. Each part
/// of the words is loaded once for all keys. The same words whatever the executor and the instruction set; allocates
/// nothing. Constant time in the keys, not in which of them are subtracted.
///
/// Before the first write: `bad_parameter` if the segments' indices do not ascend (two segments would share a mask),
/// `null_data`, `size_overflow` for a segment longer than a stream. `executor_failed`, and `no_randomness` if the
/// generator failed, leave words that are of no use.
template <mask_generator G>
[[nodiscard]] errc add_masks(const G& generator, std::span<const mask_segment> segments, std::span<const mask_key> keys,
                             executor_ref executor = {}) noexcept {
  return impl::mask_pass<G, std::span<const mask_segment>>(generator, segments, keys).run(executor);
}

/// The same for a vector's segments, whose places are their indices.
template <mask_generator G, masked_vector V>
[[nodiscard]] errc add_masks(const G& generator, V& vector, std::span<const mask_key> keys,
                             executor_ref executor = {}) noexcept {
  const impl::vector_segments<V> segments{vector};
  return impl::mask_pass<G, impl::vector_segments<V>>(generator, segments, keys).run(executor);
}

/// The same for one segment.
template <mask_generator G>
[[nodiscard]] errc add_masks(const G& generator, const mask_segment& segment, std::span<const mask_key> keys,
                             executor_ref executor = {}) noexcept {
  return add_masks(generator, std::span(&segment, 1), keys, executor);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_SECURE_MASK_HPP
