# SPDX-License-Identifier: MIT
# Against the real `safetensors` package; skipped (77) where Python cannot import it. A Python that can, say that of a
# virtual environment, is named with -DFEDAGG_SAFETENSORS_PYTHON=...
set(FEDAGG_SAFETENSORS_PYTHON "${Python3_EXECUTABLE}" CACHE FILEPATH
    "A Python with numpy and safetensors, for the tests")

add_executable(test.formats.interop formats/interop/main.cpp)
target_link_libraries(test.formats.interop PRIVATE fedagg::fedagg fedagg_warnings nlohmann_json::nlohmann_json)
set_target_properties(test.formats.interop PROPERTIES CXX_EXTENSIONS OFF OUTPUT_NAME "formats.interop"
                                                      RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/bin")
add_test(NAME formats.interop COMMAND "${FEDAGG_SAFETENSORS_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/formats/interop.py"
                                      "$<TARGET_FILE:test.formats.interop>")
set_tests_properties(formats.interop PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
