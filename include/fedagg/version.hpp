// SPDX-License-Identifier: MIT
#ifndef FEDAGG_VERSION_HPP
#define FEDAGG_VERSION_HPP

/// The version of the library; CMake, Conan and vcpkg read it from here.
#define FEDAGG_VERSION_MAJOR 0
#define FEDAGG_VERSION_MINOR 1
#define FEDAGG_VERSION_PATCH 0

#endif // FEDAGG_VERSION_HPP
