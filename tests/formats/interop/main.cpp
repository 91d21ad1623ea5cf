// SPDX-License-Identifier: MIT
// interop copy IN OUT: through safetensors_writer; interop save IN OUT: through save_safetensors.
#include <cstdio>
#include <cstring>
#include <string>

#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>

int main(int argc, char* argv[]) {
  if (argc != 4) return 2;
  fedagg::file_error error;
  fedagg::safetensors_file in;
  fedagg::errc code = fedagg::safetensors_file::try_open(argv[2], in, error);
  if (code == fedagg::errc::ok && std::string(argv[1]) == "save") {
    code = fedagg::try_save_safetensors(argv[3], in.model(), in.metadata(), error);
  } else if (code == fedagg::errc::ok) {
    fedagg::safetensors_writer out;
    code = fedagg::safetensors_writer::try_create(argv[3], in.tensors(), in.metadata(), out, error);
    for (std::size_t k = 0; code == fedagg::errc::ok && k < in.tensors().size(); ++k) {
      const auto from = in.bytes(in.tensors()[k]);
      if (!from.empty()) std::memcpy(out.bytes(out.tensors()[k]).data(), from.data(), from.size());
    }
    if (code == fedagg::errc::ok) code = out.try_commit(error);
  }
  if (code != fedagg::errc::ok) std::fprintf(stderr, "%s\n", error.text());
  return code == fedagg::errc::ok ? 0 : 1;
}
