# SPDX-License-Identifier: MIT
# libsodium brings no CMake package of its own everywhere: pkg-config's file, or header and library.
# Included by the tests and, installed, by fedagg-config.cmake.
if(TARGET sodium::sodium)
  return()
endif()

find_package(unofficial-sodium QUIET) # vcpkg's
if(TARGET unofficial-sodium::sodium)
  add_library(sodium::sodium INTERFACE IMPORTED GLOBAL)
  target_link_libraries(sodium::sodium INTERFACE unofficial-sodium::sodium)
else()
  find_path(FEDAGG_SODIUM_INCLUDE_DIR sodium.h)
  find_library(FEDAGG_SODIUM_LIBRARY sodium)
  mark_as_advanced(FEDAGG_SODIUM_INCLUDE_DIR FEDAGG_SODIUM_LIBRARY)
  if(FEDAGG_SODIUM_INCLUDE_DIR AND FEDAGG_SODIUM_LIBRARY)
    add_library(sodium::sodium UNKNOWN IMPORTED GLOBAL)
    set_target_properties(sodium::sodium PROPERTIES IMPORTED_LOCATION "${FEDAGG_SODIUM_LIBRARY}"
                                                    INTERFACE_INCLUDE_DIRECTORIES "${FEDAGG_SODIUM_INCLUDE_DIR}")
  endif()
endif()
