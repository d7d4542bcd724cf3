// Files to and from the radiomics panel, over the page's own connection: nothing is asked of any other address.
(function () {
  const MOST_BYTES = 512 * 1024 * 1024;

  function say(sentence) {
    window.trame.state.set("error", sentence);
    window.trame.state.set("error_shown", true);
  }

  async function send(input) {
    const file = input.files[0];
    const kind = input.dataset.itSend;
    input.value = "";
    if (!file) return;
    if (file.size > MOST_BYTES) return say(`${file.name} is larger than 512 MB; use the command line for it.`);
    const content = await file.arrayBuffer();
    await window.trame.trigger("radiomics_read", [kind, file.name, content]);
  }

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  async function bring(what) {
    const file = await window.trame.trigger("radiomics_file", [what]);
    if (!file) return;
    if (what === "clipboard") {
      await copy(file.content);
      window.trame.state.set("rx_status", "Copied.");
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file.content], { type: file.type }));
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  document.addEventListener("change", function (event) {
    if (event.target.dataset && event.target.dataset.itSend) send(event.target);
  });
  // Before the menu, which stops clicks from going further.
  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("[data-it-file]");
    if (button) bring(button.dataset.itFile);
  }, true);
})();
