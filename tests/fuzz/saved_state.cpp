// SPDX-License-Identifier: MIT
// What is accepted gives objects that keep their promises, and saved again and read once more it is the same.
// Inputs are sealed with the right checksum first: nothing behind it would be seen otherwise.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fedagg/core/model_buffer.hpp>
#include <fedagg/core/model_layout.hpp>
#include <fedagg/formats/saved_state.hpp>

#include "../formats/everything.hpp"

namespace {

using namespace fedagg;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

/// Puts the right checksum where one is, if the bytes are a safetensors file.
void seal(std::span<std::byte> bytes) {
  safetensors_file file;
  file_error error;
  if (safetensors_file::try_parse(bytes, "fuzz", file, error) != errc::ok) return;
  const auto sum = file.metadata().find("checksum");
  if (sum == file.metadata().end() || sum->second.size() != 16) return;
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size() - file.data().size());
  const std::size_t at = all.find("\"checksum\":\"" + sum->second + '"');
  if (at == std::string_view::npos) return;
  std::string right;
  impl::append_hex(right, impl::state_checksum(file.metadata(), file.tensors(), file.data()), 16);
  std::memcpy(bytes.data() + at + 12, right.data(), right.size());
}

/// Saves into memory.
template <class Object>
std::vector<std::byte> saved(const Object& object, file_error& error) {
  impl::state_saver saver("again", error);
  saver.entry("state");
  require(const_cast<Object&>(object).archive(saver) == errc::ok, "what was loaded can be saved");
  std::string header;
  require(impl::write_safetensors_header(saver.tensors, saver.metadata, "again", header, error) == errc::ok,
          "what was loaded makes a file");
  const auto bytes = std::as_bytes(std::span(header));
  return {bytes.begin(), bytes.end()};
}

template <class Object>
void load(const state_reader& reader, const Object& fresh) {
  Object object = fresh;
  file_error error;
  const errc code = reader.try_load("state", object, error);
  if (code != errc::ok) {
    require(error.code() == code && std::strncmp(error.text(), "fuzz: ", 6) == 0, "a refusal names the file");
    require(is_utf8(error.text()), "a refusal can be printed");
    require(object == fresh, "a refusal leaves the object as it was");
    return;
  }
  Object again = fresh;
  require(reader.try_load("state", again, error) == errc::ok, "what loads once loads twice");
  if constexpr (archivable<Object>) {
    require(again == object, "loading twice gives the same");
    require(saved(object, error) == saved(again, error), "what was loaded is saved the same");
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> input(data, data + size);
  const auto bytes = std::as_writable_bytes(std::span(input));
  seal(bytes);
  state_reader reader;
  file_error error;
  if (const errc code = state_reader::try_parse(bytes, "fuzz", reader, error); code != errc::ok) {
    require(error.code() == code && std::strncmp(error.text(), "fuzz: ", 6) == 0, "a refusal names the file");
    require(is_utf8(error.text()), "a refusal can be printed");
    return 0;
  }
  load(reader, everything::sample());
  load(reader, model_buffer());
  load(reader, model_layout());
  load(reader, std::string("as it was"));
  load(reader, std::int8_t{7});
  load(reader, 0.5);
  load(reader, true);

  model_buffer buffer;
  if (reader.try_load("state", buffer, error) == errc::ok) {
    require(buffer.status() == errc::ok, "an accepted buffer can be used");
    require(buffer.layout().matches(buffer.model()) == errc::ok, "a buffer has its layout");
    buffer.fill(1);
  }
  std::vector<float> w(6), before = w;
  const std::size_t shape[] = {2, 3};
  std::int64_t steps = 3;
  mutable_model_view model;
  model.add("w", tensor_view<float>(w.data(), shape)).add("steps", any_mutable_tensor(dtype::i64, &steps, {}));
  if (reader.try_load("state", model, error) != errc::ok)
    require(w == before && steps == 3, "a refusal leaves the model as it was");
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
