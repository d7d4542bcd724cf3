// A reader at work: opens the reading, shows cases, hands answers over. What is an answer is decided by the server.

import { Form } from "./form.js";
import { Panes } from "./panes.js";
import { Pictures } from "./pictures.js";
import { make } from "./questions.js";
import { Outbox, Refused, Server } from "./server.js";

const at = (id) => document.getElementById(id);
const server = new Server();
const pictures = new Pictures(server);
let study = null;
let state = null;
let outbox = null;
let panes = null;
let form = null;
let shown = ""; // address of the images on the screen
let busy = false;
let over = false;
let instructed = false;
let turns = Promise.resolve();
const activity = { last: 0, told: 0, fresh: false, idle: false };
const troubles = new Map(); // what is wrong now, by its cause

// ---- opening ----

async function enter() {
  const token = location.hash.slice(1);
  try {
    if (token) {
      server.belongsTo("");
      await server.post("enter", { token });
      history.replaceState(null, "", location.pathname);
    }
    await open(false);
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    stop(refusal);
  }
}

async function open(takeOver) {
  const made = await server.post("open", { previous: sessionStorage.getItem("window") || "", take_over: takeOver });
  server.window = made.window;
  sessionStorage.setItem("window", made.window);
  server.belongsTo(made.study.reader);
  pictures.forget();
  const first = study === null;
  study = made.study;
  over = false;
  if (first) begin();
  closeOverlay();
  take(made.state);
  if (!instructed && state.trial) {
    instructed = true;
    if (study.instructions && state.progress.done === 0) help("Begin");
  }
  outbox.flush();
}

function begin() {
  document.title = study.title;
  at("title").textContent = `${study.title} · ${study.reader}`;
  at("back").hidden = !study.allow_back;
  panes = new Panes(at("panes"), study, { changed: showSlice, active });
  form = new Form(at("form"), panes, give);
  outbox = new Outbox(server, study.reader, {
    heard: take,
    trouble: (refusal) => trouble("answer", refusal && `Not saved yet: ${refusal.message} Your answer stays here and is sent again.`),
    rejected: (entry, refusal) => {
      if (refusal.kind === "input" && entry.trial === state.trial) form.fault(entry.key, refusal.message);
      else trouble("other", "An answer to an earlier case could not be saved. Go back to it and look.");
      refresh();
    },
    stopped: recovered,
  });
  setInterval(beat, 1000 * study.beat_s);
  setInterval(watchIdle, 1000);
  active();
}

// A window that was not heard of for a while opens the reading again by itself; true once it could.
async function recovered(refusal) {
  if (refusal.kind === "closed") {
    try {
      await open(false);
      return true;
    } catch (other) {
      if (!(other instanceof Refused)) throw other;
      refusal = other;
    }
  }
  stop(refusal);
  return false;
}

// ---- the case on the screen ----

function take(made) {
  state = made;
  refresh();
}

function refresh() {
  const { progress } = state;
  at("count").textContent = state.trial ? `${progress.number} of ${progress.total}` : `${progress.done} of ${progress.total} read`;
  at("done").style.width = `${(100 * progress.done) / progress.total}%`;
  const tags = [state.training ? "Training case" : "", progress.sessions > 1 ? `Session ${progress.session} of ${progress.sessions}` : ""];
  at("tags").textContent = tags.filter(Boolean).join(" · ");
  at("back").disabled = !state.can_go_back;
  at("pause").disabled = at("save").disabled = !state.trial;
  trouble("warnings", state.warnings.join(" "), true);
  if (!state.trial) { end(); return; }
  const values = { ...state.answers };
  const pending = new Set();
  for (const entry of outbox.entries) {
    if (entry.trial === state.trial) { values[entry.key] = entry.value; pending.add(entry.key); }
  }
  showImages();
  const fresh = form.trial !== state.trial;
  at("form").dataset.trial = state.trial;
  form.show(state.trial, state.form, values, pending);
  if (fresh) at("skip").hidden = true;
  if (fresh && at("overlay").hidden) form.activate(form.firstOpen());
  at("missing").textContent = "";
  at("next").classList.toggle("waiting", form.firstOpen(true) !== "");
  if (state.paused) pausedOverlay();
  panes.root.classList.toggle("covered", state.paused);
}

async function showImages() {
  const { images, upcoming, trial } = state;
  if (shown === images) return;
  shown = images;
  const wanted = pictures.get(images);
  // The images of one case never stand beside the questions of another.
  if (!wanted.ready) panes.clear();
  const late = setTimeout(() => trouble("images", "The images are being fetched.", true), 300);
  try {
    const made = await wanted;
    if (shown !== images) return;
    clearTimeout(late);
    panes.show(made);
    showSlice();
    refresh();
    panes.root.dataset.trial = trial;
    trouble("images", "");
    at("skip").hidden = true;
    if (upcoming) pictures.get(upcoming).catch(() => {}); // asked for again when it is needed
  } catch (refusal) {
    clearTimeout(late);
    if (!(refusal instanceof Refused)) throw refusal;
    if (shown !== images) return;
    panes.clear();
    delete panes.root.dataset.trial;
    shown = "";
    if (["window", "link"].includes(refusal.kind)) { stop(refusal); return; }
    trouble("images", refusal.message);
    // Without its images a case cannot be judged; what is amiss on the way may pass.
    at("skip").hidden = refusal.kind !== "input";
    if (refusal.kind === "closed") await recovered(refusal);
    else setTimeout(() => { if (!shown && state.trial && !over) showImages(); }, 4000);
  }
}

function showSlice() {
  if (!panes) return;
  showPlanes();
  at("slice").max = panes.slices;
  at("slice").value = panes.slice + 1;
  at("slicetext").textContent = panes.slices > 1 ? `Slice ${panes.slice + 1} of ${panes.slices}` : "";
}

// Which plane is shown, and the others to choose from; nothing where the images have but one.
function showPlanes() {
  const { planes, plane } = panes;
  at("slicebar").hidden = panes.slices < 2 && planes.length < 2;
  const drawn = [...at("planes").children].map((button) => button.value);
  if (drawn.join() !== (planes.length > 1 ? planes.join() : "")) {
    const buttons = planes.length > 1 ? planes : [];
    at("planes").replaceChildren(...buttons.map((name) => make("button", {
      type: "button", value: name, title: "Show this plane (V: next)", onclick: () => turn(name),
    }, name[0].toUpperCase() + name.slice(1))));
  }
  for (const button of at("planes").children) button.setAttribute("aria-pressed", String(button.value === plane));
}

function turn(name) {
  active();
  panes.turn(name);
  refresh(); // marks say on which slice they are
}

function nextPlane() {
  const { planes, plane } = panes;
  if (planes.length > 1) turn(planes[(planes.indexOf(plane) + 1) % planes.length]);
}

function give(key, value) {
  active();
  if (!state.trial) return;
  outbox.put(state.trial, key, value, panes.view());
  refresh();
}

// ---- going on ----

async function act(path) {
  if (busy || over) return;
  busy = true;
  at("next").disabled = true;
  try {
    form.commit();
    const { trial } = state;
    if (!(await outbox.settle()) || over || state.trial !== trial) return;
    take((await server.post(path, { trial })).state);
    trouble("answer", "");
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    if (refusal.state) take(refusal.state);
    else if (refusal.kind === "input") at("missing").textContent = refusal.message;
    else if (["window", "link", "closed"].includes(refusal.kind)) await recovered(refusal);
    else trouble("answer", `${refusal.message} Nothing is lost; try again.`);
  } finally {
    busy = false;
    at("next").disabled = false;
  }
}

async function next() {
  active();
  form.commit();
  if (!(await outbox.settle())) return;
  const open = form.firstOpen(true);
  if (open) {
    form.activate(open);
    at("missing").textContent = "This question is not answered yet.";
    return;
  }
  await act("next");
}

async function save() {
  await act("save");
  if (!over) { trouble("saved", "Saved.", true); setTimeout(() => trouble("saved", ""), 2000); }
}

// Enter: the next question that needs an answer, and the next case once none does.
async function goOn() {
  form.commit();
  if (!(await outbox.settle())) return;
  const open = form.nextOpen();
  if (open) form.activate(open);
  else await next();
}

// ---- time ----

function active() {
  const now = performance.now();
  const wasIdle = activity.idle;
  activity.last = now;
  activity.fresh = true;
  activity.idle = false;
  if (wasIdle) trouble("idle", "");
  if (study && now - activity.told > 1000 * study.beat_s) beat();
}

function watchIdle() {
  if (!state?.trial || state.paused || over || activity.idle) return;
  if (performance.now() - activity.last > 1000 * study.idle_after_s) {
    activity.idle = true;
    trouble("idle", "Nothing has happened for a while, so the clock stands still. Move the mouse to go on.", true);
  }
}

async function beat() {
  if (!server.window || over) return;
  const fresh = activity.fresh;
  activity.fresh = false;
  activity.told = performance.now();
  try {
    await server.post("beat", { active: fresh });
    trouble("connection", "");
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    activity.fresh ||= fresh;
    if (["window", "link", "closed"].includes(refusal.kind)) await recovered(refusal);
    else if (refusal.kind === "offline") trouble("connection", "The connection to the server is lost. Answers stay here until it is back.");
  }
}

// ---- messages ----

// calm: nothing the reader must act on.
function trouble(cause, text, calm = false) {
  if (text) troubles.set(cause, { text, calm });
  else troubles.delete(cause);
  const grave = [...troubles.values()].filter((one) => !one.calm);
  const told = grave.length ? grave : [...troubles.values()];
  at("message").hidden = told.length === 0;
  at("message").classList.toggle("calm", grave.length === 0);
  const words = told.map((one) => one.text).join(" ");
  if (at("message").textContent !== words) at("message").textContent = words;
}

function overlay(kind, title, content, choices) {
  at("overlay").dataset.kind = kind;
  at("overlaytitle").textContent = title;
  at("overlaytext").replaceChildren(...content);
  at("overlaybuttons").replaceChildren(...choices.map(([text, act]) => make("button", { type: "button", onclick: act }, text)));
  at("overlay").hidden = false;
  at("overlaybuttons").firstElementChild?.focus();
}

function closeOverlay() {
  at("overlay").hidden = true;
  delete at("overlay").dataset.kind;
}

const paragraph = (text) => make("p", {}, text);
const KEYS = [
  ["1 to 9", "answer the marked question"], ["Enter", "next open question, then next case"],
  ["← →", "question before, question after"], ["↑ ↓, wheel", "leaf through the slices (Page ↑ ↓: five at once)"],
  ["Drag", "window: sideways wider, down brighter"], ["Right drag, Ctrl + wheel", "zoom; with Shift + drag move"],
  ["V", "next plane (axial, sagittal, coronal), where the images have several"], ["R", "undo zoom, position and window"], ["P", "pause"],
];

function help(close = "Close") {
  const table = make("table", {}, ...KEYS.map(([key, what]) => make("tr", {}, make("td", {}, key), make("td", {}, what))));
  const words = study.instructions ? [paragraph(study.instructions)] : [];
  overlay("help", study.title, [...words, table, paragraph(`${study.text}.`)], [[close, () => { closeOverlay(); form.activate(form.firstOpen()); active(); }]]);
}

function pausedOverlay() {
  if (at("overlay").dataset.kind === "paused") return;
  overlay("paused", "Paused", [paragraph("The clock stands still and the images are hidden. Everything you answered is saved.")],
    [["Go on", async () => { await act("resume"); if (!state.paused) { closeOverlay(); form.activate(form.firstOpen()); } }]]);
}

function end() {
  panes.clear();
  delete panes.root.dataset.trial;
  form.show("", [], {}, new Set());
  shown = "";
  at("slicebar").hidden = true;
  at("planes").replaceChildren();
  const choices = [...(state.more ? [["Go on", () => reopen(false)]] : []), ...(state.can_go_back ? [["Look at the last case again", () => act("back").then(() => { if (state.trial) closeOverlay(); })]] : [])];
  overlay("ended", state.more ? "End of the session" : "The end", [paragraph(state.ended)], choices);
}

async function reopen(takeOver) {
  try {
    await open(takeOver);
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    stop(refusal);
  }
}

// Nothing can be done from this window as it is.
function stop(refusal) {
  over = true;
  server.window = "";
  panes?.clear();
  shown = "";
  const again = ["Try again", () => reopen(false)];
  const choices = { occupied: [["Take over here", () => reopen(true)], again], window: [["Take over here", () => reopen(true)]], link: [] }[refusal.kind] || [again];
  const title = { occupied: "Open elsewhere", window: "Open elsewhere", link: "No access", often: "Please wait" }[refusal.kind] || "The reading cannot go on";
  overlay("stopped", title, [paragraph(refusal.message)], choices);
}

// ---- keys ----

const LEAFING = { ArrowUp: -1, ArrowDown: 1, PageUp: -5, PageDown: 5 };

function pressed(event) {
  active();
  if (!form || event.altKey || event.ctrlKey || event.metaKey) return;
  if (!at("overlay").hidden) {
    if (event.key === "Escape" && at("overlay").dataset.kind === "help") closeOverlay();
    return;
  }
  const { key, target } = event;
  if (panes.markingKey(key)) { event.preventDefault(); return; }
  const typing = target.matches("textarea, input[type=text]");
  if (typing && (key === "Escape")) { target.blur(); return; }
  if (typing && !(key === "Enter" && target.tagName === "INPUT")) return;
  if (target.id === "slice" && key.startsWith("Arrow")) return;
  if (handled(key, target)) event.preventDefault();
}

// Keys that answer or go on take effect one after another: the answer to one may decide what is asked next.
function inTurn(act) {
  turns = turns.then(act).catch((error) => { console.error(error); });
  return true;
}

function handled(key, target) {
  if (key === "Enter") return !target.closest("#tools") && inTurn(goOn);
  if (/^[0-9]$/.test(key)) return inTurn(() => form.digit(key));
  if (key in LEAFING) { panes.go(panes.slice + LEAFING[key]); return true; }
  if (key === "ArrowLeft" || key === "ArrowRight") { form.step(key === "ArrowLeft" ? -1 : 1); return true; }
  if (form.takesLetter(key)) return inTurn(() => form.letter(key));
  const command = { r: () => panes.reset(), v: nextPlane, p: () => act("pause"), "?": () => help() }[key];
  command?.();
  return !!command;
}

at("next").addEventListener("click", next);
at("skip").addEventListener("click", () => act("skip"));
at("back").addEventListener("click", () => act("back"));
at("save").addEventListener("click", save);
at("pause").addEventListener("click", () => act("pause"));
at("fit").addEventListener("click", () => panes?.reset());
at("help").addEventListener("click", () => help());
at("slice").addEventListener("input", () => panes.go(Number(at("slice").value) - 1));
document.addEventListener("keydown", pressed);
for (const name of ["pointermove", "pointerdown", "wheel"]) document.addEventListener(name, active, { passive: true });
// Another link put into the address bar of this tab loads nothing by itself.
window.addEventListener("hashchange", () => { if (location.hash) location.reload(); });
window.addEventListener("pagehide", () => { form?.commit(); server.leave(); });
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
enter();
