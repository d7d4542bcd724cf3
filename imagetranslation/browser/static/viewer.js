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
  };

  function typing(target) {
    return target.closest && target.closest("input:not([type=range]), textarea, [contenteditable], .it-own-keys");
  }

  window.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey || typing(event.target)) return;
    const name = names[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!name || !window.trame) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    window.trame.trigger("viewer_key", [name]);
  }, true);
})();
