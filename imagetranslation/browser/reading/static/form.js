// The form of a case: widgets that come and go with the answers, the question the keyboard belongs to, what is kept.

import { make, widget } from "./questions.js";

const CANNOT = { cannot_assess: true };
const cannot = (value) => !!value && typeof value === "object" && value.cannot_assess === true;

export class Form {
  // give(key, value): the reader answered.
  constructor(root, panes, give) {
    Object.assign(this, { root, panes, give });
    this.lines = new Map();
    this.trial = "";
    this.active = "";
    this.order = [];
    root.addEventListener("submit", (event) => event.preventDefault());
    root.addEventListener("focusin", (event) => this.#follow(event));
    root.addEventListener("pointerdown", (event) => this.#follow(event));
  }

  // values: key to what is to be seen, pending: keys of answers that are not kept yet.
  show(trial, items, values, pending) {
    if (trial !== this.trial) {
      this.lines.clear();
      this.root.replaceChildren();
      this.root.scrollTop = 0;
      this.trial = trial;
      this.active = "";
    }
    this.order = items.map((item) => item.key);
    const shown = new Set(this.order);
    for (const [key, line] of this.lines) {
      if (!shown.has(key)) { line.element.remove(); this.lines.delete(key); }
    }
    items.forEach((item, n) => {
      const line = this.lines.get(item.key) || this.#line(item);
      if (this.root.children[n] !== line.element) this.root.insertBefore(line.element, this.root.children[n] || null);
      this.#fill(line, values[item.key] ?? null, pending.has(item.key));
    });
    if (!this.lines.has(this.active)) this.activate(this.firstOpen(), false);
    this.panes.setMarks(this.#marks());
  }

  fault(key, text) {
    const line = this.lines.get(key);
    if (line) line.fault.textContent = text;
  }

  // Typed text that waits for the reader to go on typing is an answer now.
  commit() {
    for (const line of this.lines.values()) line.widget.commit?.();
  }

  // Key of the first required question without an answer, from the active one on; "" where all are answered.
  nextOpen() {
    const keys = this.order;
    const after = keys.slice(keys.indexOf(this.active) + 1).find((key) => this.#open(key));
    return after || this.firstOpen(true);
  }

  firstOpen(required = false) {
    const keys = this.order;
    return keys.find((key) => this.#open(key)) || (required ? "" : keys[0] || "");
  }

  activate(key, focus = true) {
    this.active = key;
    for (const [other, line] of this.lines) line.element.classList.toggle("active", other === key);
    const line = this.lines.get(key);
    if (!line || !focus) return;
    (line.widget.focus() || line.element).focus({ preventScroll: true });
    line.element.scrollIntoView({ block: "nearest" });
  }

  step(by) {
    const keys = this.order;
    this.activate(keys[Math.max(0, Math.min(keys.length - 1, keys.indexOf(this.active) + by))]);
  }

  digit(key) {
    return !!this.lines.get(this.active)?.widget.key(key);
  }

  // A letter names an image where images are to be chosen or ranked.
  letter(key) {
    const line = this.lines.get(this.active);
    const n = line && line.item.of_images ? line.item.options.findIndex((one) => one.id === key.toUpperCase()) : -1;
    return n >= 0 && line.widget.key(String(n + 1));
  }

  takesLetter(key) {
    return [...this.lines.values()].some(({ item }) => item.of_images && item.options.some((one) => one.id === key.toUpperCase()));
  }

  #open(key) {
    const line = this.lines.get(key);
    return line.item.required && line.value === null;
  }

  #line(item) {
    const report = (value) => this.give(item.key, value);
    const line = { item, value: null, widget: widget(item, report, this.panes) };
    line.mark = make("span", { class: "mark" });
    line.fault = make("div", { class: "fault", role: "alert" });
    line.skip = make("button", { type: "button", "aria-pressed": "false", onclick: () => report(cannot(line.value) ? null : CANNOT) }, "Cannot assess");
    line.clear = make("button", { type: "button", onclick: () => report(null) }, "Take back");
    const aside = make("div", { class: "aside" }, ...(item.cannot_assess ? [line.skip] : []), ...(item.required || item.type === "text" ? [] : [line.clear]));
    line.element = make("div", { class: "question", tabIndex: -1, role: "group", "aria-label": item.text },
      make("div", { class: "asked" }, ...(item.slot ? [make("span", { class: "slot" }, `Image ${item.slot}`)] : []),
        make("span", { class: "words" }, item.text), line.mark),
      ...(item.help ? [make("div", { class: "hint" }, item.help)] : []),
      line.widget.element, ...(aside.children.length ? [aside] : []), line.fault);
    line.element.dataset.key = item.key;
    this.lines.set(item.key, line);
    return line;
  }

  #fill(line, value, pending) {
    if (JSON.stringify(value) !== JSON.stringify(line.value)) line.fault.textContent = "";
    line.value = value;
    line.widget.show(cannot(value) ? null : value);
    line.skip.setAttribute("aria-pressed", String(cannot(value)));
    line.clear.hidden = value === null;
    line.mark.className = pending ? "mark unkept" : value === null ? "mark" : "mark kept";
    line.mark.textContent = pending ? "saving" : value !== null ? "saved" : line.item.required ? "" : "optional";
  }

  #marks() {
    const found = [];
    for (const { item, value } of this.lines.values()) {
      if (!["place", "roi"].includes(item.type) || !Array.isArray(value)) continue;
      value.forEach((mark, n) => found.push({ ...mark, number: n + 1 }));
    }
    return found;
  }

  #follow(event) {
    const element = event.target.closest?.(".question");
    if (element && element.dataset.key !== this.active) {
      this.active = element.dataset.key;
      for (const [key, line] of this.lines) line.element.classList.toggle("active", key === this.active);
    }
  }
}
