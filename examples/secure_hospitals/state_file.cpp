// SPDX-License-Identifier: MIT
#include "state_file.hpp"

#include <cstdio>
#include <cstring>
#include <utility>

#include <fedagg/formats/io/atomic_file.hpp>
#include <fedagg/formats/io/mapped_file.hpp>

namespace secure_hospitals {

state_file::state_file(std::string path) : path_(std::move(path)) {
  fedagg::mapped_file file;
  fedagg::file_error why;
  const fedagg::errc rc = fedagg::mapped_file::try_open(path_, file, why);
  if (rc == fedagg::errc::file_not_found) return;
  // Who cannot tell what it sent last must not send anything.
  if (rc != fedagg::errc::ok) fedagg::impl::raise(rc, why.text());
  const fedagg::bytes_view content(reinterpret_cast<const std::uint8_t*>(file.bytes().data()), file.bytes().size());
  fedagg::wire_reader r(content);
  round_ = r.u64();
  if (!r.ok()) fedagg::impl::raise(fedagg::errc::file_format, path_);
  const fedagg::bytes_view sealed = r.bytes(r.left());
  sealed_.assign(sealed.begin(), sealed.end());
}

bool state_file::operator()(fedagg::bytes_view sealed) {
  bytes content;
  fedagg::wire_writer(content).u64(round_).bytes(sealed);
  fedagg::atomic_file file;
  fedagg::file_error why;
  if (fedagg::atomic_file::try_create(path_, content.size(), file, why) == fedagg::errc::ok) {
    std::memcpy(file.bytes().data(), content.data(), content.size());
    if (file.try_commit(why) == fedagg::errc::ok) {
      sealed_.assign(sealed.begin(), sealed.end());
      return true;
    }
  }
  std::fprintf(stderr, "%s\n", why.text());
  return false;
}

} // namespace secure_hospitals
