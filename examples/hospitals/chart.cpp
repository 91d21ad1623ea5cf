// SPDX-License-Identifier: MIT
#include "chart.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace hospitals {
namespace {

constexpr double left = 62, top = 104, width = 300, height = 170, gap_x = 34, gap_y = 58;
constexpr double total_width = left + 3 * width + 2 * gap_x + 24, total_height = top + 2 * height + gap_y + 96;
constexpr const char* colours[] = {"#c2410c", "#1d4ed8", "#15803d"};
constexpr const char* dashes[] = {"", "7 4", "2 3"};

template <class... Values>
void put(std::string& to, const char* format, Values... values) {
  char text[512];
  std::snprintf(text, sizeof text, format, values...);
  to += text;
}

struct panel {
  double x, y, low, high;
  std::size_t rounds;

  double at_x(double round) const { return x + width * round / static_cast<double>(rounds); }
  double at_y(double accuracy) const { return y + height * (high - accuracy) / (high - low); }
};

void axes(std::string& svg, const panel& p, double step, bool labelled) {
  put(svg, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' class='frame'/>\n", p.x, p.y, width, height);
  for (double a = p.low; a <= p.high + 1e-9; a += step) {
    put(svg, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' class='grid'/>\n", p.x, p.x + width, p.at_y(a), p.at_y(a));
    if (labelled)
      put(svg, "<text x='%.1f' y='%.1f' text-anchor='end'>%.0f&#8201;%%</text>\n", p.x - 6, p.at_y(a) + 4, a);
  }
  const std::size_t every = std::max<std::size_t>(1, (p.rounds + 3) / 4);
  for (std::size_t k = 0; k <= p.rounds; k += every)
    put(svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>%zu</text>\n", p.at_x(static_cast<double>(k)),
        p.y + height + 16, k);
}

void level(std::string& svg, const panel& p, double accuracy, const char* style) {
  put(svg, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' class='%s'/>\n", p.x, p.x + width, p.at_y(accuracy),
      p.at_y(accuracy), style);
}

void curves(std::string& svg, const panel& p, const results& r, conduct c, double alone, int number) {
  put(svg, "<clipPath id='panel%d'><rect x='%.1f' y='%.1f' width='%.1f' height='%.1f'/></clipPath>\n", number, p.x, p.y,
      width, height);
  put(svg, "<g clip-path='url(#panel%d)'>\n", number);
  level(svg, p, r.central, "central");
  level(svg, p, alone, "alone");
  for (std::size_t k = 0; k < rules.size(); ++k) {
    put(svg, "<polyline fill='none' stroke='%s' stroke-width='2.2' stroke-dasharray='%s' points='", colours[k],
        dashes[k]);
    const auto& accuracy = r.of(rules[k], c).accuracy;
    for (std::size_t i = 0; i < accuracy.size(); ++i)
      put(svg, "%.1f,%.1f ", p.at_x(static_cast<double>(i)), p.at_y(accuracy[i]));
    svg += "'/>\n";
  }
  svg += "</g>\n";
}

void legend(std::string& svg, double x, double y, const char* text, const char* style, const char* colour,
            const char* dash) {
  if (*style)
    put(svg, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' class='%s'/>\n", x, x + 30, y - 4, y - 4, style);
  else
    put(svg, "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='%s' stroke-width='2.2' stroke-dasharray='%s'/>\n",
        x, x + 30, y - 4, y - 4, colour, dash);
  put(svg, "<text x='%.1f' y='%.1f'>%s</text>\n", x + 37, y, text);
}

} // namespace

std::string chart(const results& r) {
  const double alone = std::accumulate(r.alone.begin(), r.alone.end(), 0.0) / static_cast<double>(r.alone.size());
  std::string svg;
  put(svg, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f' role='img'>\n",
      total_width, total_height, total_width, total_height);
  svg += "<title>Five hospitals train one model: accuracy on held-out patients, by round</title>\n"
         "<style>text{font:13px system-ui,sans-serif;fill:#1f2937}.head{font-size:17px;font-weight:600}"
         ".sub{font-weight:600}.frame{fill:none;stroke:#9ca3af}.grid{stroke:#e5e7eb}"
         ".central{stroke:#111827;stroke-width:1.4}.alone{stroke:#6b7280;stroke-width:1.4;stroke-dasharray:1 4;"
         "stroke-linecap:round}</style>\n"
         "<rect width='100%' height='100%' fill='#fff'/>\n";
  put(svg, "<text x='%.1f' y='32' class='head'>Five hospitals train one model, and one of them may cheat</text>\n",
      left);
  put(svg,
      "<text x='%.1f' y='54'>Held-out patients sorted rightly, by round; below, the top of the same scale</text>\n",
      left);
  for (std::size_t k = 0; k < conducts.size(); ++k) {
    const double x = left + static_cast<double>(k) * (width + gap_x);
    const std::size_t rounds = r.runs.front().accuracy.size() - 1;
    put(svg, "<text x='%.1f' y='%.1f' class='sub'>%s</text>\n", x, top - 12, name_of(conducts[k]));
    const panel whole{x, top, 0, 100, rounds};
    const panel zoom{x, top + height + gap_y, 90, 100, rounds};
    axes(svg, whole, 25, k == 0);
    axes(svg, zoom, 2, k == 0);
    curves(svg, whole, r, conducts[k], alone, static_cast<int>(2 * k));
    curves(svg, zoom, r, conducts[k], alone, static_cast<int>(2 * k + 1));
    put(svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>round</text>\n", x + width / 2, zoom.y + height + 34);
  }
  double x = left;
  for (std::size_t k = 0; k < rules.size(); ++k, x += 150)
    legend(svg, x, total_height - 22, name_of(rules[k]), "", colours[k], dashes[k]);
  x += 20;
  legend(svg, x, total_height - 22, "central training", "central", "", "");
  legend(svg, x + 180, total_height - 22, "a hospital alone (mean of five)", "alone", "", "");
  return svg + "</svg>\n";
}

} // namespace hospitals
