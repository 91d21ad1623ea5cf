// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SECURE_CONSTANT_TIME_SECRETS_HPP
#define FEDAGG_TESTS_SECURE_CONSTANT_TIME_SECRETS_HPP

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define FEDAGG_TESTS_MSAN 1
#endif
#endif
#if FEDAGG_TESTS_MSAN
#include <sanitizer/msan_interface.h>
#elif FEDAGG_TESTS_VALGRIND
#include <valgrind/memcheck.h>
#endif

/// Secrets are memory that a tool takes for uninitialised: it follows them through every operation, and tells where a
/// branch or an address depends on them. Which is what an attacker with a clock sees.
namespace constant_time {

#if FEDAGG_TESTS_MSAN
inline constexpr const char* tool = "MemorySanitizer";
inline bool watched() { return true; }
inline void hide(void* p, std::size_t size) { __msan_poison(p, size); }
inline void show(void* p, std::size_t size) { __msan_unpoison(p, size); }
inline bool hidden(const void* p, std::size_t size) { return __msan_test_shadow(p, size) != -1; }
/// Never more than none: the program ends at the first.
inline unsigned found() { return 0; }
#elif FEDAGG_TESTS_VALGRIND
inline constexpr const char* tool = "valgrind";
inline bool watched() { return RUNNING_ON_VALGRIND != 0; }
inline void hide(void* p, std::size_t size) { static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(p, size)); }
inline void show(void* p, std::size_t size) { static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(p, size)); }
inline bool hidden(const void* p, std::size_t size) {
  for (std::size_t k = 0; k < size; ++k) {
    unsigned char bits = 0;
    const auto* byte = static_cast<const unsigned char*>(p) + k;
    if (VALGRIND_GET_VBITS(byte, &bits, 1) == 1 && bits != 0) return true;
  }
  return false;
}
inline unsigned found() { return static_cast<unsigned>(VALGRIND_COUNT_ERRORS); }
#else
inline constexpr const char* tool = "nothing";
inline bool watched() { return false; }
inline void hide(void*, std::size_t) {}
inline void show(void*, std::size_t) {}
inline bool hidden(const void*, std::size_t) { return true; }
inline unsigned found() { return 0; }
#endif

/// Marks an object secret; an object that is published from here on.
template <class T>
void hide(T& x) {
  hide(static_cast<void*>(&x), sizeof x);
}
template <class T>
void show(T& x) {
  show(static_cast<void*>(&x), sizeof x);
}

/// A result that came from secrets must be seen to: else the case did not run on them, or the tool lost them.
template <class T>
void expect_secret(const T& x, const char* what) {
  if (hidden(&x, sizeof x)) return;
  std::fprintf(stderr, "constant_time: %s is not taken for a secret\n", what);
  std::exit(3);
}

/// One thing that runs on secrets, with sizes that reach each of its paths. It marks them, runs, expects its results to
/// be secrets, and shows those that it looks at.
struct test_case {
  const char* name;
  void (*run)();
};

} // namespace constant_time

#endif // FEDAGG_TESTS_SECURE_CONSTANT_TIME_SECRETS_HPP
