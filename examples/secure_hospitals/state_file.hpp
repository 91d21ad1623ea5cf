// SPDX-License-Identifier: MIT
#ifndef FEDAGG_EXAMPLES_SECURE_HOSPITALS_STATE_FILE_HPP
#define FEDAGG_EXAMPLES_SECURE_HOSPITALS_STATE_FILE_HPP

#include <cstdint>
#include <string>

#include "agreement.hpp"

namespace secure_hospitals {

/// The last sealed state of a hospital, behind the number of its round, in a file that is only ever replaced as a
/// whole: after a crash it is the old one or the new one, and no message has left that it does not know of.
class state_file {
public:
  /// Reads what an earlier process left.
  explicit state_file(std::string path);

  /// The round that was begun last, 0 if none was.
  std::uint64_t round() const noexcept { return round_; }
  fedagg::bytes_view sealed() const noexcept { return sealed_; }

  /// Names the round that the next states belong to.
  void begin(std::uint64_t round) noexcept { round_ = round; }
  /// What `secure_client::keep` calls: true once the state is on the disk under its name.
  bool operator()(fedagg::bytes_view sealed);

private:
  std::string path_;
  std::uint64_t round_ = 0;
  bytes sealed_;
};

} // namespace secure_hospitals

#endif // FEDAGG_EXAMPLES_SECURE_HOSPITALS_STATE_FILE_HPP
