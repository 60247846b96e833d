"use strict";
// The round trips of peers over the last minutes, one line each, on a scale of powers of ten.
const span = 180; // seconds that are shown
class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.lines = new Map(); // address -> [[time, ms], …]
    this.lit = "";
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }
  static hue(text) {
    let h = 7;
    for (const c of text) h = (h * 31 + c.codePointAt(0)) >>> 0;
    return (h * 137) % 360;
  }
  colour(addr, dim) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return `hsl(${Chart.hue(addr)} 62% ${dark ? 66 : 42}% / ${dim ? .25 : 1})`;
  }
  add(now, peers) {
    for (const p of peers) {
      if (!p.rtt) continue;
      if (!this.lines.has(p.addr)) this.lines.set(p.addr, []);
      this.lines.get(p.addr).push([now, p.rtt]);
    }
    for (const [addr, line] of this.lines) {
      while (line.length && line[0][0] < now - span - 5) line.shift();
      if (!line.length) this.lines.delete(addr);
    }
    this.now = now;
    this.draw();
  }
  get empty() { return this.lines.size === 0; }
  draw() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width) return;
    const scale = devicePixelRatio || 1, w = box.width, h = box.height;
    this.canvas.width = w * scale;
    this.canvas.height = h * scale;
    const g = this.canvas.getContext("2d");
    g.scale(scale, scale);
    if (this.empty) return;
    const css = getComputedStyle(document.documentElement);
    let low = Infinity, high = 0;
    for (const line of this.lines.values()) for (const [, v] of line) { low = Math.min(low, v); high = Math.max(high, v); }
    low = 10 ** Math.floor(Math.log10(Math.max(low, .01)));
    high = 10 ** Math.ceil(Math.log10(Math.max(high, low * 10)));
    const left = 54, bottom = 18, top = 8;
    const y = v => top + (h - top - bottom) * (1 - Math.log10(Math.max(v, low) / low) / Math.log10(high / low));
    const x = t => left + (w - left - 6) * (1 - (this.now - t) / span);
    g.font = "11px " + css.getPropertyValue("--sans");
    g.textBaseline = "middle";
    g.lineWidth = 1;
    for (let v = low; v <= high * 1.01; v *= 10) {
      g.strokeStyle = css.getPropertyValue("--line");
      g.beginPath(); g.moveTo(left, y(v)); g.lineTo(w, y(v)); g.stroke();
      g.fillStyle = css.getPropertyValue("--dim");
      g.textAlign = "right";
      g.fillText(v >= 1000 ? v / 1000 + " s" : +v.toPrecision(1) + " ms", left - 8, y(v));
    }
    g.textBaseline = "alphabetic";
    for (const m of [2, 1, 0]) {
      g.textAlign = m === 0 ? "right" : "center";
      g.fillText(m === 0 ? "now" : "−" + m + " min", x(this.now - m * 60), h - 3);
    }
    g.lineWidth = 1.75;
    g.lineJoin = g.lineCap = "round";
    for (const [addr, line] of this.lines) {
      g.strokeStyle = g.fillStyle = this.colour(addr, this.lit && this.lit !== addr);
      g.beginPath();
      let last = 0;
      for (const [t, v] of line) {
        if (t - last > 12) g.moveTo(x(t), y(v)); else g.lineTo(x(t), y(v));
        last = t;
      }
      g.stroke();
      const [t, v] = line[line.length - 1];
      g.beginPath(); g.arc(x(t), y(v), 2.6, 0, 7); g.fill();
    }
  }
}
