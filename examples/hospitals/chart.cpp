// SPDX-License-Identifier: MIT
#include "chart.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace hospitals {
namespace {

constexpr double left = 62, top = 122, width = 300, height = 150, gap_x = 34, gap_y = 58;
constexpr double total_width = left + 3 * width + 2 * gap_x + 24, total_height = top + 3 * height + 2 * gap_y + 114;

struct stroke {
  const char *colour, *dash;
};
stroke stroke_of(const strategy& s) {
  static constexpr stroke methods[] = {
      {"#c2410c", ""}, {"#1d4ed8", "7 4"}, {"#15803d", "2 3"}, {"#7e22ce", "11 3 2 3"}};
  return s.how == rule::median ? stroke{"#db2777", "4 2"} : methods[static_cast<std::size_t>(s.with)];
}

/// A row of pictures: the strategies in it, and the part of the scale.
struct row {
  const char* title;
  bool robust;
  double low, step;
};
constexpr row rows[] = {{"the hospitals' mean", false, 0, 25},
                        {"the same, top of the scale", false, 90, 2},
                        {"median and trimmed mean, top of the scale", true, 90, 2}};

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

void curves(std::string& svg, const panel& p, const results& r, conduct c, bool robust, double alone, int number) {
  put(svg, "<clipPath id='panel%d'><rect x='%.1f' y='%.1f' width='%.1f' height='%.1f'/></clipPath>\n", number, p.x, p.y,
      width, height);
  put(svg, "<g clip-path='url(#panel%d)'>\n", number);
  level(svg, p, r.central, "central");
  level(svg, p, alone, "alone");
  for (const strategy& one : strategies) {
    if ((one.how != rule::mean) != robust) continue;
    put(svg, "<polyline fill='none' stroke='%s' stroke-width='2.2' stroke-dasharray='%s' points='",
        stroke_of(one).colour, stroke_of(one).dash);
    const auto& accuracy = r.of(one, c).accuracy;
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
  put(svg, "<text x='%.1f' y='54'>Held-out patients sorted rightly, by round</text>\n", left);
  const std::size_t rounds = r.runs.front().accuracy.size() - 1;
  int number = 0;
  for (std::size_t k = 0; k < conducts.size(); ++k) {
    const double x = left + static_cast<double>(k) * (width + gap_x);
    put(svg, "<text x='%.1f' y='%.1f' class='sub'>%s</text>\n", x, top - 34, name_of(conducts[k]));
    double y = top;
    for (const row& line : rows) {
      const panel p{x, y, line.low, 100, rounds};
      if (k == 0) put(svg, "<text x='%.1f' y='%.1f'>%s</text>\n", x, y - 10, line.title);
      axes(svg, p, line.step, k == 0);
      curves(svg, p, r, conducts[k], line.robust, alone, number++);
      y += height + gap_y;
    }
    put(svg, "<text x='%.1f' y='%.1f' text-anchor='middle'>round</text>\n", x + width / 2, y - gap_y + 34);
  }
  const double first = total_height - 46, second = total_height - 22;
  double x = left;
  for (const method with : {method::plain, method::fedprox, method::fedadam, method::scaffold}) {
    const strategy one{rule::mean, with};
    const std::string text = with == method::plain ? "FedAvg, trimmed mean" : name_of(one);
    legend(svg, x, first, text.c_str(), "", stroke_of(one).colour, stroke_of(one).dash);
    x += with == method::plain ? 210 : 130;
  }
  const strategy median{rule::median, method::plain};
  legend(svg, x, first, name_of(median).c_str(), "", stroke_of(median).colour, stroke_of(median).dash);
  legend(svg, left, second, "central training", "central", "", "");
  legend(svg, left + 210, second, "a hospital alone (mean of five)", "alone", "", "");
  return svg + "</svg>\n";
}

} // namespace hospitals
