"use strict";
// Puts the picture and the upright lines of the charts where the slider is.
(function () {
  const source = document.getElementById("frames");
  if (!source) return;
  const frames = JSON.parse(source.textContent);
  const slider = document.getElementById("moment");
  const told = document.getElementById("told");

  function arrow(j, x, y) {
    const line = document.querySelector(`[data-arrow="${j}"]`);
    const name = document.querySelector(`[data-name="${j}"]`);
    const [a, b] = [x - frames.middle, y - frames.middle];
    const length = Math.hypot(a, b);
    const shown = length > 0.5 ? "visible" : "hidden";
    line.setAttribute("x2", x);
    line.setAttribute("y2", y);
    line.setAttribute("visibility", shown);
    // Side by side where arrows lie on each other.
    const aside = 11 * (j - (frames.arrows[0].length - 1) / 2);
    name.setAttribute("x", x + (14 * a - aside * b) / (length || 1));
    name.setAttribute("y", y + (14 * b + aside * a) / (length || 1) + 4);
    name.setAttribute("visibility", shown);
  }

  function bar(k, height) {
    const shape = document.querySelector(`[data-bar="${k}"]`);
    shape.setAttribute("y", frames.middle - Math.max(height, 0));
    shape.setAttribute("height", Math.abs(height));
  }

  function weight(k, size) {
    const style = size === 0 ? "none" : size > 0 ? "c0" : "c1 dashed";
    document.querySelectorAll(`[data-weight="${k}"]`).forEach((line) => {
      line.setAttribute("class", `weight ${style}`);
      line.setAttribute("stroke-width", Math.max(frames.thin, frames.thick * Math.abs(size)));
    });
  }

  function show() {
    const t = Number(slider.value);
    const s = frames.log_norm[t];
    (frames.arrows ? frames.arrows[t] : []).forEach(([x, y], j) => arrow(j, x, y));
    (frames.bars ? frames.bars[t] : []).forEach((height, k) => bar(k, height));
    (frames.weights ? frames.weights[t] : []).forEach((size, k) => weight(k, size));
    document.querySelectorAll(".cursor").forEach((line) => {
      const { low, high, start, end } = line.dataset;
      const x = Number(start) + ((s - low) / (high - low)) * (end - start);
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    });
    const margins = frames.margins[t].map((q, i) => `${frames.names[i]}: ${q.toFixed(4)}`).join(", ");
    told.textContent = `log ‖θ‖ = ${s.toFixed(2)}; margins at norm 1: ${margins}`;
  }

  slider.max = frames.log_norm.length - 1;
  slider.value = slider.max;
  slider.addEventListener("input", show);
  show();
})();
