// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_AGREEMENT_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_AGREEMENT_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <fedagg/adapters/sodium.hpp>
#include <fedagg/secure/protocol/wire.hpp>
#include <fedagg/secure/ring_codec.hpp>
#include <fedagg/secure/secure_setup.hpp>

namespace secure_hospitals {

using bytes = std::vector<std::uint8_t>;
using suite = fedagg::sodium_suite;

/// What all parties hold before the first round, and did not get from the server.
struct agreement {
  std::vector<fedagg::public_key> roster; ///< the hospitals' long-term keys, in the order of hospitals::sites
  fedagg::digest session = {};            ///< names this training run
};

/// A hospital's long-term secrets. They stay in its folder.
struct secrets {
  fedagg::signing_key identity;
  fedagg::secret_key state_key; ///< seals what it saves
};

/// How strong a round is: nobody is trusted, the server included; one hospital may work for it, one may drop out.
inline constexpr fedagg::secure_parameters strength{
    .model = fedagg::threat_model::malicious, .colluding = 1, .dropouts = 1, .threshold = 4};

/// One round, of vectors that this codec makes.
fedagg::secure_setup setup_of(const agreement& agreed, std::uint64_t round, const fedagg::ring_codec& codec);

/// Makes a hospital's secrets in a folder of its own and returns its public key, which it gives to the others.
fedagg::public_key enrol(const std::string& folder);
secrets read_secrets(const std::string& folder);

void write_agreement(const std::string& path, const agreement& agreed);
agreement read_agreement(const std::string& path);

/// What a hospital signs to show the server who is calling. The server's 32 random bytes are in it, so that nobody can
/// say it a second time.
bytes greeting(const agreement& agreed, fedagg::bytes_view challenge, std::uint32_t hospital);

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_AGREEMENT_HPP
