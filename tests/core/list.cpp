// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <fedagg/core/list.hpp>

#include "support/catch.hpp"

using fedagg::detail::list;

namespace {

struct item {
  double value = 7;
  int tag = 1;
};

template <class T>
bool holds(const list<T>& l, const std::vector<T>& want) {
  if (l.size() != want.size() || l.empty() != want.empty()) return false;
  std::size_t i = 0;
  for (const T& x : l.each())
    if (x != want[i++]) return false;
  return true;
}

} // namespace

TEST_CASE("a list does what a vector does") {
  list<std::size_t> l;
  std::vector<std::size_t> want;
  CHECK(holds(l, want));
  for (std::size_t i = 0; i < 1000; ++i) {
    l.push_back(i * i);
    want.push_back(i * i);
    if (i % 7 == 3) {
      l.pop_back();
      want.pop_back();
    }
  }
  CHECK(holds(l, want));
  CHECK(l.back() == want.back());
  l.resize(1300, 5);
  want.resize(1300, 5);
  CHECK(holds(l, want));
  l.resize(20);
  want.resize(20);
  CHECK(holds(l, want));
  l.append(want.data() + 3, 10);
  want.insert(want.end(), want.begin() + 3, want.begin() + 13);
  CHECK(holds(l, want));
  for (std::size_t& x : l.each()) x += 1;
  for (std::size_t& x : want) x += 1;
  CHECK(holds(l, want));
  l.assign(3, 9);
  CHECK(holds(l, {9, 9, 9}));
  l.assign(want.data(), 2);
  CHECK(holds(l, {want[0], want[1]}));
  l.append(nullptr, 0);
  l.clear();
  CHECK(holds(l, {}));
}

TEST_CASE("an element of a list may be added to it") {
  list<std::size_t> l;
  l.push_back(3);
  for (int i = 0; i < 100; ++i) l.push_back(l[0]);
  for (const std::size_t x : l.each()) CHECK(x == 3);
}

TEST_CASE("memory is kept, and new elements are made as their type says") {
  list<item> l;
  l.resize(50);
  for (const item& x : l.each()) CHECK((x.value == 7 && x.tag == 1));
  const item* const at = l.data();
  l.clear();
  l.resize(50, {2, 3});
  CHECK(l.data() == at);
  CHECK((l[49].value == 2 && l[49].tag == 3));
}

TEST_CASE("scratch memory keeps what was there and has room for the rest") {
  list<int> l;
  l.resize_for_overwrite(3);
  for (int i = 0; i < 3; ++i) l[static_cast<std::size_t>(i)] = i;
  l.resize_for_overwrite(1000);
  CHECK((l.size() == 1000 && l[0] == 0 && l[2] == 2));
  for (int& x : l.each()) x = 5;
  const int* const at = l.data();
  l.resize_for_overwrite(10);
  CHECK((l.size() == 10 && l.data() == at && l[9] == 5));
}

TEST_CASE("copies are apart, moves are not") {
  list<int> a;
  for (int i = 0; i < 20; ++i) a.push_back(i);
  list<int> b = a, c;
  c = a;
  a[3] = 100;
  CHECK((b[3] == 3 && c[3] == 3 && b.size() == 20 && c.size() == 20));
  const int* const at = a.data();
  list<int> d = std::move(a);
  CHECK((d.data() == at && d.size() == 20 && d[3] == 100));
  c = std::move(d);
  CHECK((c.data() == at && c[3] == 100));
  const list<int>& same = c;
  c = same;
  CHECK((c.size() == 20 && c[3] == 100));
  const std::span<const int> view = same;
  CHECK((view.data() == at && view.size() == 20));
  const std::span<int> writable = c;
  writable[0] = 50;
  CHECK(same[0] == 50);
}

// The address sanitizer ends a program that asks for so much.
#if FEDAGG_EXCEPTIONS && !defined(__SANITIZE_ADDRESS__)
TEST_CASE("what no memory holds is refused and leaves the list as it was") {
  list<std::uint64_t> l;
  l.push_back(1);
  CHECK_THROWS_AS(l.reserve(static_cast<std::size_t>(-1) / 4), std::bad_alloc);
  CHECK((l.size() == 1 && l[0] == 1));
}
#endif
