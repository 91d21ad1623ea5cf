# SPDX-License-Identifier: MIT
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Under share/, not lib/<arch>/: nothing here depends on the architecture.
set(_fedagg_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/fedagg")

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/fedagg-config.cmake.in" "${PROJECT_BINARY_DIR}/fedagg-config.cmake"
  INSTALL_DESTINATION "${_fedagg_package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/fedagg-config-version.cmake"
  VERSION "${PROJECT_VERSION}"
  COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)

install(TARGETS fedagg EXPORT fedagg-targets)
install(EXPORT fedagg-targets NAMESPACE fedagg:: DESTINATION "${_fedagg_package_dir}")
install(FILES "${PROJECT_BINARY_DIR}/fedagg-config.cmake" "${PROJECT_BINARY_DIR}/fedagg-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/sodium.cmake"
        DESTINATION "${_fedagg_package_dir}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.inl")
