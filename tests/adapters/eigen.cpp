// SPDX-License-Identifier: MIT
#include <cstddef>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <fedagg/adapters/eigen.hpp>

#include "compiled/rules.hpp"
#include "foreign.hpp"
#include "support/catch.hpp"

using Eigen::Map;
using Eigen::MatrixXf;
using Eigen::Ref;
using Eigen::VectorXf;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

/// A matrix whose element (i, j) is 10 i + j.
template <class M = MatrixXf>
M numbered(Eigen::Index rows, Eigen::Index cols) {
  M m(rows, cols);
  for (Eigen::Index i = 0; i < rows; ++i)
    for (Eigen::Index j = 0; j < cols; ++j) m(i, j) = static_cast<float>(10 * i + j);
  return m;
}

/// A view reads what Eigen reads, element by element.
template <class E>
void check_same(E&& expression) {
  const auto v = fedagg::view(std::forward<E>(expression));
  const auto got = elements<float>(v);
  REQUIRE(got.size() == static_cast<std::size_t>(expression.size()));
  std::size_t k = 0;
  for (Eigen::Index i = 0; i < expression.rows(); ++i)
    for (Eigen::Index j = 0; j < expression.cols(); ++j) {
      CAPTURE(i, j);
      CHECK(got[k++] == expression(i, j));
    }
}

std::vector<float> through_a_ref(Ref<const VectorXf> r) { return elements<float>(fedagg::view(r)); }

} // namespace

TEST_CASE("matrices and vectors of both orders") {
  MatrixXf columns = numbered(3, 4);
  RowMajor rows = numbered<RowMajor>(3, 4);
  VectorXf v = numbered(5, 1);
  Eigen::RowVectorXf r = numbered(1, 5);
  Eigen::ArrayXXf array = columns.array();
  Eigen::Matrix3f fixed = columns.leftCols<3>();
  MatrixXf empty(0, 4), one = numbered(1, 1);
  check_same(columns);
  check_same(rows);
  check_same(v);
  check_same(r);
  check_same(array);
  check_same(fixed);
  check_same(empty);
  check_same(one);
  CHECK(extents(fedagg::view(columns)) == shape_of{3, 4});
  CHECK(extents(fedagg::view(v)) == shape_of{5});
  CHECK(extents(fedagg::view(r)) == shape_of{5});
  CHECK(fedagg::view(rows).contiguous());
  CHECK_FALSE(fedagg::view(columns).contiguous());
}

TEST_CASE("blocks, maps, references, transposes and diagonals, also as temporaries") {
  MatrixXf m = numbered(6, 7);
  const MatrixXf& constant = m;
  RowMajor rows = numbered<RowMajor>(6, 7);
  std::vector<float> memory(24);
  for (std::size_t k = 0; k < memory.size(); ++k) memory[k] = static_cast<float>(k);
  check_same(m.block(1, 2, 3, 4));
  check_same(m.row(2));
  check_same(m.col(3));
  check_same(m.col(3).segment(1, 3));
  check_same(m.row(3).tail(4));
  check_same(constant.row(1));
  check_same(rows.row(1));
  check_same(rows.col(1));
  check_same(rows.block(1, 2, 3, 4).col(1));
  check_same(m.transpose());
  check_same(m.row(2).transpose());
  check_same(m.diagonal());
  check_same(m.diagonal(2));
  check_same(m.array());
  check_same(Map<VectorXf>(memory.data(), 24));
  check_same(Map<const MatrixXf>(memory.data(), 4, 6));
  check_same(Map<VectorXf, 0, Eigen::InnerStride<3>>(memory.data(), 8));
  check_same(Map<Eigen::RowVectorXf, 0, Eigen::InnerStride<>>(memory.data(), 6, Eigen::InnerStride<>(4)));
  check_same(Map<MatrixXf, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>(
      memory.data(), 3, 2, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>(12, 2)));
  check_same(Map<RowMajor, 0, Eigen::OuterStride<>>(memory.data(), 3, 5, Eigen::OuterStride<>(8)));
  check_same(Ref<MatrixXf>(m));
  Ref<const MatrixXf> reference = m;
  check_same(reference);
  CHECK(fedagg::view(reference).data() == m.data());
  CHECK(through_a_ref(m.col(2)) == std::vector<float>{2, 12, 22, 32, 42, 52});
}

TEST_CASE("what owns its memory is refused as a temporary, and inputs are no outputs") {
  using fedagg::tensor_source;
  STATIC_REQUIRE(tensor_source<MatrixXf&>);
  STATIC_REQUIRE(tensor_source<const MatrixXf&>);
  STATIC_REQUIRE_FALSE(tensor_source<MatrixXf>);
  STATIC_REQUIRE_FALSE(tensor_source<const Eigen::ArrayXf>);
  // A Ref to const may hold a copy.
  STATIC_REQUIRE(tensor_source<Ref<const MatrixXf>&>);
  STATIC_REQUIRE_FALSE(tensor_source<Ref<const MatrixXf>>);
  STATIC_REQUIRE(tensor_source<Ref<MatrixXf>>);
  STATIC_REQUIRE(tensor_source<Map<const MatrixXf>>);
  STATIC_REQUIRE_FALSE(tensor_source<Eigen::MatrixXcf&>);
  STATIC_REQUIRE(std::is_constructible_v<fedagg::mutable_model_view, Map<VectorXf>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<fedagg::mutable_model_view, Map<const VectorXf>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<fedagg::mutable_model_view, const VectorXf&>);
}

TEST_CASE("a round of blocks, maps and rows written into a block") {
  MatrixXf models = numbered(5, 6);
  const std::vector<float> sixth{1000, 2000, 3000, 4000, 5000};
  MatrixXf out = MatrixXf::Constant(3, 5, -1.0f);
  fedagg::cohort c;
  c.add(models.col(0)).add(models.col(5)).add(models.col(2));
  c.add(Map<const VectorXf>(sixth.data(), 5));
  c.add(models.transpose().row(1));
  fedagg::aggregate(fedagg::median{}, c, out.row(1));
  CHECK(out.row(1) == models.col(2).transpose());
  CHECK((out.row(0).array() == -1.0f).all());
  CHECK((out.row(2).array() == -1.0f).all());
}

TEST_CASE("rows of a matrix as clients, in both orders") {
  const MatrixXf columns = numbered(5, 4);
  const RowMajor rows = columns;
  for (const bool row_major : {false, true}) {
    fedagg::cohort c;
    if (row_major)
      c.add_rows(rows);
    else
      c.add_rows(columns);
    REQUIRE(c.size() == 5);
    VectorXf out(4);
    fedagg::aggregate(fedagg::trimmed_mean{.trim = 1}, c, out);
    CHECK(out == columns.row(2).transpose());
  }
}

TEST_CASE("layouts of another order or shape") {
  MatrixXf a = numbered(2, 3), out(2, 3);
  RowMajor b = a;
  MatrixXf turned = a.transpose();
  fedagg::cohort c;
  c.add(a).add(b);
  fedagg::aggregate(fedagg::mean{}, c, out);
  CHECK(out == a);
  // The same number of elements is not the same shape.
  c.add(turned);
  const auto o = fedagg::aggregate(fedagg::mean{}, c, out);
  REQUIRE(o.rejected.size() == 1);
  CHECK(o.rejected[0].client == 2);
  CHECK(o.rejected[0].reason == fedagg::errc::client_layout);
}

TEST_CASE("expressions are evaluated into memory of their own") {
  const VectorXf global = VectorXf::LinSpaced(4, 0, 3);
  const VectorXf local = VectorXf::Constant(4, 5.0f);
  const auto update = fedagg::evaluate(local - global);
  STATIC_REQUIRE(std::is_same_v<decltype(update), const VectorXf>);
  CHECK(update == VectorXf(local - global));
  const auto product = fedagg::evaluate(numbered(2, 3) * numbered(3, 2));
  CHECK(product(1, 1) == 10 * 1 + 11 * 11 + 12 * 21);
  fedagg::cohort c;
  c.add(update);
  VectorXf out = global;
  fedagg::aggregate(fedagg::mean{}, c, out);
  CHECK(out == update);
}

TEST_CASE("Eigen's 16-bit scalars are float16 and bfloat16") {
  Eigen::Matrix<Eigen::half, Eigen::Dynamic, 1> h(3), h_out(3);
  Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, 1> b(3), b_out(3);
  for (Eigen::Index k = 0; k < 3; ++k) {
    h(k) = static_cast<Eigen::half>(0.1f * static_cast<float>(k + 1));
    b(k) = static_cast<Eigen::bfloat16>(0.1f * static_cast<float>(k + 1));
  }
  STATIC_REQUIRE(fedagg::dtype_of<Eigen::half> == fedagg::dtype::f16);
  STATIC_REQUIRE(fedagg::dtype_of<Eigen::bfloat16> == fedagg::dtype::bf16);
  fedagg::aggregate(fedagg::median{}, fedagg::cohort().add(h), h_out);
  fedagg::aggregate(fedagg::median{}, fedagg::cohort().add(b), b_out);
  CHECK(h_out == h);
  CHECK(b_out == b);
  CHECK(fedagg::to_float(fedagg::float16{h(0).x}) == static_cast<float>(h(0)));
  CHECK(fedagg::to_float(fedagg::bfloat16{b(0).value}) == static_cast<float>(b(0)));
}
