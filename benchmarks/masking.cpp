// SPDX-License-Identifier: MIT
// What masks cost: generated and added in one go, against libsodium's ChaCha20 keystream and OpenSSL's AES-256-CTR
// keystream, which only generate; and a client's masks of a whole round against our own keystream. One thread. A line
// each: the median of the rounds, the bar where there is one, quartiles.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <fedagg/kernels/isa.hpp>
#include <fedagg/secure/chacha20.hpp>
#include <fedagg/secure/mask.hpp>

#include "support/ratios.hpp"

namespace {

constexpr std::size_t d = 1000000;
constexpr std::size_t bytes = d * sizeof(std::uint32_t);
/// What fits in the first cache: the others' keystreams are given every help.
constexpr std::size_t piece = 32768;

void require(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "masking: %s failed\n", what);
  std::exit(2);
}
void require(fedagg::errc rc) { require(rc == fedagg::errc::ok, fedagg::message(rc)); }

std::vector<fedagg::mask_key> some_keys(std::size_t count) {
  std::vector<fedagg::mask_key> keys(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < 32; ++k) keys[i].key.data()[k] = static_cast<std::uint8_t>(31 * i + 7 * k + 1);
    keys[i].subtract = i % 2 == 1;
  }
  return keys;
}

/// Fills `bytes` bytes, piece by piece, with the next part of a keystream.
template <class Next>
void in_pieces(std::vector<std::uint8_t>& buffer, const Next& next) {
  for (std::size_t at = 0; at < bytes; at += piece) next(buffer.data(), std::min(piece, bytes - at), at);
}

void sodium_keystream(std::vector<std::uint8_t>& buffer) {
  const unsigned char key[32] = {1}, nonce[12] = {2};
  // One call: it takes no first block.
  crypto_stream_chacha20_ietf(buffer.data(), bytes, nonce, key);
}

class aes {
public:
  aes() : context_(EVP_CIPHER_CTX_new()), zeros_(piece) { require(context_ != nullptr, "OpenSSL"); }
  ~aes() { EVP_CIPHER_CTX_free(context_); }
  aes(const aes&) = delete;
  aes& operator=(const aes&) = delete;

  void keystream(std::vector<std::uint8_t>& buffer) {
    const unsigned char key[32] = {1}, counter[16] = {2};
    require(EVP_EncryptInit_ex(context_, EVP_aes_256_ctr(), nullptr, key, counter) == 1, "OpenSSL");
    in_pieces(buffer, [&](std::uint8_t* to, std::size_t size, std::size_t) {
      int written = 0;
      require(EVP_EncryptUpdate(context_, to, &written, zeros_.data(), static_cast<int>(size)) == 1, "OpenSSL");
    });
  }

private:
  EVP_CIPHER_CTX* context_;
  std::vector<std::uint8_t> zeros_;
};

/// Our own keystreams of all keys.
void own_keystream(std::span<const fedagg::mask_key> keys, std::vector<std::uint8_t>& buffer) {
  for (const fedagg::mask_key& key : keys) {
    fedagg::chacha20_stream stream(key.key, fedagg::stream_purpose::mask);
    in_pieces(buffer, [&](std::uint8_t* to, std::size_t size, std::size_t) { require(stream.fill({to, size})); });
  }
}

/// The best of three turns each of two that are compared, in every round.
double time_of(const std::function<void()>& f, int turns) {
  double best = 1e300;
  for (int turn = 0; turn < turns; ++turn) best = std::min(best, bench::seconds_of(f));
  return best;
}

template <class Word>
void against_others(const char* words, std::size_t how_many, int rounds, bool bars, std::vector<bench::ratio>& rows) {
  const auto keys = some_keys(how_many);
  std::vector<Word> x(bytes / sizeof(Word));
  std::vector<std::uint8_t> buffer(bytes);
  aes cipher;
  const std::string name = std::string(fedagg::name_of(fedagg::active_isa())) + ", " + std::to_string(how_many) +
                           (how_many == 1 ? " mask" : " masks") + " added to " + words;
  bench::ratio chacha{name + " / libsodium's ChaCha20"}, other{name + " / OpenSSL's AES-256-CTR"};
  if (bars) chacha.bound = other.bound = ">=", chacha.bar = 2, other.bar = 0.8;
  double speed = 1e300;
  for (int round = 0; round < rounds; ++round) {
    const double own =
        time_of([&] { require(add_masks(fedagg::chacha20_masks{}, fedagg::mask_segment(x), keys)); }, 3) /
        static_cast<double>(how_many);
    chacha.samples.push_back(time_of([&] { sodium_keystream(buffer); }, 3) / own);
    other.samples.push_back(time_of([&] { cipher.keystream(buffer); }, 3) / own);
    speed = std::min(speed, own);
  }
  std::printf("%-58s %6.2f GB/s\n", name.c_str(), static_cast<double>(bytes) / speed * 1e-9);
  rows.push_back(std::move(chacha));
  rows.push_back(std::move(other));
}

/// A client's vector: what is counted, in 64 bits, and the model; its own mask and one for each neighbour.
void client(std::size_t neighbours, int rounds, std::vector<bench::ratio>& rows) {
  const auto keys = some_keys(neighbours + 1);
  std::vector<std::uint64_t> counts(4);
  std::vector<std::uint32_t> model(d);
  std::vector<std::uint8_t> buffer(piece);
  const fedagg::mask_segment segments[] = {{std::span(counts), 0}, {std::span(model), 1}};
  bench::ratio r{std::string(fedagg::name_of(fedagg::active_isa())) + ", client, d=" + std::to_string(d) + ", " +
                     std::to_string(neighbours) + " neighbours / our own keystream",
                 {},
                 "<=",
                 1.3};
  for (int round = 0; round < rounds; ++round) {
    const double keystream = time_of([&] { own_keystream(keys, buffer); }, 1);
    r.samples.push_back(time_of([&] { require(add_masks(fedagg::chacha20_masks{}, segments, keys)); }, 1) / keystream);
  }
  rows.push_back(std::move(r));
}

} // namespace

int main(int count, char** arguments) {
  bool quick = false;
  if (!bench::read_quick(count, arguments, "masking", quick)) return 2;
  require(sodium_init() >= 0, "libsodium");
  bench::print_machine();
  std::printf("libsodium %s, %s\n\n", sodium_version_string(), OpenSSL_version(OPENSSL_VERSION));
  const int rounds = quick ? 5 : 41;
  std::vector<bench::ratio> rows;
  // The bars are AVX-512's; what else there is, is stated.
  const fedagg::isa best = fedagg::active_isa();
  for (const fedagg::isa which : {best, fedagg::isa::avx2}) {
    if (which > best || (which == best && !rows.empty()) || !fedagg::use_isa(which)) continue;
    const bool bars = which == fedagg::isa::avx512;
    against_others<std::uint32_t>("u32", 1, rounds, bars, rows);
    against_others<std::uint32_t>("u32", 32, rounds, bars, rows);
    against_others<std::uint64_t>("u64", 1, rounds, bars, rows);
    against_others<std::uint16_t>("u16", 1, rounds, bars, rows);
    client(100, rounds, rows);
  }
  fedagg::use_isa(best);
  return bench::print(rows);
}
