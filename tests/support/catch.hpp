// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_SUPPORT_CATCH_HPP
#define FEDAGG_TESTS_SUPPORT_CATCH_HPP

// Debian 12 ships Catch2 v2, Ubuntu 24.04 and the package managers v3.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

#endif // FEDAGG_TESTS_SUPPORT_CATCH_HPP
