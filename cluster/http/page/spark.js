// A line over time, as a picture.

import { svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 64;

/** Shows numbers, oldest first, and lets a screen reader say the last one. */
export class Spark {
  constructor(label, num = 120) {
    this.label = label;
    this.num = num;
    this.values = [];
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    this.element = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "spark", role: "img" }, this.area, this.line);
  }

  push(value) {
    this.values.push(Number.isFinite(value) ? value : 0);
    if (this.values.length > this.num) this.values.shift();
    this.#draw();
  }

  set(values) {
    this.values = values.slice(-this.num);
    this.#draw();
  }

  #draw() {
    const top = Math.max(...this.values, 1e-9);
    const step = WIDTH / (this.num - 1);
    const first = WIDTH - step * (this.values.length - 1);
    const points = this.values.map((value, at) => `${(first + at * step).toFixed(1)},${(HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(1)}`);
    this.line.setAttribute("d", points.length ? `M${points.join("L")}` : "");
    this.area.setAttribute("d", points.length ? `M${first.toFixed(1)},${HEIGHT}L${points.join("L")}L${WIDTH},${HEIGHT}Z` : "");
    this.element.setAttribute("aria-label", `${this.label}: now ${(this.values.at(-1) ?? 0).toFixed(1)}, at most ${top.toFixed(1)}`);
  }
}
