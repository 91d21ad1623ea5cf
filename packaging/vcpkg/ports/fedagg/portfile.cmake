# SPDX-License-Identifier: MIT
# An overlay port of the checkout that it lies in: vcpkg install fedagg --overlay-ports=packaging/vcpkg/ports
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../../.." ABSOLUTE)

# Header-only: a debug build would install the same files under debug/, which vcpkg refuses.
set(VCPKG_BUILD_TYPE release)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    -DFEDAGG_BUILD_TESTS=OFF
    -DFEDAGG_BUILD_EXAMPLES=OFF
    -DFEDAGG_BUILD_BENCHMARKS=OFF
    -DFEDAGG_INSTALL_CLI=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/fedagg)

file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
