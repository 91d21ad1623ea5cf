// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <fedagg/adapters/libtorch.hpp>

#include "foreign.hpp"
#include "support/catch.hpp"

using fedagg::dtype;
using fedagg::errc;
using fedagg::tensor_source;

static_assert(tensor_source<at::Tensor&> && tensor_source<const at::Tensor&>);
static_assert(!tensor_source<at::Tensor> && !tensor_source<const at::Tensor>);
static_assert(std::is_convertible_v<at::Tensor&, fedagg::mutable_model_view>);
static_assert(!std::is_convertible_v<at::Tensor, fedagg::model_view>);
// The names would be gone.
static_assert(std::is_convertible_v<fedagg::torch_model&, const fedagg::model_view&>);
static_assert(!std::is_convertible_v<fedagg::torch_model, const fedagg::model_view&>);
static_assert(!std::is_convertible_v<fedagg::torch_model, fedagg::mutable_model_view>);
static_assert(!std::is_copy_constructible_v<fedagg::torch_model> &&
              std::is_nothrow_move_constructible_v<fedagg::torch_model>);

namespace {

/// What a view of floats reads, through its own shape and strides.
std::vector<float> read(const fedagg::any_tensor& t) {
  REQUIRE(t.type() == dtype::f32);
  return elements<float>(fedagg::tensor_view<const float>(static_cast<const float*>(t.data()), t.shape(), t.strides()));
}

/// A view reads what torch reads, where torch reads it.
void check_same(const at::Tensor& t) {
  const auto v = fedagg::view(t);
  REQUIRE(v.status() == errc::ok);
  CHECK(v.data() == t.data_ptr());
  CHECK(v.size() == static_cast<std::size_t>(t.numel()));
  CHECK(extents(v) == shape_of(t.sizes().begin(), t.sizes().end()));
  const at::Tensor flat = t.detach().reshape({-1}).contiguous();
  const float* first = flat.data_ptr<float>();
  CHECK(read(v) == std::vector<float>(first, first + flat.numel()));
}

struct block : torch::nn::Module {
  torch::nn::Linear linear{nullptr};
  torch::nn::BatchNorm1d bn{nullptr};
  block() {
    linear = register_module("linear", torch::nn::Linear(3, 4));
    bn = register_module("bn", torch::nn::BatchNorm1d(4));
  }
  at::Tensor forward(const at::Tensor& x) { return bn(linear(x)); }
};

struct net : torch::nn::Module {
  at::Tensor scale, seen;
  std::shared_ptr<block> body;
  torch::nn::Linear head{nullptr};
  net() {
    body = register_module("body", std::make_shared<block>());
    head = register_module("head", torch::nn::Linear(4, 2));
    seen = register_buffer("seen", torch::zeros({2}, torch::kInt));
    scale = register_parameter("scale", torch::ones({1}));
  }
  at::Tensor forward(const at::Tensor& x) { return head(body->forward(x)) * scale; }
};

std::vector<std::string> names_of(const fedagg::torch_model& m) {
  std::vector<std::string> names;
  for (const auto& e : m.model().entries()) names.emplace_back(e.name);
  return names;
}

} // namespace

TEST_CASE("every element type of LibTorch, or a refusal") {
  const std::pair<at::ScalarType, dtype> known[] = {
      {at::kDouble, dtype::f64}, {at::kFloat, dtype::f32},   {at::kHalf, dtype::f16},  {at::kBFloat16, dtype::bf16},
      {at::kLong, dtype::i64},   {at::kInt, dtype::i32},     {at::kShort, dtype::i16}, {at::kChar, dtype::i8},
      {at::kByte, dtype::u8},    {at::kBool, dtype::boolean}};
  for (const auto& [type, own] : known) {
    CAPTURE(at::toString(type));
    const at::Tensor t = torch::ones({2, 3}, type);
    const auto v = fedagg::view(t);
    CHECK(v.status() == errc::ok);
    CHECK(v.type() == own);
    CHECK(v.data() == t.data_ptr());
    CHECK(fedagg::size_of(own) == static_cast<std::size_t>(t.element_size()));
  }
  for (const auto type : {at::kComplexFloat, at::kComplexDouble}) {
    const at::Tensor t = torch::ones({2}, type), c = torch::conj(t);
    CHECK(fedagg::view(t).status() == errc::unsupported_element);
    CHECK(fedagg::view(c).status() == errc::unsupported_element);
  }
  const at::Tensor quantized = at::quantize_per_tensor(torch::ones({4}), 0.1, 0, at::kQInt8);
  CHECK(fedagg::view(quantized).status() == errc::unsupported_element);
}

TEST_CASE("any strides, in place") {
  const at::Tensor t = torch::arange(24, at::kFloat).reshape({2, 3, 4});
  for (const at::Tensor& x :
       {t, t.transpose(0, 2), t.permute({1, 2, 0}), t.select(1, 2), t.slice(2, 1, 4, 2), t.expand({2, 3, 4}),
        t.narrow(0, 1, 1), t.flatten(), t.unsqueeze(1), t.select(0, 1).select(0, 1).select(0, 1), t.diagonal(0, 0, 1),
        t.slice(0, 1, 1), torch::zeros({0}), torch::zeros({3, 0, 2}), torch::tensor(5.0f), torch::full({1, 1}, 3.0f)})
    check_same(x);
  CHECK(fedagg::view(t).contiguous());
  const at::Tensor column = t.transpose(0, 2);
  CHECK_FALSE(fedagg::view(column).contiguous());
  const at::Tensor images = torch::rand({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  CHECK_FALSE(fedagg::view(images).contiguous());
  check_same(images);
}

TEST_CASE("an expanded tensor is an input, not an output") {
  const at::Tensor one = torch::tensor({1.0f, 2.0f}), wide = one.expand({3, 2});
  check_same(wide);
  CHECK(fedagg::view(wide).strides()[0] == 0);
  at::Tensor out = torch::zeros({3, 2});
  fedagg::aggregate(fedagg::mean{}, fedagg::cohort().add(wide), out);
  CHECK(torch::equal(out, wide));
  fedagg::workspace space;
  CHECK(fedagg::try_aggregate(fedagg::mean{}, fedagg::cohort().add(out), wide, space) == errc::overlapping_output);
}

TEST_CASE("more dimensions than a view keeps apart") {
  const at::Tensor deep = torch::arange(64, at::kFloat).reshape({2, 1, 2, 1, 2, 1, 2, 1, 2, 2});
  const auto v = fedagg::view(deep);
  CHECK(v.status() == errc::ok);
  CHECK(v.rank() == fedagg::max_rank);
  CHECK(v.size() == 64);
  CHECK(v.data() == deep.data_ptr());
  const at::Tensor turned = deep.transpose(0, 9);
  CHECK(fedagg::view(turned).status() == errc::bad_parameter);
}

TEST_CASE("what has no values in the memory of this machine is refused") {
  const at::Tensor nothing, meta = torch::ones({2}, torch::device(at::kMeta)), sparse = torch::eye(3).to_sparse(),
                            rows = torch::eye(3).to_sparse_csr(), zero = at::_efficientzerotensor({4}, torch::kFloat),
                            negative = torch::imag(torch::conj(torch::ones({2}, at::kComplexFloat)));
  REQUIRE(negative.is_neg());
  CHECK(fedagg::view(nothing).status() == errc::null_data);
  CHECK(fedagg::view(meta).status() == errc::null_data);
  CHECK(fedagg::view(sparse).status() == errc::null_data);
  CHECK(fedagg::view(rows).status() == errc::null_data);
  CHECK(fedagg::view(zero).status() == errc::null_data);
  CHECK(fedagg::view(negative).status() == errc::unsupported_element);
  const at::Tensor nested = at::_nested_tensor_from_mask(torch::rand({1, 2, 3}), torch::ones({1, 2}, at::kBool));
  CHECK(fedagg::view(nested).status() == errc::null_data);

  // Such a tensor is the caller's mistake, as a client and as an output.
  const at::Tensor good = torch::ones({2});
  at::Tensor out = torch::zeros({2});
  fedagg::workspace space;
  for (const at::Tensor& bad : {nothing, meta, sparse, nested})
    CHECK(fedagg::try_aggregate(fedagg::mean{}, fedagg::cohort().add(good).add(bad), out, space) == errc::null_data);
  CHECK(fedagg::try_aggregate(fedagg::mean{}, fedagg::cohort().add(good).add(negative), out, space) ==
        errc::unsupported_element);
  CHECK(torch::equal(out, torch::zeros({2})));
  CHECK(fedagg::try_aggregate(fedagg::mean{}, fedagg::cohort().add(good), meta, space) == errc::null_data);
}

TEST_CASE("16-bit tensors are what they say") {
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    const at::Tensor a = torch::tensor({1.0f, -2.5f}).to(type), b = torch::tensor({3.0f, 0.5f}).to(type);
    at::Tensor out = torch::zeros({2}, type);
    fedagg::aggregate(fedagg::mean{}, fedagg::cohort().add(a).add(b), out);
    CHECK(torch::equal(out.to(at::kFloat), torch::tensor({2.0f, -1.0f})));
  }
}

TEST_CASE("a module is a model: names and order of Python's state_dict") {
  const auto m = std::make_shared<net>();
  const fedagg::torch_model all = fedagg::model_of(m);
  CHECK(names_of(all) == std::vector<std::string>{"scale", "seen", "body.linear.weight", "body.linear.bias",
                                                  "body.bn.weight", "body.bn.bias", "body.bn.running_mean",
                                                  "body.bn.running_var", "body.bn.num_batches_tracked", "head.weight",
                                                  "head.bias"});
  // What LibTorch itself lists, under the same names and in the same memory.
  auto parameters = m->named_parameters(), buffers = m->named_buffers();
  REQUIRE(all.size() == parameters.size() + buffers.size());
  for (const auto& e : all.model().entries()) {
    const std::string name(e.name);
    CAPTURE(name);
    const at::Tensor& t = parameters.contains(name) ? parameters[name] : buffers[name];
    CHECK(e.tensor.data() == t.data_ptr());
    CHECK(e.tensor.status() == errc::ok);
    CHECK(e.policy == fedagg::integers::average);
  }
  const auto kept = fedagg::model_of(*m, fedagg::integers::keep);
  CHECK(kept.model().entries()[1].policy == fedagg::integers::keep);
  // A module, a holder, and a module on the stack.
  const torch::nn::Linear holder(2, 1);
  CHECK(names_of(fedagg::model_of(holder)) == std::vector<std::string>{"weight", "bias"});
  const net on_stack;
  CHECK(fedagg::model_of(on_stack).size() == all.size());
  const torch::nn::BatchNorm1d plain(torch::nn::BatchNormOptions(2).affine(false).track_running_stats(false));
  CHECK(fedagg::model_of(plain).size() == 0);
}

TEST_CASE("a module of TorchScript") {
  torch::jit::Module outer("outer"), inner("inner");
  inner.register_parameter("weight", torch::ones({2}).requires_grad_(), false);
  inner.register_buffer("running_mean", torch::zeros({2}));
  outer.register_parameter("bias", torch::ones({1}).requires_grad_(), false);
  outer.register_module("bn", inner);
  const auto all = fedagg::model_of(outer);
  CHECK(names_of(all) == std::vector<std::string>{"bias", "bn.weight", "bn.running_mean"});
  CHECK(all.model().entries()[0].tensor.data() == outer.attr("bias").toTensor().data_ptr());
  CHECK(names_of(fedagg::parameters_of(outer)) == std::vector<std::string>{"bias", "bn.weight"});
}

TEST_CASE("tied tensors come once, frozen ones are not trained") {
  const auto m = std::make_shared<net>();
  m->register_parameter("again", m->head->bias);
  CHECK(names_of(fedagg::model_of(m)).back() == "head.weight");
  CHECK(names_of(fedagg::model_of(m))[1] == "again");
  m->body->linear->weight.requires_grad_(false);
  const auto trained = fedagg::parameters_of(m);
  CHECK(names_of(trained) == std::vector<std::string>{"scale", "again", "body.linear.bias", "body.bn.weight",
                                                      "body.bn.bias", "head.weight"});
  const auto gradients = fedagg::gradients_of(m);
  CHECK(names_of(gradients) == names_of(trained));
}

TEST_CASE("gradients: torch's own memory, zeros where there are none") {
  torch::manual_seed(1);
  const auto m = std::make_shared<net>();
  const at::Tensor x = torch::rand({5, 3});
  {
    const auto before = fedagg::gradients_of(m);
    for (const auto& [name, t] : before.tensors()) CHECK(t.eq(0).all().item<bool>());
    for (const auto& p : m->parameters()) CHECK(p.grad().defined());
  }
  m->zero_grad();
  m->body->forward(x).pow(2).sum().backward(); // does not reach the head
  const auto gradients = fedagg::gradients_of(m);
  const auto parameters = fedagg::parameters_of(m);
  REQUIRE(gradients.size() == parameters.size());
  auto named = m->named_parameters();
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    const auto& e = gradients.model().entries()[k];
    CHECK(e.name == parameters.model().entries()[k].name);
    const at::Tensor& p = named[std::string(e.name)];
    CHECK(e.tensor.data() == p.grad().data_ptr());
    CHECK(extents(e.tensor) == shape_of(p.sizes().begin(), p.sizes().end()));
    CHECK_FALSE(p.grad().requires_grad());
  }
  CHECK(named["head.weight"].grad().eq(0).all().item<bool>());
  CHECK_FALSE(named["body.bn.weight"].grad().eq(0).all().item<bool>());
}

TEST_CASE("modules are aggregated where they are") {
  const auto global = std::make_shared<net>(), first = std::make_shared<net>(), second = std::make_shared<net>();
  {
    const torch::NoGradGuard no_gradients;
    first->body->bn->num_batches_tracked.fill_(4);
    second->body->bn->num_batches_tracked.fill_(7);
    first->seen.fill_(1);
    second->seen.fill_(2);
  }
  const auto out = fedagg::model_of(global), a = fedagg::model_of(first), b = fedagg::model_of(second);
  std::vector<void*> before;
  for (const auto& [name, t] : out.tensors()) before.push_back(t.data_ptr());
  fedagg::cohort clients;
  clients.add(a, {.weight = 1}).add(b, {.weight = 3});
  fedagg::aggregate(fedagg::mean{}, clients, out);

  CHECK(out.current());
  auto result = global->named_parameters(), p = first->named_parameters(), q = second->named_parameters();
  for (std::size_t k = 0; k < out.size(); ++k) {
    const auto& [name, t] = out.tensors()[k];
    CHECK(t.data_ptr() == before[k]);
    if (!result.contains(name)) continue;
    CHECK(result[name].data_ptr() == before[k]);
    CHECK(result[name].requires_grad());
    const at::Tensor want = (p[name].to(at::kDouble) + 3 * q[name].to(at::kDouble)) / 4;
    CHECK(torch::equal(result[name], want.to(at::kFloat)));
  }
  // 25/4 and 7/4, rounded.
  CHECK(global->body->bn->num_batches_tracked.item<std::int64_t>() == 6);
  CHECK(global->seen.eq(2).all().item<bool>());
  // Training goes on from there.
  global->forward(torch::rand({4, 3})).sum().backward();

  const torch::nn::Linear other(3, 4);
  const auto foreign = fedagg::model_of(other);
  const auto done = fedagg::aggregate(fedagg::mean{}, fedagg::cohort().add(foreign).add(a).add(b), out);
  REQUIRE(done.rejected.size() == 1);
  CHECK(done.rejected[0].reason == errc::client_layout);
}

TEST_CASE("a moved model keeps its names, and memory outlives its module") {
  auto m = std::make_shared<net>();
  auto made = fedagg::model_of(m);
  const auto want = names_of(made);
  std::vector<float> scale = read(made.model().entries()[0].tensor);
  const fedagg::torch_model moved = std::move(made);
  m.reset();
  CHECK(names_of(moved) == want);
  CHECK(read(moved.model().entries()[0].tensor) == scale);
  const fedagg::model_view& input = moved;
  CHECK(input.entries()[2].name == "body.linear.weight");
}

TEST_CASE("other memory is noticed") {
  torch::nn::Linear layer(3, 2);
  const auto all = fedagg::model_of(layer);
  CHECK(all.current());
  SECTION("another type") {
    layer->to(at::kDouble);
    CHECK_FALSE(all.current());
    CHECK(fedagg::model_of(layer).current());
  }
  SECTION("a file") {
    std::stringstream file;
    torch::save(layer, file);
    torch::nn::Linear read_into = layer;
    torch::load(read_into, file);
    CHECK_FALSE(all.current());
  }
  SECTION("set_data, another shape in the same memory") {
    layer->weight.set_data(layer->weight.detach().view({2, 3}).transpose(0, 1));
    CHECK_FALSE(all.current());
  }
  // The old memory can still be read.
  CHECK(read(all.model().entries()[0].tensor).size() == 6);
}

TEST_CASE("autograd learns of what was written only when it is told") {
  torch::nn::Linear layer(3, 2);
  const auto all = fedagg::model_of(layer), trained = fedagg::parameters_of(layer);
  const at::Tensor source = torch::ones({2, 3}), bias = torch::ones({2});
  const fedagg::torch_model given({{"weight", source}, {"bias", bias}});
  const at::Tensor x = torch::rand({4, 3}).requires_grad_();
  {
    const at::Tensor loss = layer->forward(x).sum();
    fedagg::aggregate(fedagg::mean{}, fedagg::cohort().add(given), all);
    CHECK_NOTHROW(loss.backward());
  }
  {
    const at::Tensor loss = layer->forward(x).sum();
    fedagg::aggregate(fedagg::mean{}, fedagg::cohort().add(given), all);
    const auto version = layer->weight._version();
    all.mark_written();
    CHECK(layer->weight._version() == version + 1);
    CHECK_THROWS_AS(loss.backward(), c10::Error);
  }
  CHECK(torch::equal(layer->weight, source));
  // Tensors that have no version are skipped.
  const c10::InferenceMode inference;
  const fedagg::torch_model plain({{"a", torch::ones({2})}, {"nothing", at::Tensor()}});
  CHECK(plain.model().entries()[1].tensor.status() == errc::null_data);
  CHECK_NOTHROW(plain.mark_written());
}
