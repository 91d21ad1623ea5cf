# SPDX-License-Identifier: MIT
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load

required_conan_version = ">=2.0"


class FedaggConan(ConanFile):
    name = "fedagg"
    description = "Federated aggregation in place, at the speed of memory: a header-only C++20 library"
    license = "MIT"
    topics = ("federated-learning", "aggregation", "robust-statistics", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    def set_version(self):
        text = load(self, os.path.join(self._checkout, "include", "fedagg", "version.hpp"))
        self.version = ".".join(re.search(rf"#define FEDAGG_VERSION_{part} (\d+)", text).group(1)
                                for part in ("MAJOR", "MINOR", "PATCH"))

    @property
    def _checkout(self):
        return os.path.join(self.recipe_folder, os.pardir, os.pardir)

    def export_sources(self):
        copy(self, "LICENSE", self._checkout, self.export_sources_folder)
        for pattern in ("*.hpp", "*.inl"):
            copy(self, pattern, os.path.join(self._checkout, "include"),
                 os.path.join(self.export_sources_folder, "include"))

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "*", os.path.join(self.source_folder, "include"), os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "fedagg")
        self.cpp_info.set_property("cmake_target_name", "fedagg::fedagg")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
