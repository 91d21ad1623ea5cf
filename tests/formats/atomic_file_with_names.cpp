// SPDX-License-Identifier: MIT
// The same where the file system has no files without a name.
#define FEDAGG_NO_TMPFILE
#include "atomic_file.cpp"
