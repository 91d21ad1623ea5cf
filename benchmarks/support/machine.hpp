// SPDX-License-Identifier: MIT
#ifndef FEDAGG_BENCHMARKS_SUPPORT_MACHINE_HPP
#define FEDAGG_BENCHMARKS_SUPPORT_MACHINE_HPP

#include <cstddef>
#include <fstream>
#include <string>

namespace bench {

inline std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

inline std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

/// Bytes of the last cache that the first processor sees; 0 where the system does not say.
inline std::size_t last_level_cache() {
  std::size_t bytes = 0;
  int highest = 0;
  for (int index = 0; index < 8; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
    const std::string level = first_line(folder + "/level"), size = first_line(folder + "/size");
    if (level.empty() || size.empty() || std::stoi(level) <= highest) continue;
    highest = std::stoi(level);
    bytes = std::stoul(size) * (size.back() == 'M' ? 1048576 : 1024);
  }
  return bytes;
}

/// The share of time that the hypervisor kept from this machine since it started, and what else ran, tell whether a
/// measurement can be trusted: "1.20 0.80 0.50" runnable tasks in 1, 5 and 15 minutes.
inline std::string load() {
  const std::string line = first_line("/proc/loadavg");
  return line.substr(0, line.find(' ', line.find(' ') + 1));
}

inline std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

} // namespace bench

#endif // FEDAGG_BENCHMARKS_SUPPORT_MACHINE_HPP
