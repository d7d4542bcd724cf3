// The client takes the secret out of the address as soon as it has read it. Put back, the page can be loaded again.
(function () {
  const secret = window.trame && window.trame.state.get("page_secret");
  if (!secret) return;
  const address = new URL(window.location);
  address.searchParams.set("secret", secret);
  window.history.replaceState({}, document.title, address);
})();

// Keys of the viewer, caught before the picture and the sliders see them, and sent to the server by name.
(function () {
  const names = {
    ArrowUp: "next", ArrowRight: "next", PageUp: "next5", Home: "last",
    ArrowDown: "previous", ArrowLeft: "previous", PageDown: "previous5", End: "first",
    " ": "swap", s: "swap", 1: "axial", 2: "sagittal", 3: "coronal",
    b: "side-by-side", f: "fade", c: "checkerboard", d: "difference", u: "uncertainty", r: "reset", n: "case+", p: "case-", "?": "help",
    m: "measure", q: "tool-pointer", w: "tool-brush", e: "tool-eraser", o: "tool-outline", x: "tool-scissors",
    "[": "brush-", "]": "brush+", Enter: "compare",
  };
  const withControl = { z: "undo", y: "redo" };

  function typing(target) {
    return target.closest && target.closest("input:not([type=range]), textarea, [contenteditable], .it-own-keys");
  }

  window.addEventListener("keydown", function (event) {
    if (event.altKey || typing(event.target)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const control = event.ctrlKey || event.metaKey;
    const name = control ? (key === "z" && event.shiftKey ? "redo" : withControl[key]) : names[key];
    // A long table scrolls by its own keys.
    if (/^(Arrow|Page|Home|End)/.test(key) && event.target.closest && event.target.closest(".it-table")) return;
    // Enter presses the button that has the focus.
    if (key === "Enter" && event.target.closest && event.target.closest("button, a, [role=button]")) return;
    if (!name || !window.trame) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    window.trame.trigger("viewer_key", [name]);
  }, true);
})();
