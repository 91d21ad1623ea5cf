// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAVED_STATE_HPP
#define FEDAGG_FORMATS_SAVED_STATE_HPP

#include <string>
#include <string_view>

#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/saved_state/state_reader.hpp>
#include <fedagg/formats/saved_state/state_writer.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Saves one object, as the entry "state" of a file: all of it, or nothing. `configuration` is the JSON of its rule or
/// optimizer, if it has one: loading asks for the same text. Errors as `state_writer::try_commit`.
template <archivable Object>
[[nodiscard]] errc try_save_state(const std::string& path, const Object& object, std::string_view configuration,
                                  file_error& error) noexcept {
  return impl::without_throwing(path, error, [&] {
    state_writer writer;
    writer.add("state", object, configuration);
    return writer.try_commit(path, error);
  });
}

/// Loads what `try_save_state` saved; `object` is untouched unless the result is `ok`. An empty expectation means any
/// configuration. Errors as `state_reader::try_open` and `try_load`.
template <archivable Object>
[[nodiscard]] errc try_load_state(const std::string& path, Object& object, std::string_view expected_configuration,
                                  file_error& error) noexcept {
  state_reader reader;
  if (const errc rc = state_reader::try_open(path, reader, error); rc != errc::ok) return rc;
  return reader.try_load("state", object, expected_configuration, error);
}

/// Throw `fedagg::error`, whose text names the file.
template <archivable Object>
void save_state(const std::string& path, const Object& object, std::string_view configuration = {}) {
  file_error error;
  if (try_save_state(path, object, configuration, error) != errc::ok) impl::raise(error);
}
template <archivable Object>
void load_state(const std::string& path, Object& object, std::string_view expected_configuration = {}) {
  file_error error;
  if (try_load_state(path, object, expected_configuration, error) != errc::ok) impl::raise(error);
}

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_SAVED_STATE_HPP
