// SPDX-License-Identifier: MIT
#include <cstddef>
#include <type_traits>
#include <vector>

#include <fedagg/core/executor.hpp>

#include "support/catch.hpp"

using fedagg::executor_ref;
using fedagg::task;

namespace {

struct counts {
  std::vector<int> seen;
  task body() {
    return task(this, [](void* self, std::size_t i) noexcept { ++static_cast<counts*>(self)->seen[i]; });
  }
};

void backwards(std::size_t count, task t) {
  for (std::size_t i = count; i-- > 0;) t(i);
}

struct pool {
  int width = 3;
  std::size_t loops = 0;
  int concurrency() const { return width; }
  void operator()(std::size_t count, task t) {
    ++loops;
    backwards(count, t);
  }
};

} // namespace

static_assert(!std::is_convertible_v<pool, executor_ref>, "a temporary executor would dangle");
static_assert(!std::is_convertible_v<int&, executor_ref>);
static_assert(std::is_convertible_v<pool&, executor_ref>);
static_assert(std::is_trivially_copyable_v<executor_ref>);

TEST_CASE("the default runs each index once, in place and in order") {
  struct order {
    std::vector<std::size_t> indices;
  } o;
  o.indices.reserve(5);
  executor_ref()(5, task(&o, [](void* c, std::size_t i) noexcept { static_cast<order*>(c)->indices.push_back(i); }));
  CHECK(o.indices == std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK(executor_ref().concurrency() == 1);
}

TEST_CASE("a pool, a lambda and a function are executors") {
  pool p;
  const auto lambda = [](std::size_t count, task t) { backwards(count, t); };
  for (const executor_ref e : {executor_ref(p), executor_ref(lambda), executor_ref(backwards)}) {
    counts c{std::vector<int>(7)};
    e(7, c.body());
    CHECK(c.seen == std::vector<int>(7, 1));
    e(0, c.body());
    CHECK(c.seen == std::vector<int>(7, 1));
  }
  CHECK(p.loops == 2);
}

TEST_CASE("how many tasks may run at once is the pool's word, else sixteen, never none") {
  pool p;
  CHECK(executor_ref(p).concurrency() == 3);
  p.width = 0;
  CHECK(executor_ref(p).concurrency() == 1);
  const auto lambda = [](std::size_t, task) {};
  CHECK(executor_ref(lambda).concurrency() == 16);
}
