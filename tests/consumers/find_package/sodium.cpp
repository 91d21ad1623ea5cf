// SPDX-License-Identifier: MIT
#include <fedagg/adapters/sodium.hpp>

int main() {
  fedagg::sodium_suite suite;
  fedagg::secret_key key;
  return suite.random(key.bytes()) ? 0 : 1;
}
