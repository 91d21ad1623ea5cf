// SPDX-License-Identifier: MIT
// The test is that this program compiles and links.
int main() { return 0; }
