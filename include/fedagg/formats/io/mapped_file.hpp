// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_IO_MAPPED_FILE_HPP
#define FEDAGG_FORMATS_IO_MAPPED_FILE_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <span>
#include <string>
#include <utility>

#if __has_include(<sys/mman.h>) && !defined(FEDAGG_NO_MMAP)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#include <filesystem>
#include <system_error>
#endif

#include <fedagg/formats/io/file_error.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A whole regular file as read-only memory; move-only. Mapped privately where the system can, else read into memory.
/// The file must not be shortened while it is mapped: touching a page that is gone raises SIGBUS.
class mapped_file {
public:
  mapped_file() = default;
  mapped_file(mapped_file&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  mapped_file& operator=(mapped_file&& other) noexcept {
    mapped_file taken(std::move(other));
    std::swap(data_, taken.data_);
    std::swap(size_, taken.size_);
    return *this;
  }
  ~mapped_file() { release(); }

  std::span<const std::byte> bytes() const noexcept { return {static_cast<const std::byte*>(data_), size_}; }

  /// Refuses what is not a regular file, and never blocks on a pipe. `file` is untouched unless the result is `ok`.
  [[nodiscard]] static errc try_open(const std::string& path, mapped_file& file, file_error& error) noexcept {
    if (path.find('\0') != std::string::npos) return error.set(errc::bad_parameter, path, "a null byte in a file name");
    mapped_file loaded;
    const errc code = loaded.load(path, error);
    if (code == errc::ok) file = std::move(loaded);
    return code;
  }

private:
#if __has_include(<sys/mman.h>) && !defined(FEDAGG_NO_MMAP)
  errc load(const std::string& path, file_error& error) noexcept {
    // O_NONBLOCK: opening a pipe without a writer would wait for one.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
      return impl::refuse(error, path, "cannot open", errno,
                          errno == ENOENT || errno == ENOTDIR ? errc::file_not_found : errc::file_io);
    const errc code = map(descriptor, path, error);
    ::close(descriptor);
    return code;
  }

  errc map(int descriptor, const std::string& path, file_error& error) noexcept {
    struct stat about = {};
    if (::fstat(descriptor, &about) != 0) return impl::refuse(error, path, "cannot stat", errno, errc::file_io);
    if (S_ISDIR(about.st_mode)) return error.set(errc::file_io, path, "is a directory");
    if (!S_ISREG(about.st_mode)) return error.set(errc::file_io, path, "is not a regular file");
    if (about.st_size == 0) return errc::ok;
    if (static_cast<std::uintmax_t>(about.st_size) > PTRDIFF_MAX)
      return error.set(errc::size_overflow, path, "is larger than the address space");
    const auto size = static_cast<std::size_t>(about.st_size);
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
      return impl::refuse(error, path, "cannot map", errno, errno == ENOMEM ? errc::out_of_memory : errc::file_io);
    data_ = data;
    size_ = size;
    return errc::ok;
  }

  void release() noexcept {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
#else
  errc load(const std::string& path, file_error& error) noexcept {
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      return error.set(errc::file_io, path, "is not a regular file");
    errno = 0;
    std::FILE* stream = std::fopen(path.c_str(), "rb");
    if (stream == nullptr)
      return impl::refuse(error, path, "cannot open", errno, errno == ENOENT ? errc::file_not_found : errc::file_io);
    const errc code = read(stream, path, error);
    std::fclose(stream);
    return code;
  }

  errc read(std::FILE* stream, const std::string& path, file_error& error) noexcept {
    // The size is found by reading: a long, which ftell returns, is too short for a model on Windows.
    for (std::size_t capacity = std::size_t{1} << 20;; capacity *= 2) {
      auto* grown = static_cast<std::byte*>(::operator new(capacity, std::nothrow));
      if (grown == nullptr) return error.set(errc::out_of_memory, path, "no memory for the whole file");
      if (size_ != 0) std::memcpy(grown, data_, size_);
      release();
      data_ = grown;
      size_ += std::fread(grown + size_, 1, capacity - size_, stream);
      if (std::ferror(stream) != 0) return error.set(errc::file_io, path, "cannot read");
      if (size_ < capacity) return errc::ok;
    }
  }

  void release() noexcept { ::operator delete(data_); }
#endif

  void* data_ = nullptr;
  std::size_t size_ = 0;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_IO_MAPPED_FILE_HPP
