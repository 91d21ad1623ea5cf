// SPDX-License-Identifier: MIT
#include "agreement.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "patients.hpp"

namespace secure_hospitals {
namespace {

void write_file(const std::string& path, fedagg::bytes_view content) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

/// A file of exactly so many bytes.
void read_file(const std::string& path, fedagg::bytes_span content) {
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
  if (!file || file.peek() != std::ifstream::traits_type::eof()) throw std::runtime_error("cannot use " + path);
}

fedagg::secret_key make_secret(const std::string& path) {
  fedagg::secret_key made;
  if (!suite().random(made.bytes())) fedagg::impl::raise(fedagg::errc::no_randomness);
  write_file(path, made.bytes());
  return made;
}

} // namespace

fedagg::secure_setup setup_of(const agreement& agreed, std::uint64_t round, const fedagg::ring_codec& codec) {
  fedagg::secure_setup setup;
  setup.parameters = strength;
  setup.roster = agreed.roster;
  setup.session = agreed.session;
  setup.round = round;
  setup.layout = codec.layout();
  struct {
    bytes& to;
    void update(fedagg::bytes_view more) { to.insert(to.end(), more.begin(), more.end()); }
  } description{setup.description};
  codec.describe(description);
  return setup;
}

fedagg::public_key enrol(const std::string& folder) {
  std::filesystem::create_directories(folder);
  make_secret(folder + "/state-key");
  fedagg::signing_key ignored;
  fedagg::public_key key;
  suite().signing_keys(make_secret(folder + "/identity"), ignored, key);
  return key;
}

secrets read_secrets(const std::string& folder) {
  secrets own;
  read_file(folder + "/state-key", own.state_key.bytes());
  fedagg::secret_key seed;
  read_file(folder + "/identity", seed.bytes());
  fedagg::public_key ignored;
  suite().signing_keys(seed, own.identity, ignored);
  return own;
}

void write_agreement(const std::string& path, const agreement& agreed) {
  bytes content(agreed.session.begin(), agreed.session.end());
  for (const fedagg::public_key& key : agreed.roster) content.insert(content.end(), key.begin(), key.end());
  write_file(path, content);
}

agreement read_agreement(const std::string& path) {
  bytes content(sizeof(fedagg::digest) + hospitals::sites.size() * sizeof(fedagg::public_key));
  read_file(path, content);
  fedagg::wire_reader r(content);
  agreement agreed;
  agreed.session = r.array<32>();
  for (std::size_t h = 0; h < hospitals::sites.size(); ++h) agreed.roster.push_back(r.array<32>());
  return agreed;
}

bytes greeting(const agreement& agreed, fedagg::bytes_view challenge, std::uint32_t hospital) {
  fedagg::transcript<suite> said("secure hospitals 1 greeting");
  const fedagg::digest hash = said.bytes(agreed.session).bytes(challenge).number(hospital).finish();
  return bytes(hash.begin(), hash.end());
}

} // namespace secure_hospitals
