// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAVED_STATE_STATE_WRITER_HPP
#define FEDAGG_FORMATS_SAVED_STATE_STATE_WRITER_HPP

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fedagg/core/model_view.hpp>
#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/file_writer.hpp>
#include <fedagg/formats/saved_state/container.hpp>
#include <fedagg/formats/saved_state/saver.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// Everything that a server must find again after it was killed, saved together in one file: all of it or nothing.
/// Entries have names of their own without '/'. Objects and models are borrowed until the last commit, which reads them
/// where they lie; values are copied. A writer may commit again and again.
class state_writer {
public:
  /// An object that keeps state, with the JSON of its rule or optimizer: loading asks for the same text.
  template <archivable Object>
  state_writer& add(std::string_view name, const Object& object, std::string_view configuration = {}) {
    entry& e = append(name, Object::kind, Object::version);
    e.configuration = configuration;
    e.object = &object;
    // An archive that does not load changes nothing.
    e.archive = [](const void* p, impl::state_saver& a) {
      return const_cast<Object*>(static_cast<const Object*>(p))->archive(a);
    };
    return *this;
  }
  template <archivable Object>
  state_writer& add(std::string_view name, const Object&& object, std::string_view configuration = {}) = delete;

  /// A model: tensors of any strides under their names, which must be UTF-8 and differ.
  state_writer& add(std::string_view name, const model_view& model) {
    append(name, impl::state_model_kind, 1).model = model;
    return *this;
  }

  /// A number, a truth value or a text; a round's number, say.
  template <class Value>
  requires std::is_arithmetic_v<Value> || std::convertible_to<Value, std::string_view> state_writer&
  add(std::string_view name, const Value& value) {
    entry& e = append(name, impl::state_value_kind, 1);
    if constexpr (std::same_as<Value, bool>)
      e.value = impl::to_state_text(value);
    else if constexpr (std::signed_integral<Value>)
      e.value = impl::to_state_text(static_cast<std::int64_t>(value));
    else if constexpr (std::unsigned_integral<Value>)
      e.value = impl::to_state_text(static_cast<std::uint64_t>(value));
    else if constexpr (std::floating_point<Value>)
      e.value = impl::to_state_text(static_cast<double>(value));
    else
      e.value = impl::to_state_text(std::string(std::string_view(value)));
    return *this;
  }

  /// Writes the file beside its place, flushes it to the disk and renames it. After any failure the old file is as it
  /// was. `bad_parameter` for a name that occurs twice, contains '/' or is not UTF-8; what an object's archive answers;
  /// else as `try_save_safetensors`.
  [[nodiscard]] errc try_commit(const std::string& path, file_error& error) const noexcept {
    error = {};
    return impl::without_throwing(path, error, [&] {
      impl::state_saver saver(path, error);
      if (const errc rc = archive(path, saver, error); rc != errc::ok) return rc;
      safetensors_writer writer;
      if (const errc rc = safetensors_writer::try_create(path, saver.tensors, saver.metadata, writer, error);
          rc != errc::ok)
        return rc;
      saver.fill(writer);
      if (const errc rc = archive(path, saver, error); rc != errc::ok) return rc;
      if (!saver.filled()) return error.set(errc::bad_parameter, path, "the state changed while it was saved");
      std::string sum;
      impl::append_hex(sum, impl::state_checksum(saver.metadata, writer.tensors(), writer.data()), 16);
      if (const errc rc = writer.try_replace("checksum", sum, error); rc != errc::ok) return rc;
      return writer.try_commit(error);
    });
  }
  /// Throws `fedagg::error`, whose text names the file and the entry.
  void commit(const std::string& path) const {
    file_error error;
    if (try_commit(path, error) != errc::ok) impl::raise(error);
  }

private:
  struct entry {
    std::string name, kind;
    unsigned version = 1;
    std::string configuration, value;
    model_view model;
    const void* object = nullptr;
    errc (*archive)(const void*, impl::state_saver&) = nullptr;
  };

  entry& append(std::string_view name, std::string_view kind, unsigned version) {
    entry& e = entries_.emplace_back();
    e.name = name;
    e.kind = kind;
    e.version = version;
    return e;
  }

  errc archive(const std::string& path, impl::state_saver& saver, file_error& error) const {
    const auto text = [&](std::string key, std::string value) { return saver.text(std::move(key), std::move(value)); };
    errc rc = text("format", std::string(impl::state_format));
    if (rc == errc::ok) rc = text("format_version", std::to_string(impl::state_format_version));
    if (rc == errc::ok)
      rc = text("library", std::to_string(FEDAGG_VERSION_MAJOR) + '.' + std::to_string(FEDAGG_VERSION_MINOR) + '.' +
                               std::to_string(FEDAGG_VERSION_PATCH));
    if (rc == errc::ok) rc = text("checksum", std::string(16, '0'));
    for (const entry& e : entries_) {
      if (rc != errc::ok) return rc;
      if (!impl::is_state_entry(e.name))
        return error.set(errc::bad_parameter, path, "state", e.name, "not a name for an entry");
      saver.entry(e.name);
      rc = text(impl::state_key("kind", e.name), e.kind);
      if (rc == errc::ok) rc = text(impl::state_key("version", e.name), std::to_string(e.version));
      if (rc == errc::ok && !e.configuration.empty())
        rc = text(impl::state_key("configuration", e.name), e.configuration);
      if (rc != errc::ok) return rc;
      if (e.archive != nullptr)
        rc = e.archive(e.object, saver);
      else if (e.kind == impl::state_value_kind)
        rc = text(e.name + "/value", e.value);
      else
        for (std::size_t k = 0; k < e.model.size() && rc == errc::ok; ++k)
          rc = saver.tensor(e.model.entries()[k].name, e.model.entries()[k].tensor);
      if (rc != errc::ok && error.code() == errc::ok) error.set(rc, path, "state", e.name, message(rc));
    }
    return rc;
  }

  std::vector<entry> entries_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_SAVED_STATE_STATE_WRITER_HPP
