// SPDX-License-Identifier: MIT
#ifndef FEDAGG_ADAPTERS_JSON_HPP
#define FEDAGG_ADAPTERS_JSON_HPP

/// Rules as JSON, both ways, and a rule that is chosen at run time: `any_rule`.

#include <fedagg/adapters/json/any_rule.hpp>
#include <fedagg/adapters/json/parameters.hpp>
#include <fedagg/adapters/json/serializer.hpp>

#endif // FEDAGG_ADAPTERS_JSON_HPP
