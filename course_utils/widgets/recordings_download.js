// The page's half of DownloadLink: ask the kernel for the pieces of a file, then save them.

function ask(model, start) {
  return new Promise((done) => {
    const hear = (message, buffers) => {
      model.off("msg:custom", hear);
      done([message.problem, buffers[0]]);
    };
    model.on("msg:custom", hear);
    model.send({ start });
  });
}

function render({ model, el }) {
  const [name, size] = [model.get("name"), model.get("size")];
  const button = document.createElement("button");
  button.type = "button";
  button.className = "jupyter-button";
  button.style.width = "auto";
  const shown = size < 1e6 ? `${Math.ceil(size / 1e3)} kB` : `${(size / 1e6).toFixed(1)} MB`;
  button.textContent = `Download ${name} (${shown})`;
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  status.style.marginLeft = "0.8em";
  el.append(button, status);

  async function fetchAll() {
    const pieces = [];
    for (let start = 0; start < size; start += pieces.at(-1).byteLength) {
      status.textContent = `Fetching: ${Math.round((100 * start) / size)} %`;
      const [problem, piece] = await ask(model, start);
      if (problem) throw new Error(problem);
      pieces.push(piece);
    }
    return new Blob(pieces, { type: "audio/wav" });
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await fetchAll());
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has saved it by then
      status.textContent = "Saved with your downloads.";
    } catch (error) {
      status.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

export default { render };
