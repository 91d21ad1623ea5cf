// SPDX-License-Identifier: MIT
#include "chart.hpp"

#include <algorithm>
#include <cstdio>

namespace fedprox {
namespace {

constexpr double left = 58, top = 100, width = 208, height = 160, gap_x = 20, gap_y = 48;
constexpr const char* colours[] = {"#c2410c", "#1d4ed8"};

template <class... Values>
void put(std::string& to, const char* format, Values... values) {
  char text[400];
  std::snprintf(text, sizeof text, format, values...);
  to += text;
}

struct panel {
  double x, y, high;
  std::size_t rounds;

  double at_x(std::size_t round) const { return x + width * static_cast<double>(round) / static_cast<double>(rounds); }
  double at_y(double value) const { return y + height * (1 - std::min(value, high) / high); }
};

void axes(std::string& svg, const panel& p, double step, const char* format, bool labelled) {
  for (double v = 0; v <= p.high + 1e-9; v += step) {
    put(svg, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' class='grid'/>\n", p.x, p.x + width, p.at_y(v), p.at_y(v));
    if (!labelled) continue;
    put(svg, "<text x='%.1f' y='%.1f' text-anchor='end'>", p.x - 6, p.at_y(v) + 4);
    put(svg, format, v);
    svg += "</text>\n";
  }
  for (std::size_t k = 0; k <= 4; ++k)
    put(svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>%zu</text>\n", p.at_x(p.rounds * k / 4), p.y + height + 16,
        p.rounds * k / 4);
  put(svg, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' class='frame'/>\n", p.x, p.y, width, height);
}

void line(std::string& svg, const panel& p, const std::vector<double>& values, const char* colour) {
  put(svg, "<polyline fill='none' stroke='%s' stroke-width='1.3' stroke-linejoin='round' points='", colour);
  for (std::size_t t = 0; t < values.size(); ++t) put(svg, "%.1f,%.1f ", p.at_x(t), p.at_y(values[t]));
  svg += "'/>\n";
}

} // namespace

std::string chart(const std::vector<pair_of_curves>& columns) {
  const auto n = static_cast<double>(columns.size());
  const double total_width = left + n * width + (n - 1) * gap_x + 20, total_height = top + 2 * height + gap_y + 44;
  std::string svg;
  put(svg, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f' role='img'>\n",
      total_width, total_height, total_width, total_height);
  svg += "<title>FedProx on synthetic(alpha, beta): loss and accuracy by round, for mu 0 and 1</title>\n"
         "<style>text{font:12px system-ui,sans-serif;fill:#1f2937}.head{font-size:16px;font-weight:600}"
         ".sub{font-weight:600}.frame{fill:none;stroke:#9ca3af}.grid{stroke:#e5e7eb}</style>\n"
         "<rect width='100%' height='100%' fill='#fff'/>\n";
  put(svg, "<text x='%.1f' y='28' class='head'>FedProx on synthetic(alpha, beta)</text>\n", left);
  put(svg, "<text x='%.1f' y='50'>Training loss (cut off at the top) and test accuracy, by round</text>\n", left);
  const char* names[] = {"mu = 0", "mu = 1"};
  for (std::size_t k = 0; k < 2; ++k) {
    const double x = left + 420 + 110 * static_cast<double>(k);
    put(svg, "<line x1='%.1f' x2='%.1f' y1='46' y2='46' stroke='%s' stroke-width='2'/>\n", x, x + 28, colours[k]);
    put(svg, "<text x='%.1f' y='50'>%s</text>\n", x + 34, names[k]);
  }
  double x = left;
  for (const pair_of_curves& c : columns) {
    const std::size_t rounds = c.zero->loss.size() - 1;
    const panel loss{x, top, 4, rounds}, accuracy{x, top + height + gap_y, 1, rounds};
    put(svg, "<text x='%.1f' y='%.1f' class='sub'>%s</text>\n", x, top - 12, c.name);
    axes(svg, loss, 1, "%.0f", x == left);
    axes(svg, accuracy, 0.25, "%.2f", x == left);
    line(svg, loss, c.zero->loss, colours[0]);
    line(svg, loss, c.one->loss, colours[1]);
    line(svg, accuracy, c.zero->accuracy, colours[0]);
    line(svg, accuracy, c.one->accuracy, colours[1]);
    x += width + gap_x;
  }
  return svg + "</svg>\n";
}

} // namespace fedprox
