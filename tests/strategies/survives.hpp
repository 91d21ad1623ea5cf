// SPDX-License-Identifier: MIT
#ifndef FEDAGG_TESTS_STRATEGIES_SURVIVES_HPP
#define FEDAGG_TESTS_STRATEGIES_SURVIVES_HPP

#include <cstddef>
#include <string>
#include <vector>

#include <fedagg/core/model_view.hpp>
#include <fedagg/formats/saved_state.hpp>

#include "formats/folder.hpp"
#include "support/catch.hpp"

namespace states {

using fedagg::errc;
using fedagg::model_layout;
using fedagg::model_view;
using fedagg::mutable_model_view;

template <class Object>
std::string file_of(const folder& here, const Object& object) {
  fedagg::file_error error;
  REQUIRE(fedagg::try_save_state(here / "one", object, "", error) == errc::ok);
  return get(here / "one");
}

/// `used` and `fresh` differ; `other` has another life behind it than `used`.
template <class Object>
void survives(const Object& used, const Object& fresh, Object other) {
  INFO(Object::kind);
  folder here;
  fedagg::file_error error;
  const std::string saved = file_of(here, used), empty = file_of(here, fresh), older = file_of(here, other);
  CHECK(saved != empty);
  CHECK(saved != older);

  put(here / "two", saved);
  Object loaded = fresh;
  REQUIRE(fedagg::try_load_state(here / "two", loaded, "", error) == errc::ok);
  CHECK(file_of(here, loaded) == saved);
  Object again = other;
  REQUIRE(fedagg::try_load_state(here / "two", again, "", error) == errc::ok);
  CHECK(file_of(here, again) == saved);
  // A state that nothing has happened to, too.
  put(here / "two", empty);
  REQUIRE(fedagg::try_load_state(here / "two", again, "", error) == errc::ok);
  CHECK(file_of(here, again) == empty);

  const std::size_t step = saved.size() / 25 + 1;
  for (std::size_t at = 0; at < saved.size(); at += step) {
    std::string bad = saved;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    put(here / "two", bad);
    CHECK(fedagg::try_load_state(here / "two", other, "", error) != errc::ok);
    put(here / "two", saved.substr(0, at));
    CHECK(fedagg::try_load_state(here / "two", other, "", error) != errc::ok);
  }
  CHECK(file_of(here, other) == older);
}

inline const std::vector<float> x{1, 2, 3}, near_x{1.5f, 2, 2}, far_x{4, -1, 0};
inline const model_view global(x), near_global(near_x), far_global(far_x);

} // namespace states

#endif // FEDAGG_TESTS_STRATEGIES_SURVIVES_HPP
