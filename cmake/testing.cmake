# SPDX-License-Identifier: MIT
# What our own tests, examples and benchmarks share. None of it reaches a consumer's build.
include_guard(GLOBAL)

option(FEDAGG_USE_CCACHE "Compile through ccache where it is installed" OFF)
if(FEDAGG_USE_CCACHE)
  find_program(FEDAGG_CCACHE ccache)
  if(FEDAGG_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${FEDAGG_CCACHE}")
  endif()
endif()

option(FEDAGG_WARNINGS_AS_ERRORS "Stop at warnings in our own tests, examples and benchmarks" ON)
add_library(fedagg_warnings INTERFACE)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(fedagg_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
                         $<$<BOOL:${FEDAGG_WARNINGS_AS_ERRORS}>:-Werror>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    # The instrumentation hides initialisation from this warning: it fires inside <regex>.
    target_compile_options(fedagg_warnings INTERFACE -Wno-maybe-uninitialized)
  endif()
elseif(MSVC)
  target_compile_options(fedagg_warnings INTERFACE /W4 /permissive- $<$<BOOL:${FEDAGG_WARNINGS_AS_ERRORS}>:/WX>)
endif()

# fedagg_compiled(<part>...) makes the libraries fedagg_compiled_<part>, unless they are there: what cmake/compiled/
# instantiates once for all units that include compiled/<part>.hpp. Members of an archive, so that programs may link
# more of them than they use.
function(fedagg_compiled)
  set(passes "")
  set(rules fedagg_compiled_passes)
  set(spectral fedagg_compiled_rules Eigen3::Eigen)
  set(chains fedagg_compiled_rules nlohmann_json::nlohmann_json)
  set(optimizers "")
  foreach(part IN LISTS ARGN)
    set(target fedagg_compiled_${part})
    if(TARGET ${target})
      continue()
    endif()
    add_library(${target} STATIC EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/cmake/compiled/${part}.cpp")
    target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/cmake")
    target_link_libraries(${target} PUBLIC fedagg::fedagg ${${part}} PRIVATE fedagg_warnings)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  endforeach()
endfunction()

# fedagg_test(<folder>/<stem> [PER_ISA] [LIBRARIES <target>...]) builds tests/<folder>/<stem>.cpp with Catch2 and
# registers it as <folder>.<stem>, or as <folder>.<stem>@<isa> for each instruction set when PER_ISA is given.
function(fedagg_test path)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PER_ISA" "" "LIBRARIES")
  string(REPLACE "/" "." name "${path}")
  add_executable(test.${name} "${PROJECT_SOURCE_DIR}/tests/${path}.cpp")
  target_link_libraries(test.${name} PRIVATE fedagg::fedagg fedagg_warnings fedagg_test_main ${arg_LIBRARIES}
                                             ${FEDAGG_TEST_COMPILED})
  set_target_properties(test.${name} PROPERTIES CXX_EXTENSIONS OFF OUTPUT_NAME "${name}"
                                                RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/bin")
  if(arg_PER_ISA)
    foreach(isa IN LISTS FEDAGG_TEST_ISAS)
      add_test(NAME "${name}@${isa}" COMMAND test.${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
      # 77: the machine lacks this instruction set.
      set_tests_properties("${name}@${isa}" PROPERTIES ENVIRONMENT "FEDAGG_ISA=${isa}" SKIP_RETURN_CODE 77 TIMEOUT 900)
    endforeach()
  else()
    add_test(NAME "${name}" COMMAND test.${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties("${name}" PROPERTIES TIMEOUT 900)
  endif()
endfunction()
