// Talking to the server: requests, refusals, and the outbox from which an answer goes only once the server has kept it.

export class Refused extends Error {
  constructor(kind, text, state = null) {
    super(text);
    this.kind = kind;
    this.state = state;
  }
}

// What may go away by itself; anything else is said once and not tried again.
const PASSING = new Set(["offline", "run", "fault", "often"]);
const UNREACHABLE = "The server cannot be reached.";

export class Server {
  constructor() {
    this.window = "";
    // Whose page this is. All tabs of a browser share the cookie, which is that of the link that was opened last.
    this.reader = sessionStorage.getItem("reader") || "";
  }

  // This page is that reader's, also when it is loaded again; "": of whoever opened a link last.
  belongsTo(reader) {
    this.reader = reader;
    sessionStorage.setItem("reader", reader);
  }

  async post(path, body = {}) {
    const answer = await this.#ask(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...this.#own() },
      body: JSON.stringify(body),
    });
    const made = await answer.json().catch(() => null);
    if (made === null) throw new Refused("offline", UNREACHABLE);
    if (!answer.ok) throw new Refused(made.kind || "fault", made.text || UNREACHABLE, made.state || null);
    return made;
  }

  async images(address) {
    const answer = await this.#ask(`images/${address}`, { headers: this.#own() });
    if (!answer.ok) {
      const made = await answer.json().catch(() => ({}));
      throw new Refused(made.kind || "fault", made.text || UNREACHABLE);
    }
    return answer.arrayBuffer().catch(() => { throw new Refused("offline", UNREACHABLE); });
  }

  // The page goes away; the answer to this is not awaited.
  leave() {
    if (!this.window) return;
    navigator.sendBeacon("leave", new Blob([JSON.stringify({ window: this.window })], { type: "application/json" }));
  }

  #own() {
    return { "X-Window": this.window, ...(this.reader ? { "X-Reader": this.reader } : {}) };
  }

  async #ask(path, options) {
    try {
      const limit = AbortSignal.timeout(30000);
      return await fetch(path, { cache: "no-store", credentials: "same-origin", signal: limit, ...options });
    } catch {
      throw new Refused("offline", UNREACHABLE);
    }
  }
}

// Answers on their way. They survive a reload in the tab's own storage, and are sent in the order they were given.
export class Outbox {
  // heard(state): the server kept an answer. trouble(refusal or null): to be shown. rejected(entry, text): no answer
  // to that question. stopped(refusal): nothing can be sent from this window any more.
  constructor(server, name, { heard, trouble, rejected, stopped }) {
    Object.assign(this, { server, heard, trouble, rejected, stopped });
    this.store = `outbox ${name}`;
    this.entries = JSON.parse(sessionStorage.getItem(this.store) || "[]");
    this.running = null;
    this.wait = 0;
    this.wake = () => {};
    this.waiting = [];
  }

  put(trial, key, value, view) {
    this.entries = this.entries.filter((entry) => entry.trial !== trial || entry.key !== key);
    this.entries.push({ trial, key, value, view });
    this.#remember();
    this.wake();
    return this.flush();
  }

  pending(trial, key) {
    return this.entries.find((entry) => entry.trial === trial && entry.key === key);
  }

  // Whether everything was kept or rejected; false as soon as that does not work at present.
  settle() {
    if (!this.entries.length) return Promise.resolve(true);
    return new Promise((done) => { this.waiting.push(done); this.wake(); this.flush(); });
  }

  // Resolves once everything was kept or rejected, which may take as long as the disk is full.
  flush() {
    this.running ??= this.#run().finally(() => { this.running = null; });
    return this.running;
  }

  async #run() {
    while (this.entries.length) {
      const entry = this.entries[0];
      try {
        const { state } = await this.server.post("answer", entry);
        this.#drop(entry);
        this.wait = 0;
        this.trouble(null);
        this.heard(state);
      } catch (refusal) {
        if (!(refusal instanceof Refused)) throw refusal;
        if (PASSING.has(refusal.kind)) {
          this.trouble(refusal);
          this.#settled(false);
          this.wait = Math.min(10, this.wait ? this.wait * 2 : 1);
          await new Promise((go) => { this.wake = go; setTimeout(go, 1000 * this.wait); });
        } else if (refusal.kind === "input" || refusal.kind === "case") {
          this.#drop(entry);
          this.rejected(entry, refusal);
        } else if (!(await this.stopped(refusal))) {
          this.#settled(false);
          return;
        }
      }
    }
    this.#settled(true);
  }

  #settled(all) {
    for (const done of this.waiting.splice(0)) done(all);
  }

  #drop(sent) {
    this.entries = this.entries.filter((entry) => entry !== sent);
    this.#remember();
  }

  #remember() {
    sessionStorage.setItem(this.store, JSON.stringify(this.entries));
  }
}
