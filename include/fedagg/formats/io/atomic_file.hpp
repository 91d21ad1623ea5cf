// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_IO_ATOMIC_FILE_HPP
#define FEDAGG_FORMATS_IO_ATOMIC_FILE_HPP

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#if __has_include(<sys/mman.h>) && !defined(FEDAGG_NO_MMAP)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <fedagg/formats/io/file_error.hpp>

namespace fedagg::inline FEDAGG_ABI_FLAGS {

/// A new file of known size as writable memory that appears under its name, complete, on commit; move-only.
/// The bytes live in a temporary file of the same directory, whose blocks are reserved first, so that a full disk is an
/// error and not a SIGBUS. Without a commit the temporary goes away; where the file system lets it be without a name
/// (Linux), also if the process is killed. A file that is replaced keeps its permissions, and a symbolic link its
/// place; where the system cannot map, the bytes wait in memory.
class atomic_file {
public:
  atomic_file() = default;
  atomic_file(atomic_file&& other) noexcept { swap(other); }
  atomic_file& operator=(atomic_file&& other) noexcept {
    atomic_file taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~atomic_file() { discard(); }

  /// As it was given.
  const std::string& path() const noexcept { return path_; }
  /// Writable and zero until filled; invalid after a commit.
  std::span<std::byte> bytes() const noexcept { return {static_cast<std::byte*>(data_), size_}; }

  /// `size` must not be zero. `file` is untouched unless the result is `ok`.
  [[nodiscard]] static errc try_create(const std::string& path, std::size_t size, atomic_file& file,
                                       file_error& error) noexcept {
    return impl::without_throwing(path, error, [&] {
      if (path.empty() || path.back() == '/' || path.find('\0') != std::string::npos || size == 0 || size > PTRDIFF_MAX)
        return error.set(errc::bad_parameter, path, "not a name and a size for a new file");
      atomic_file created;
      created.path_ = path;
      created.target_ = path;
      const errc code = created.prepare(size, error);
      if (code == errc::ok) file = std::move(created);
      return code;
    });
  }

  /// Flushes to the disk and renames. After a failure the old file is as it was, and the temporary is gone.
  [[nodiscard]] errc try_commit(file_error& error) noexcept {
    if (data_ == nullptr) return error.set(errc::bad_parameter, path_, "there is nothing to commit");
    const errc code = publish(error);
    discard();
    return code;
  }

private:
  void swap(atomic_file& other) noexcept {
    path_.swap(other.path_);
    target_.swap(other.target_);
    temporary_.swap(other.temporary_);
    std::swap(id_, other.id_);
    std::swap(named_, other.named_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(descriptor_, other.descriptor_);
  }

#if __has_include(<sys/mman.h>) && !defined(FEDAGG_NO_MMAP)
  errc prepare(std::size_t size, file_error& error) {
    // A stat also finds out now, and not after hours of work, that no file can have this name.
    struct stat about = {};
    const bool exists = ::stat(path_.c_str(), &about) == 0;
    if (!exists && errno != ENOENT)
      return impl::refuse(error, path_, "cannot write here", errno,
                          errno == ENOTDIR ? errc::file_not_found : errc::file_io);
    if (exists && !S_ISREG(about.st_mode))
      return error.set(errc::file_io, path_, "exists and is not a regular file: not replaced");
    if (char* real = exists ? ::realpath(path_.c_str(), nullptr) : nullptr) {
      target_ = real;
      std::free(real);
    }
    if (const errc code = create(exists ? 0600 : 0666, error); code != errc::ok) return code;
    if (exists && ::fchmod(descriptor_, about.st_mode & 0777) != 0)
      return impl::refuse(error, path_, "cannot keep the permissions", errno, errc::file_io);
    if (const int reason = reserve(size); reason != 0)
      return impl::refuse(error, path_, "cannot reserve its bytes", reason, errc::file_io);
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (data == MAP_FAILED)
      return impl::refuse(error, path_, "cannot map", errno, errno == ENOMEM ? errc::out_of_memory : errc::file_io);
    data_ = data;
    size_ = size;
    return errc::ok;
  }

  errc create(::mode_t mode, file_error& error) {
    const std::string folder = target_.substr(0, target_.rfind('/') + 1);
    const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    id_ = now ^ static_cast<std::uint64_t>(::getpid()) << 40;
    temporary_ = folder + ".fedagg-0000000000000000.tmp";
#if defined(O_TMPFILE) && !defined(FEDAGG_NO_TMPFILE)
    char link[40];
    descriptor_ = ::open(folder.empty() ? "." : folder.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, mode);
    if (descriptor_ >= 0 && ::access(own_link(link), F_OK) == 0) return errc::ok;
    if (descriptor_ >= 0) ::close(descriptor_);
#endif
    const auto open = [&] {
      descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
      return descriptor_ >= 0;
    };
    if (name(open)) return errc::ok;
    return impl::refuse(error, path_, "cannot create a file beside it", errno,
                        errno == ENOENT ? errc::file_not_found : errc::file_io);
  }

  /// Makes a file of the temporary name, another one where that is taken. Only a name that is ours is removed.
  template <class Make>
  bool name(const Make& make) noexcept {
    for (int attempt = 0; attempt < 100; ++attempt, id_ = id_ * 6364136223846793005u + 1442695040888963407u) {
      char digits[17];
      std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(id_));
      std::memcpy(temporary_.data() + temporary_.size() - 20, digits, 16);
      if (make()) return named_ = true;
      if (errno != EEXIST && errno != EINTR) break;
    }
    return false;
  }

  const char* own_link(char (&text)[40]) const noexcept {
    std::snprintf(text, sizeof text, "/proc/self/fd/%d", descriptor_);
    return text;
  }

  // Zeros are written where blocks cannot be reserved: a sparse file would raise SIGBUS on a full disk.
  int reserve(std::size_t size) noexcept {
#if !defined(__APPLE__)
    const int result = ::posix_fallocate(descriptor_, 0, static_cast<::off_t>(size));
    if (result != EINVAL && result != EOPNOTSUPP && result != EINTR) return result;
#endif
    static constexpr char zeros[1 << 16] = {};
    for (std::size_t at = 0; at < size;) {
      const std::size_t part = size - at < sizeof zeros ? size - at : sizeof zeros;
      const ::ssize_t written = ::pwrite(descriptor_, zeros, part, static_cast<::off_t>(at));
      if (written < 0 && errno != EINTR) return errno;
      at += written < 0 ? 0 : static_cast<std::size_t>(written);
    }
    return 0;
  }

  errc publish(file_error& error) noexcept {
    if (::msync(data_, size_, MS_SYNC) != 0 || !flush(descriptor_))
      return impl::refuse(error, path_, "cannot flush to the disk", errno, errc::file_io);
    char link[40];
    const auto make = [&] {
      return ::linkat(AT_FDCWD, own_link(link), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) == 0;
    };
    if (!named_ && !name(make))
      return impl::refuse(error, path_, "cannot create a file beside it", errno, errc::file_io);
    if (::rename(temporary_.c_str(), target_.c_str()) != 0)
      return impl::refuse(error, path_, "cannot rename", errno, errc::file_io);
    // The rename is done and cannot be taken back, so a directory that cannot be flushed is no error.
    const std::size_t slash = target_.rfind('/');
    named_ = false;
    if (slash != std::string::npos) target_[slash + 1] = '\0';
    const int folder = ::open(slash == std::string::npos ? "." : target_.c_str(), O_RDONLY | O_CLOEXEC);
    if (folder >= 0) {
      static_cast<void>(flush(folder));
      ::close(folder);
    }
    return errc::ok;
  }

  static bool flush(int descriptor) noexcept {
#if defined(F_FULLFSYNC)
    // There fsync leaves the data in the drive's memory.
    if (::fcntl(descriptor, F_FULLFSYNC) == 0) return true;
#endif
    return ::fsync(descriptor) == 0;
  }

  void discard() noexcept {
    if (data_ != nullptr) ::munmap(data_, size_);
    if (descriptor_ >= 0) ::close(descriptor_);
    if (named_) ::unlink(temporary_.c_str());
    forget();
  }
#else
  errc prepare(std::size_t size, file_error& error) {
    std::error_code ignored;
    const auto status = std::filesystem::status(target_, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      return error.set(errc::file_io, path_, "exists and is not a regular file: not replaced");
    temporary_ = target_ + ".fedagg-tmp";
    std::FILE* const probe = std::fopen(temporary_.c_str(), "wb");
    if (probe == nullptr)
      return impl::refuse(error, path_, "cannot create a file beside it", errno,
                          errno == ENOENT ? errc::file_not_found : errc::file_io);
    std::fclose(probe);
    named_ = true;
    data_ = ::operator new(size, std::nothrow);
    if (data_ == nullptr) return error.set(errc::out_of_memory, path_, "no memory for the whole file");
    std::memset(data_, 0, size);
    size_ = size;
    return errc::ok;
  }

  errc publish(file_error& error) noexcept {
    std::FILE* stream = std::fopen(temporary_.c_str(), "wb");
    bool written = stream != nullptr && std::fwrite(data_, 1, size_, stream) == size_;
    written = stream != nullptr && std::fclose(stream) == 0 && written;
    if (!written) return error.set(errc::file_io, path_, "cannot write");
    std::error_code failed;
    std::filesystem::rename(temporary_, target_, failed);
    if (failed) return error.set(errc::file_io, path_, "cannot rename");
    named_ = false;
    return errc::ok;
  }

  void discard() noexcept {
    ::operator delete(data_);
    if (named_) std::remove(temporary_.c_str());
    forget();
  }
#endif

  void forget() noexcept {
    data_ = nullptr;
    size_ = 0;
    descriptor_ = -1;
    named_ = false;
  }

  std::string path_, target_, temporary_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t id_ = 0; // of the temporary name
  bool named_ = false;   // a file of that name is ours
  int descriptor_ = -1;
};

} // namespace fedagg::inline FEDAGG_ABI_FLAGS

#endif // FEDAGG_FORMATS_IO_ATOMIC_FILE_HPP
