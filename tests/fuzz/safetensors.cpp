// SPDX-License-Identifier: MIT
// What is accepted is read to its last byte, and written again and read once more it is the same.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <fedagg/formats/safetensors.hpp>
#include <fedagg/formats/safetensors_writer.hpp>

namespace {

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fedagg;
  // A copy of its own, so that a sanitizer sees a read behind the end.
  const std::vector<std::uint8_t> input(data, data + size);
  const auto bytes = std::as_bytes(std::span(input));
  safetensors_file file;
  file_error error;
  if (const errc code = safetensors_file::try_parse(bytes, "fuzz", file, error); code != errc::ok) {
    require(error.code() == code && std::strncmp(error.text(), "fuzz: ", 6) == 0, "a refusal names the file");
    require(is_utf8(error.text()), "a refusal can be printed");
    return 0;
  }

  unsigned sum = 0;
  std::size_t covered = 0;
  for (const safetensors_tensor& tensor : file.tensors()) {
    require(tensor.begin == covered, "no hole and no overlap");
    covered = tensor.end;
    for (const std::byte byte : file.bytes(tensor)) sum += static_cast<unsigned>(byte);
    const any_tensor view = file.view(tensor);
    require(view.status() == errc::ok, "an accepted tensor has a view");
    const std::size_t width = size_of(view.type());
    require(width == 0 || view.size() * width == tensor.end - tensor.begin, "a view is as large as its bytes");
    require(file.find(tensor.name) == &tensor, "a tensor is found by its name");
  }
  [[maybe_unused]] volatile unsigned keep = sum;

  std::vector<safetensors_tensor> tensors(file.tensors().begin(), file.tensors().end());
  std::string again;
  require(impl::write_safetensors_header(tensors, file.metadata(), "again", again, error) == errc::ok,
          "what was read can be written");
  require(again.size() % 8 == 0, "data begins at a multiple of 8");
  const std::size_t header = again.size();
  again.resize(header + covered);
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const auto from = file.bytes(file.tensors()[k]);
    if (!from.empty()) std::memcpy(again.data() + header + tensors[k].begin, from.data(), from.size());
  }
  safetensors_file second;
  require(safetensors_file::try_parse(std::as_bytes(std::span(again)), "again", second, error) == errc::ok,
          "what was written can be read");
  require(second.metadata() == file.metadata(), "metadata is kept");
  require(second.tensors().size() == tensors.size(), "every tensor is kept");
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const safetensors_tensor* found = second.find(tensors[k].name);
    require(found != nullptr && *found == tensors[k], "names, types, shapes and offsets are kept");
    const auto a = second.bytes(*found), b = file.bytes(file.tensors()[k]);
    require(a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0), "data is kept");
  }
  return 0;
}

#if defined(FEDAGG_LIBFUZZER)
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

// Most mutations make the length of the header wrong, and nothing behind it would be seen: three of four mend it.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (size < 10 || seed % 4 == 0) return size;
  std::size_t end = size;
  while (end > 9 && data[end - 1] != '}') --end;
  const std::uint64_t length = end - 8;
  std::memcpy(data, &length, sizeof length);
  return size;
}
#endif
