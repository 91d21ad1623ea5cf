# SPDX-License-Identifier: MIT
# Configures, builds and runs one consumer out of tree: KIND CHECKOUT BUILD WORK GENERATOR COMPILER LAUNCHER.
cmake_minimum_required(VERSION 3.21)

function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")

if(KIND STREQUAL "plain_include")
  step("${CMAKE_COMMAND}" -E env "CXX=${COMPILER}" "${CMAKE_CURRENT_LIST_DIR}/plain_include/build.sh" "${CHECKOUT}"
       "${WORK}/consumer")
  step("${WORK}/consumer")
  return()
endif()

set(options "")
if(KIND STREQUAL "find_package")
  step("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/prefix")
  set(options "-DCMAKE_PREFIX_PATH=${WORK}/prefix")
elseif(KIND STREQUAL "fetch_content")
  set(options "-DFETCHCONTENT_SOURCE_DIR_FEDAGG=${CHECKOUT}" -DFETCHCONTENT_FULLY_DISCONNECTED=ON)
elseif(KIND STREQUAL "add_subdirectory")
  set(options "-DFEDAGG_CHECKOUT=${CHECKOUT}")
endif()
step("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/${KIND}" -B "${WORK}/build" -G "${GENERATOR}"
     "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}" ${options})
step("${CMAKE_COMMAND}" --build "${WORK}/build")
step("${WORK}/build/consumer")
