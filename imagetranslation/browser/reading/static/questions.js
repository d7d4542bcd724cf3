// One widget for each type of question. A widget shows a value and reports another; it never has one by itself.
//
// Every widget: { element, show(value), key(digit) -> handled, focus() -> element }. report(value): an answer.

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

// Buttons of which one (or, with `several`, any) is pressed. digits: key to value.
function buttons(options, { across = false, several = false } = {}, press) {
  const made = options.map(({ value, text, digit }) => ({
    value,
    digit,
    button: make("button", { type: "button", class: "choice", "aria-pressed": "false", onclick: () => press(value) },
      ...(digit ? [make("span", { class: "digit" }, digit)] : []), make("span", {}, text)),
  }));
  const element = make("div", { class: across ? "choices across" : "choices" }, ...made.map((one) => one.button));
  const mark = (chosen) => {
    for (const { value, button } of made) {
      const pressed = several ? chosen?.includes(value) : chosen === value;
      button.setAttribute("aria-pressed", String(!!pressed));
    }
  };
  const key = (digit) => {
    const meant = made.find((one) => one.digit === digit);
    if (meant) press(meant.value);
    return !!meant;
  };
  return { element, show: mark, key, focus: () => null };
}

const digitOf = (n) => (n < 10 ? String(n) : "");

function likert(item, report) {
  const steps = item.anchors.map((text, n) => ({ value: item.first + n, text, digit: digitOf(item.first + n) }));
  return buttons(steps, {}, report);
}

function yesNo(item, report) {
  const both = [{ value: true, text: "Yes", digit: "1" }, { value: false, text: "No", digit: "2" }];
  return buttons(both, { across: true }, report);
}

function choice(item, report) {
  const options = item.options.map(({ id, text }, n) => ({ value: id, text, digit: digitOf(n + 1) }));
  return buttons(options, { across: item.of_images && options.length <= 3 }, report);
}

function multiChoice(item, report) {
  let now = null;
  const options = item.options.map(({ id, text }, n) => ({ value: id, text, digit: digitOf(n + 1) }));
  const several = buttons(options, { several: true }, (id) => {
    const chosen = now || [];
    report(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  });
  const none = make("button", { type: "button", "aria-pressed": "false", onclick: () => report([]) }, "None of these");
  const element = make("div", {}, several.element, make("div", { class: "aside" }, none));
  const show = (value) => {
    now = Array.isArray(value) ? value : null;
    several.show(now || []);
    none.setAttribute("aria-pressed", String(now !== null && now.length === 0));
  };
  return { ...several, element, show };
}

// A visual analogue scale: no handle before the reader has set one, and no figure that could be aimed at.
function vas(item, report) {
  const handle = make("div", { class: "handle", hidden: true });
  const track = make("div", {
    class: "track", tabIndex: 0, role: "slider", "aria-valuemin": "0", "aria-valuemax": "100",
    "aria-label": `${item.text} From ${item.ends[0] || "0"} to ${item.ends[1] || "100"}`, "aria-valuetext": "not set",
  }, handle);
  // Wider than the track, so that both ends can be hit.
  const rail = make("div", { class: "rail" }, track);
  const ends = make("div", { class: "ends" }, make("span", {}, item.ends[0] || "0"), make("span", {}, item.ends[1] || "100"));
  let now = null;
  let held = false;
  const place = (value) => {
    now = value;
    handle.hidden = value === null;
    if (value === null) track.removeAttribute("aria-valuenow");
    else { handle.style.left = `${value}%`; track.setAttribute("aria-valuenow", String(value)); }
    track.setAttribute("aria-valuetext", value === null ? "not set" : `${Math.round(value)} of 100`);
  };
  const at = (event) => {
    const box = track.getBoundingClientRect();
    return Math.round(1000 * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width))) / 10;
  };
  rail.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held = true;
    rail.setPointerCapture(event.pointerId);
    place(at(event));
  });
  rail.addEventListener("pointermove", (event) => { if (held) place(at(event)); });
  rail.addEventListener("pointerup", () => { if (held) { held = false; report(now); } });
  rail.addEventListener("pointercancel", () => { held = false; });
  track.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const end = { Home: 0, End: 100 }[event.key];
    if (end === undefined && (step === undefined || now === null)) return;
    event.preventDefault();
    event.stopPropagation();
    report(end ?? Math.max(0, Math.min(100, now + step)));
  });
  const show = (value) => { if (!held) place(typeof value === "number" ? value : null); };
  const key = (digit) => { report(10 * Number(digit)); return true; };
  return { element: make("div", { class: "vas" }, rail, ends), show, key, focus: () => track };
}

// Best first: click or digit takes the next place; drag, or the arrows beside a line, change places.
function ranking(item, report) {
  const list = make("div", { role: "list" });
  const words = Object.fromEntries(item.options.map(({ id, text }) => [id, text]));
  let order = [];
  let stored = null;
  let held = null;
  const tell = () => { if (order.length === item.options.length) report([...order]); else { if (stored) report(null); draw(); } };
  const add = (id) => { if (!order.includes(id)) { order.push(id); tell(); } };
  const move = (id, to) => {
    order = order.filter((one) => one !== id);
    order.splice(Math.max(0, Math.min(order.length, to)), 0, id);
    tell();
  };
  const line = (id, place) => {
    const small = (text, label, act) => make("button", { type: "button", "aria-label": `${words[id]}: ${label}`, onclick: (event) => { event.stopPropagation(); act(); } }, text);
    const row = make("div", { class: place ? "rank" : "rank unranked", role: "listitem", tabIndex: 0 },
      make("span", { class: "digit" }, place ? `${place}.` : "–"), make("span", { class: "words" }, words[id]),
      ...(place ? [small("▲", "one place better", () => move(id, place - 2)), small("▼", "one place worse", () => move(id, place))] : []));
    row.dataset.option = id;
    row.addEventListener("keydown", (event) => {
      const step = { ArrowUp: place - 2, ArrowDown: place }[event.key];
      if (event.key === " " && !place) add(id);
      else if (place && step !== undefined) move(id, step);
      else return;
      event.preventDefault();
      event.stopPropagation();
      list.querySelector(`[data-option="${id}"]`)?.focus();
    });
    row.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button")) return;
      held = { id, from: event.clientY, dragged: false };
      row.setPointerCapture(event.pointerId);
      row.classList.add("held");
    });
    row.addEventListener("pointermove", (event) => { if (held && Math.abs(event.clientY - held.from) > 5) held.dragged = true; });
    row.addEventListener("pointerup", (event) => {
      const { dragged } = held || {};
      held = null;
      row.classList.remove("held");
      if (!dragged) { if (!place) add(id); return; }
      const others = [...list.querySelectorAll(".rank:not(.unranked)")].filter((one) => one !== row);
      move(id, others.filter((one) => { const box = one.getBoundingClientRect(); return (box.top + box.bottom) / 2 < event.clientY; }).length);
    });
    return row;
  };
  const draw = () => {
    const left = item.options.map((option) => option.id).filter((id) => !order.includes(id));
    list.replaceChildren(...order.map((id, n) => line(id, n + 1)), ...left.map((id) => line(id, 0)));
  };
  const show = (value) => {
    const isNew = JSON.stringify(value) !== JSON.stringify(stored);
    stored = value;
    if (Array.isArray(value)) order = [...value];
    else if (isNew && value !== null) order = [];
    if (!held) draw();
  };
  const again = make("button", { type: "button", onclick: () => { order = []; report(null); draw(); } }, "Start over");
  const hint = make("div", { class: "hint" }, "Best first: choose in order, or drag.");
  const key = (digit) => { const option = item.options[Number(digit) - 1]; if (option) add(option.id); return !!option; };
  return { element: make("div", {}, hint, list, make("div", { class: "aside" }, again)), show, key, focus: () => list.firstElementChild };
}

// Typed answers go out when the reader stops typing, and at the latest on leaving the field.
function typed(field, wait, read, report) {
  let timer = 0;
  let sent = "";
  const commit = () => {
    clearTimeout(timer);
    timer = 0;
    if (field.value !== sent) { sent = field.value; report(read(field.value)); }
  };
  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(commit, wait); });
  field.addEventListener("blur", commit);
  const show = (text) => {
    const typing = document.activeElement === field && (timer || field.value !== sent);
    if (!typing && field.value.trim() !== text.trim()) field.value = text;
    if (!typing) sent = field.value;
  };
  return { commit, show };
}

function number(item, report) {
  const field = make("input", { type: "text", inputMode: "decimal", "aria-label": item.text });
  const read = (text) => {
    const plain = text.trim().replace(",", ".");
    if (!plain) return null;
    return Number.isFinite(Number(plain)) ? Number(plain) : text.trim();
  };
  const { commit, show } = typed(field, 900, read, report);
  const range = [item.minimum === null ? "" : `from ${item.minimum}`, item.maximum === null ? "" : `to ${item.maximum}`].join(" ").trim();
  const element = make("div", { class: "number" }, field, make("span", {}, item.unit), make("span", { class: "mark" }, range));
  return { element, show: (value) => show(value === null || typeof value === "object" ? "" : String(value)), key: () => false, focus: () => field, commit };
}

function text(item, report) {
  const field = make("textarea", { rows: 2, maxLength: 20000, "aria-label": item.text });
  const { commit, show } = typed(field, 900, (value) => (value.trim() ? value : null), report);
  return { element: field, show: (value) => show(typeof value === "string" ? value : ""), key: () => false, focus: () => field, commit };
}

function marks(item, report, panes) {
  const outline = item.type === "roi";
  let now = [];
  const list = make("ul", { class: "marks" });
  const idle = outline ? "Draw an outline" : "Mark on the image";
  const start = make("button", { type: "button", class: "start" }, idle);
  start.addEventListener("click", () => {
    if (start.classList.contains("busy")) { panes.stopMarking(); return; }
    panes.startMarking(item.type, (mark) => report([...now, mark]), () => {
      start.classList.remove("busy");
      start.textContent = idle;
    });
    start.classList.add("busy");
    start.textContent = outline ? "Click along the edge; Enter closes it. Done" : "Click on the image. Done";
  });
  const show = (value) => {
    now = Array.isArray(value) ? value : [];
    list.replaceChildren(...now.map((mark, n) => {
      const point = mark.point || mark.points[0];
      const words = `${n + 1}: ${panes.labelOf(mark.image)}, slice ${panes.sliceOf(mark.image, point)}`;
      const rest = now.filter((_, other) => other !== n);
      return make("li", {},
        make("button", { type: "button", class: "words", title: "Show it", onclick: () => panes.goTo(mark.image, point) }, words),
        make("button", { type: "button", class: "remove", "aria-label": `Remove mark ${n + 1}`, onclick: () => report(rest.length ? rest : null) }, "×"));
    }));
  };
  return { element: make("div", {}, start, list), show, key: (digit) => { if (digit === "1") start.click(); return digit === "1"; }, focus: () => start };
}

const WIDGETS = { likert, yes_no: yesNo, choice, multi_choice: multiChoice, vas, ranking, number, text, place: marks, roi: marks };

export function widget(item, report, panes) {
  return WIDGETS[item.type](item, report, panes);
}
