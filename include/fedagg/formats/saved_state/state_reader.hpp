// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAVED_STATE_STATE_READER_HPP
#define FEDAGG_FORMATS_SAVED_STATE_STATE_READER_HPP

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fedagg/core/model_view.hpp>
#include <fedagg/formats/io/file_error.hpp>
#include <fedagg/formats/safetensors/file.hpp>
#include <fedagg/formats/saved_state/container.hpp>
#include <fedagg/formats/saved_state/loader.hpp>
#include <fedagg/passes/strided.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A file that `state_writer` made, mapped read-only; move-only. All of it is checked when it is opened.
class state_reader {
public:
  state_reader() = default;
  state_reader(state_reader&&) = default;
  state_reader& operator=(state_reader&&) = default;

  /// `reader` is untouched unless the result is `ok`, else `error` says why: the codes of `safetensors_file`;
  /// `file_format` for a file that is no saved state; `state_mismatch` if a newer version wrote it;
  /// `checksum_mismatch`. One read of the whole file.
  [[nodiscard]] static errc try_open(const std::string& path, state_reader& reader, file_error& error) noexcept {
    state_reader opened;
    if (const errc rc = safetensors_file::try_open(path, opened.file_, error); rc != errc::ok) return rc;
    return opened.checked(reader, error);
  }
  /// The same for bytes that lie in memory and outlive this object; `name` stands for the file in messages.
  [[nodiscard]] static errc try_parse(std::span<const std::byte> bytes, std::string_view name, state_reader& reader,
                                      file_error& error) noexcept {
    state_reader parsed;
    if (const errc rc = safetensors_file::try_parse(bytes, name, parsed.file_, error); rc != errc::ok) return rc;
    return parsed.checked(reader, error);
  }
  /// Throws `fedagg::error`.
  static state_reader open(const std::string& path) {
    state_reader reader;
    file_error error;
    if (try_open(path, reader, error) != errc::ok) impl::raise(error);
    return reader;
  }

  bool contains(std::string_view name) const { return find("kind", name) != nullptr; }
  /// The text that an entry was saved with; empty without one.
  std::string_view configuration(std::string_view name) const {
    const std::string* text = find("configuration", name);
    return text == nullptr ? std::string_view{} : *text;
  }

  /// Loads an object that was saved under this name; it is untouched unless the result is `ok`. `state_mismatch` if
  /// there is none, or of another kind or version, or of another configuration than the expected one, where empty means
  /// any; what the object's archive answers, `file_format` if its parts contradict each other.
  template <archivable Object>
  [[nodiscard]] errc try_load(std::string_view name, Object& object, std::string_view expected_configuration,
                              file_error& error) const noexcept {
    error = {};
    return impl::without_throwing(file_.name(), error, [&] {
      if (const errc rc = expect(name, Object::kind, Object::version, error); rc != errc::ok) return rc;
      if (!expected_configuration.empty() && configuration(name) != expected_configuration)
        return mismatch(error, name, "was saved with another configuration");
      impl::state_loader loader(file_, name, error);
      Object fresh = [&] {
        if constexpr (std::default_initializable<Object>)
          return Object{};
        else
          return object;
      }();
      errc rc = fresh.archive(loader);
      if (rc == errc::ok && !loader.complete()) rc = errc::file_format;
      if (rc == errc::ok)
        object = std::move(fresh);
      else if (error.code() == errc::ok)
        error.set(rc, file_.name(), "state", name, "its parts contradict each other");
      return rc;
    });
  }
  template <archivable Object>
  [[nodiscard]] errc try_load(std::string_view name, Object& object, file_error& error) const noexcept {
    return try_load(name, object, {}, error);
  }

  /// Loads a model into tensors of the same names, element types and shapes, in any order and of any strides; else
  /// `state_mismatch`, before the first write.
  [[nodiscard]] errc try_load(std::string_view name, const mutable_model_view& model,
                              file_error& error) const noexcept {
    error = {};
    return impl::without_throwing(file_.name(), error, [&] {
      if (const errc rc = expect(name, impl::state_model_kind, 1, error); rc != errc::ok) return rc;
      const std::string prefix = std::string(name) + '/';
      std::size_t there = 0;
      for (const safetensors_tensor& t : file_.tensors()) there += t.name.starts_with(prefix) ? 1 : 0;
      if (there != model.size()) return mismatch(error, name, "has another number of tensors");
      std::vector<const safetensors_tensor*> sources;
      std::vector<bool> seen(file_.tensors().size());
      for (const auto& e : model.entries()) {
        const std::string full = prefix + std::string(e.name);
        if (e.tensor.status() != errc::ok)
          return error.set(e.tensor.status(), file_.name(), "state", full, message(e.tensor.status()));
        const safetensors_tensor* found = file_.find(full);
        if (found == nullptr) return mismatch(error, full, "is missing");
        if (element_type(found->type) != e.tensor.type() || !same_shape(file_.view(*found), any_tensor(e.tensor)))
          return mismatch(error, full, "is of another type or shape");
        const auto at = static_cast<std::size_t>(found - file_.tensors().data());
        if (seen[at]) return mismatch(error, full, "is asked for twice");
        seen[at] = true;
        sources.push_back(found);
      }
      for (std::size_t k = 0; k < sources.size(); ++k)
        impl::scatter(model.entries()[k].tensor, 0, model.entries()[k].tensor.size(), file_.bytes(*sources[k]).data());
      return errc::ok;
    });
  }

  /// Loads a number, a truth value or a text. An integer may have been of another width: `file_format` if it does not
  /// fit.
  template <class Value>
  requires std::is_arithmetic_v<Value> || std::same_as<Value, std::string>
  [[nodiscard]] errc try_load(std::string_view name, Value& value, file_error& error) const noexcept {
    error = {};
    return impl::without_throwing(file_.name(), error, [&] {
      if (const errc rc = expect(name, impl::state_value_kind, 1, error); rc != errc::ok) return rc;
      impl::state_loader loader(file_, name, error);
      constexpr bool number = std::integral<Value> && !std::same_as<Value, bool>;
      using wide = std::conditional_t<
          std::floating_point<Value>, double,
          std::conditional_t<!number, Value, std::conditional_t<std::is_signed_v<Value>, std::int64_t, std::uint64_t>>>;
      wide read{};
      if (const errc rc = loader.value("value", read); rc != errc::ok) return rc;
      if constexpr (number)
        if (!std::in_range<Value>(read))
          return error.set(errc::file_format, file_.name(), "state", name, "is too large");
      value = static_cast<Value>(std::move(read));
      return errc::ok;
    });
  }

  /// The same calls, throwing `fedagg::error`.
  template <archivable Object>
  void load(std::string_view name, Object& object, std::string_view expected_configuration = {}) const {
    file_error error;
    if (try_load(name, object, expected_configuration, error) != errc::ok) impl::raise(error);
  }
  void load(std::string_view name, const mutable_model_view& model) const {
    file_error error;
    if (try_load(name, model, error) != errc::ok) impl::raise(error);
  }
  template <class Value>
  requires std::is_arithmetic_v<Value> || std::same_as<Value, std::string>
  void load(std::string_view name, Value& value) const {
    file_error error;
    if (try_load(name, value, error) != errc::ok) impl::raise(error);
  }

private:
  const std::string* find(std::string_view what, std::string_view name) const {
    const auto found = file_.metadata().find(impl::state_key(what, name));
    return found == file_.metadata().end() ? nullptr : &found->second;
  }

  errc mismatch(file_error& error, std::string_view name, std::string_view why) const noexcept {
    return error.set(errc::state_mismatch, file_.name(), "state", name, why);
  }

  errc expect(std::string_view name, std::string_view kind, unsigned version, file_error& error) const {
    const std::string *saved_kind = find("kind", name), *saved_version = find("version", name);
    if (saved_kind == nullptr) return mismatch(error, name, "is not in the file");
    if (*saved_kind != kind) return mismatch(error, name, "is of another kind");
    if (saved_version == nullptr || *saved_version != std::to_string(version))
      return mismatch(error, name, "was saved by another version of its kind");
    return errc::ok;
  }

  errc checked(state_reader& reader, file_error& error) noexcept {
    return impl::without_throwing(file_.name(), error, [&] {
      const auto text = [&](std::string_view key) {
        const auto found = file_.metadata().find(key);
        return found == file_.metadata().end() ? std::string_view{} : std::string_view(found->second);
      };
      std::uint64_t version = 0, sum = 0;
      if (text("format") != impl::state_format) return error.set(errc::file_format, file_.name(), "not a saved state");
      if (!impl::from_state_text(text("format_version"), version) || version == 0)
        return error.set(errc::file_format, file_.name(), "a saved state without a version");
      if (version > impl::state_format_version)
        return error.set(errc::state_mismatch, file_.name(), "saved by a newer version of the library");
      if (text("checksum").size() != 16 || !impl::parse_hex(text("checksum"), sum))
        return error.set(errc::file_format, file_.name(), "a saved state without a checksum");
      if (impl::state_checksum(file_.metadata(), file_.tensors(), file_.data()) != sum)
        return error.set(errc::checksum_mismatch, file_.name(), message(errc::checksum_mismatch));
      reader = std::move(*this);
      return errc::ok;
    });
  }

  safetensors_file file_;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_SAVED_STATE_STATE_READER_HPP
