// SPDX-License-Identifier: MIT
#ifndef FEDAGG_FORMATS_SAFETENSORS_HPP
#define FEDAGG_FORMATS_SAFETENSORS_HPP

/// Reading: `safetensors_file`.
#include <fedagg/formats/safetensors/file.hpp>

#endif // FEDAGG_FORMATS_SAFETENSORS_HPP
