// SPDX-License-Identifier: MIT
#include <fedagg/core/tensor_roles.hpp>

#include "support/catch.hpp"

using fedagg::dtype;
using fedagg::role;
using fedagg::tensor_roles;

TEST_CASE("BatchNorm's statistics are aggregated, weights are trained") {
  const tensor_roles r;
  for (const char* name : {"running_mean", "running_var", "bn1.running_mean", "a.b.running_var", "bn/moving_variance",
                           "moving_mean", "layer/x/moving_mean"}) {
    INFO(name);
    CHECK(r.of(name, dtype::f32) == role::aggregate);
  }
  for (const char* name : {"", "weight", "bn1.weight", "bn1.bias", "my_running_mean", "running_mean.scale", "running_meanx"}) {
    INFO(name);
    CHECK(r.of(name, dtype::f32) == role::train);
    CHECK(r.of(name, dtype::bf16) == role::train);
  }
  CHECK(r.of("bn1.num_batches_tracked", dtype::i64) == role::aggregate);
}

TEST_CASE("what is not a floating tensor is never trained") {
  tensor_roles r;
  for (const dtype type : {dtype::i64, dtype::u8, dtype::boolean, dtype::other}) {
    CHECK(r.of("counter", type) == role::aggregate);
    CHECK(tensor_roles::none().of("counter", type) == role::aggregate);
  }
  r.set("*", role::train);
  CHECK(r.of("counter", dtype::i64) == role::aggregate);
  CHECK(r.of("running_mean", dtype::f32) == role::train);
  r.set("counter", role::keep);
  CHECK(r.of("counter", dtype::i64) == role::keep);
}

TEST_CASE("the pattern that was set last decides") {
  auto r = tensor_roles::none();
  CHECK(r.size() == 0);
  CHECK(r.of("running_mean", dtype::f32) == role::train);
  {
    char pattern[] = "head.*";
    r.set(pattern, role::keep);
    pattern[0] = 'x'; // it was copied
  }
  r.set("head.bias", role::train).set("*.norm?", role::aggregate);
  CHECK(r.size() == 3);
  CHECK(r.pattern(0) == "head.*");
  CHECK(r.pattern(2) == "*.norm?");
  CHECK(r.what(1) == role::train);
  CHECK(r.of("head.weight", dtype::f32) == role::keep);
  CHECK(r.of("head.bias", dtype::f32) == role::train);
  CHECK(r.of("head.norm1", dtype::f32) == role::aggregate);
  CHECK(r.of("head.norm12", dtype::f32) == role::keep);
  auto same = r;
  CHECK(same == r);
  same.set("x", role::keep);
  CHECK_FALSE(same == r);
}
