// The pictures side by side: slices linked, zoom, position, window, and marks made on them. Knows no question.

import { moved, turnTo } from "./pictures.js";

const MARK = "#7dff9b";
const DRAFT = "#ffd34d";
const NEAR_PX = 9;

export class Panes {
  // changed(): slice or window moved. active(): the reader does something.
  constructor(root, study, { changed, active }) {
    Object.assign(this, { root, study, changed, active });
    this.panes = [];
    this.marks = [];
    this.tool = null;
    this.pointers = new Map();
    root.addEventListener("contextmenu", (event) => event.preventDefault());
    root.addEventListener("dragstart", (event) => event.preventDefault());
    new ResizeObserver(() => this.draw()).observe(root);
    this.reset();
  }

  get slices() {
    return this.panes.length ? this.panes[0].slices : 1;
  }

  // Names of the planes that all images have, the study's own first, and of the one that is shown.
  get planes() {
    return this.panes.length ? this.panes[0].planes.map((one) => one.name) : [];
  }

  get plane() {
    return this.panes.length ? this.panes[0].plane : "";
  }

  // Show another plane, at the place in the middle of what was shown.
  turn(name) {
    if (name === this.plane || !this.planes.includes(name)) return;
    this.stopMarking();
    const [first] = this.panes;
    const middle = moved(first.toLps, [(first.columns - 1) / 2, (first.rows - 1) / 2, this.slice]);
    for (const pane of this.panes) turnTo(pane, name);
    this.slice = Math.max(0, Math.min(this.slices - 1, Math.floor(moved(first.fromLps, middle)[2] + 0.25)));
    this.zoom = 1;
    this.shift = [0, 0];
    this.draw();
    this.changed();
  }

  // Put the images of a trial on the screen, at once and before this returns.
  show(panes) {
    this.stopMarking();
    this.panes = panes;
    for (const pane of panes) turnTo(pane, pane.planes[0].name);
    this.slice = Math.floor((this.slices - 1) / 2);
    this.root.replaceChildren(...panes.map((pane) => this.#element(pane)));
    const columns = panes.length <= 3 ? panes.length : Math.ceil(Math.sqrt(panes.length));
    this.root.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    this.root.style.gridTemplateRows = `repeat(${Math.ceil(panes.length / columns)}, minmax(0, 1fr))`;
    this.reset();
  }

  clear() {
    this.stopMarking();
    this.panes = [];
    this.root.replaceChildren();
  }

  reset() {
    this.window = [...this.study.window];
    this.zoom = 1;
    this.shift = [0, 0];
    this.draw();
    this.changed();
  }

  go(slice) {
    const wanted = Math.max(0, Math.min(this.slices - 1, slice));
    if (wanted === this.slice) return;
    this.slice = wanted;
    this.draw();
    this.changed();
  }

  // What an answer is kept with.
  view() {
    const round = (value) => Math.round(value * 1000) / 1000;
    return { plane: this.plane, slice: this.slice + 1, slices: this.slices, window: this.window.map(Math.round), zoom: round(this.zoom),
      shift_mm: this.shift.map(round) };
  }

  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  goTo(slot, point) {
    const pane = this.panes.find((one) => one.slot === slot);
    if (pane) this.go(Math.round(moved(pane.fromLps, point)[2]));
  }

  sliceOf(slot, point) {
    const pane = this.panes.find((one) => one.slot === slot);
    return pane ? Math.round(moved(pane.fromLps, point)[2]) + 1 : 0;
  }

  labelOf(slot) {
    return this.panes.find((one) => one.slot === slot)?.label || slot;
  }

  // kind "place": every click makes a mark. "roi": clicks make an outline until it is closed. made(mark) gets each.
  startMarking(kind, made, ended) {
    this.stopMarking();
    this.tool = { kind, made, ended, slot: "", points: [], slice: 0 };
    this.root.classList.add("marking");
  }

  stopMarking() {
    const tool = this.tool;
    this.tool = null;
    this.root.classList.remove("marking");
    if (tool) { tool.ended(); this.draw(); }
  }

  // Whether the key belonged to an outline being drawn.
  markingKey(key) {
    if (!this.tool) return false;
    if (key === "Escape") {
      if (this.tool.points.length) { this.tool.points = []; this.draw(); } else this.stopMarking();
      return true;
    }
    if (!this.tool.points.length) return false;
    if (key === "Backspace") { this.tool.points.pop(); this.draw(); return true; }
    if (key === "Enter") { this.#close(); return true; }
    return false;
  }

  draw() {
    for (const pane of this.panes) this.#draw(pane);
  }

  #element(pane) {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${pane.label}. ${this.study.text}`);
    const element = document.createElement("div");
    element.className = "pane";
    element.dataset.slot = pane.slot;
    element.append(canvas);
    Object.assign(pane, { element, canvas, sheet: null, drawn: "" });
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event, pane));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("dblclick", () => { if (this.tool?.points.length) this.#close(); });
    return element;
  }

  // ---- pointer ----

  #wheel(event) {
    event.preventDefault();
    this.active();
    if (event.ctrlKey || event.metaKey) this.#zoomBy(Math.exp(-event.deltaY / 400));
    else this.go(this.slice + Math.sign(event.deltaY));
  }

  #zoomBy(factor) {
    this.zoom = Math.max(0.5, Math.min(20, this.zoom * factor));
    this.draw();
  }

  #down(event, pane) {
    event.preventDefault();
    pane.canvas.setPointerCapture(event.pointerId);
    this.active();
    if (this.tool && event.button === 0) { this.#mark(event, pane); return; }
    const what = event.pointerType === "touch" ? "leaf"
      : event.button === 1 || event.shiftKey ? "shift" : event.button === 2 ? "zoom" : "window";
    const at = [event.clientX, event.clientY];
    this.pointers.set(event.pointerId, { what, pane, at, from: at, slice: this.slice });
  }

  #move(event) {
    const held = this.pointers.get(event.pointerId);
    if (!held) return;
    this.active();
    const before = this.#spread();
    const [dx, dy] = [event.clientX - held.at[0], event.clientY - held.at[1]];
    held.at = [event.clientX, event.clientY];
    if (this.pointers.size > 1) this.#pinch(before);
    else if (held.what === "leaf") this.go(held.slice + Math.round((held.at[1] - held.from[1]) / 12));
    else if (held.what === "zoom") this.#zoomBy(Math.exp(-dy / 150));
    else if (held.what === "shift") {
      const scale = this.#scale(held.pane);
      this.shift = [this.shift[0] + dx / scale, this.shift[1] + dy / scale];
      this.draw();
    } else this.#adjust(dx, dy);
  }

  #spread() {
    const points = [...this.pointers.values()].map((held) => held.at);
    return points.length < 2 ? 0 : Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]);
  }

  #pinch(before) {
    const now = this.#spread();
    if (before > 10 && now > 10) this.#zoomBy(now / before);
  }

  // To the right: wider; down: brighter, as far as the study's own window goes.
  #adjust(dx, dy) {
    const [low, high] = this.study.window;
    const range = high - low;
    const width = Math.max(range / 100, Math.min(range, this.window[1] - this.window[0] + (dx * range) / 600));
    const middle = (this.window[0] + this.window[1]) / 2 - (dy * range) / 600;
    const centre = Math.max(low, Math.min(high, middle));
    this.window = [centre - width / 2, centre + width / 2];
    this.draw();
    this.changed();
  }

  // ---- marks ----

  #mark(event, pane) {
    const box = pane.canvas.getBoundingClientRect();
    const [column, row] = this.#toImage(pane, [event.clientX - box.left, event.clientY - box.top]);
    if (column < -0.5 || row < -0.5 || column > pane.columns - 0.5 || row > pane.rows - 0.5) return;
    const tool = this.tool;
    const point = moved(pane.toLps, [column, row, this.slice]).map((value) => Math.round(value * 1000) / 1000);
    if (tool.kind === "place") { tool.made({ image: pane.slot, point }); return; }
    if (tool.slot !== pane.slot || tool.slice !== this.slice) Object.assign(tool, { slot: pane.slot, slice: this.slice, points: [] });
    const first = tool.points[0] && this.#toScreen(pane, moved(pane.fromLps, tool.points[0]));
    const near = (to) => Math.hypot(to[0] - (event.clientX - box.left), to[1] - (event.clientY - box.top)) < NEAR_PX;
    const last = tool.points.length && this.#toScreen(pane, moved(pane.fromLps, tool.points.at(-1)));
    if (tool.points.length >= 3 && near(first)) { this.#close(); return; }
    if (last && near(last)) return; // the second half of a double click
    tool.points.push(point);
    this.draw();
  }

  #close() {
    const { points, slot, made } = this.tool;
    if (points.length < 3) return;
    this.tool.points = [];
    made({ image: slot, points });
    this.draw();
  }

  // ---- drawing ----

  // Screen pixels (CSS) a millimetre.
  #scale(pane) {
    const [width, height] = [pane.columns * pane.spacing[0], pane.rows * pane.spacing[1]];
    return this.zoom * Math.min(pane.element.clientWidth / width, pane.element.clientHeight / height);
  }

  #toScreen(pane, [column, row]) {
    const scale = this.#scale(pane);
    return [
      pane.element.clientWidth / 2 + scale * (this.shift[0] + (column + 0.5 - pane.columns / 2) * pane.spacing[0]),
      pane.element.clientHeight / 2 + scale * (this.shift[1] + (row + 0.5 - pane.rows / 2) * pane.spacing[1]),
    ];
  }

  #toImage(pane, [x, y]) {
    const scale = this.#scale(pane);
    return [
      ((x - pane.element.clientWidth / 2) / scale - this.shift[0]) / pane.spacing[0] + pane.columns / 2 - 0.5,
      ((y - pane.element.clientHeight / 2) / scale - this.shift[1]) / pane.spacing[1] + pane.rows / 2 - 0.5,
    ];
  }

  // The slice in grey values of the window, one pixel a voxel.
  #sheet(pane) {
    const state = `${this.slice} ${this.window}`;
    if (pane.sheet && pane.drawn === state) return pane.sheet;
    pane.sheet ??= new OffscreenCanvas(pane.columns, pane.rows);
    pane.drawn = state;
    const context = pane.sheet.getContext("2d");
    const image = context.createImageData(pane.columns, pane.rows);
    const pixels = new Uint32Array(image.data.buffer);
    const [low, high] = this.window;
    const [across, down, deep] = pane.strides;
    const from = pane.offset + Math.min(this.slice, pane.slices - 1) * deep;
    for (let row = 0, n = 0; row < pane.rows; row++) {
      let at = from + row * down;
      for (let column = 0; column < pane.columns; column++, n++, at += across) {
        let grey = Math.max(0, Math.min(255, (255 * (pane.voxels[at] - low)) / (high - low)));
        if (this.study.inverted) grey = 255 - grey;
        pixels[n] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
      }
    }
    context.putImageData(image, 0, 0);
    return pane.sheet;
  }

  #draw(pane) {
    const [width, height] = [pane.element.clientWidth, pane.element.clientHeight];
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (pane.canvas.width !== size[0] || pane.canvas.height !== size[1]) [pane.canvas.width, pane.canvas.height] = size;
    const context = pane.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    const [left, top] = this.#toScreen(pane, [-0.5, -0.5]);
    const [right, bottom] = this.#toScreen(pane, [pane.columns - 0.5, pane.rows - 0.5]);
    // Enlarged linearly, which leaves every voxel its own value; the browsers' better filters blur. Reduced without gaps.
    context.imageSmoothingQuality = right - left < pane.columns ? "high" : "low";
    context.drawImage(this.#sheet(pane), left, top, right - left, bottom - top);
    this.#drawMarks(context, pane);
    this.#drawWords(context, pane, width, height);
  }

  #drawMarks(context, pane) {
    context.lineWidth = 2;
    context.font = "600 14px system-ui, sans-serif";
    for (const mark of this.marks) {
      if (mark.image !== pane.slot) continue;
      const places = (mark.points || [mark.point]).map((point) => moved(pane.fromLps, point));
      // An outline is of the plane it was drawn in, and across it no line.
      if (places.some((place) => Math.round(place[2]) !== this.slice)) continue;
      this.#drawMark(context, places.map((place) => this.#toScreen(pane, place)), MARK, !!mark.points, String(mark.number));
    }
    const tool = this.tool;
    if (tool?.points.length && tool.slot === pane.slot && tool.slice === this.slice) {
      const places = tool.points.map((point) => this.#toScreen(pane, moved(pane.fromLps, point)));
      this.#drawMark(context, places, DRAFT, false, "", true);
    }
  }

  #drawMark(context, places, colour, closed, text, dots = false) {
    context.strokeStyle = context.fillStyle = colour;
    context.beginPath();
    if (closed || dots) {
      places.forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (closed) context.closePath();
      if (dots) for (const [x, y] of places) { context.moveTo(x + 3, y); context.arc(x, y, 3, 0, 7); }
    } else {
      const [x, y] = places[0];
      context.moveTo(x - 11, y); context.lineTo(x - 3, y); context.moveTo(x + 3, y); context.lineTo(x + 11, y);
      context.moveTo(x, y - 11); context.lineTo(x, y - 3); context.moveTo(x, y + 3); context.lineTo(x, y + 11);
    }
    context.stroke();
    if (text) this.#words(context, text, places[0][0] + 8, places[0][1] - 8, "left", colour);
  }

  #drawWords(context, pane, width, height) {
    context.font = "600 16px system-ui, sans-serif";
    this.#words(context, pane.label, 10, 22, "left", "#fff");
    context.font = "13px system-ui, sans-serif";
    this.#words(context, this.study.text, 10, 40, "left", "#ffd34d", width - 14);
    const [left, right, top, bottom] = pane.sides;
    context.font = "600 14px system-ui, sans-serif";
    this.#words(context, left, 8, height / 2, "left", "#b9c6d8");
    this.#words(context, right, width - 8, height / 2, "right", "#b9c6d8");
    this.#words(context, top, width / 2, 18, "center", "#b9c6d8");
    this.#words(context, bottom, width / 2, height - 8, "center", "#b9c6d8");
  }

  // widest: text that would be wider is set narrower.
  #words(context, text, x, y, align, colour, widest = 10000) {
    context.textAlign = align;
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0, 0, 0, .85)";
    context.strokeText(text, x, y, widest);
    context.fillStyle = colour;
    context.fillText(text, x, y, widest);
    context.lineWidth = 2;
  }
}
