// The page's half of AudioInput: a file picker, a Record button, and the way to the kernel.

const PIECE = 2 ** 20; // bytes; Jupyter's server hangs up at messages of more than 10 MB
const LONGEST = 600; // seconds
const DECODED_RATE = 48_000; // Hz; a browser does not tell the rate of what it decodes
const UNTOUCHED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const REFUSED = {
  NotAllowedError:
    "The browser was not allowed to use the microphone. Allow it beside the page's address, or choose a file.",
  NotFoundError: "There is no microphone here. Plug one in, or choose a file.",
  NotReadableError: "Another program holds the microphone. Close it, or choose a file.",
};
const INSECURE =
  "The browser gives the microphone only to pages from https or from localhost. Choose a file instead.";
const PATIENCE = "The kernel takes it when no cell runs; after a restart, run this cell again first.";
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
});`;

/** Make an element with properties, attributes where the name has a dash, and children. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else if (name === "style") made.style.cssText = value;
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Wait for the kernel's next message. */
function answer(model) {
  return new Promise((done) => {
    const hear = (message) => {
      model.off("msg:custom", hear);
      done(message);
    };
    model.on("msg:custom", hear);
  });
}

/** Send a file in pieces; resolves to whether the kernel took it. */
async function deliver(model, file, name, tell) {
  for (let start = 0; start === 0 || start < file.size; start += PIECE) {
    const piece = await file.slice(start, start + PIECE).arrayBuffer();
    tell(`Sending: ${Math.round((100 * start) / (file.size || 1))} %. ${PATIENCE}`);
    const said = answer(model);
    model.send({ name, start, size: file.size }, undefined, [piece]);
    if (!(await said).go_on) return false;
  }
  return true;
}

/** Listen to the microphone as it is; stop() gives what was heard as a WAV file. */
async function listen() {
  if (!navigator.mediaDevices) throw new Error(INSECURE);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: UNTOUCHED });
  const context = new AudioContext();
  const module = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
  const chunks = [];
  const stop = async () => {
    stream.getTracks().forEach((track) => track.stop());
    URL.revokeObjectURL(module);
    if (context.state !== "closed") await context.close();
    return wav(chunks, context.sampleRate);
  };
  try {
    await context.audioWorklet.addModule(module);
    const tap = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
    tap.port.onmessage = ({ data }) => chunks.push(data);
    context.createMediaStreamSource(stream).connect(tap).connect(context.destination);
    await context.resume();
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

/** Write samples, channel beside channel, as a WAV file of 32-bit floats. */
function wav(chunks, rate, channels = 1) {
  const size = 4 * chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, k) => head.setUint8(at + k, letter.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true); // bytes of the format that follows
  head.setUint16(20, 3, true); // floating point
  head.setUint16(22, channels, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, 4 * channels * rate, true); // bytes in a second
  head.setUint16(32, 4 * channels, true); // bytes in a frame
  head.setUint16(34, 32, true); // bits in a sample
  text(36, "data");
  head.setUint32(40, size, true);
  return new Blob([head, ...chunks], { type: "audio/wav" });
}

/** Let the browser decode what the kernel may not be able to, and give it as WAV; or as it was. */
async function decoded(file, name, kinds) {
  if (kinds.some((suffix) => name.toLowerCase().endsWith(suffix))) return [file, name];
  let sound;
  try {
    const context = new OfflineAudioContext(1, 1, DECODED_RATE);
    sound = await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    return [file, name]; // the kernel may have FFmpeg, and otherwise says what is missing
  }
  if (sound.duration > LONGEST) return [file, name]; // the kernel says that it is too long
  const samples = new Float32Array(sound.length * sound.numberOfChannels);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((value, k) => (samples[k * sound.numberOfChannels + channel] = value));
  }
  return [wav([samples], sound.sampleRate, sound.numberOfChannels), `${name}.wav`];
}

function render({ model, el }) {
  const label = model.get("label");
  const picker = element("input", {
    type: "file",
    accept: model.get("suffixes").join(","),
    "aria-label": `${label}: choose a WAV, FLAC, OGG or MP3 file, or another kind of sound`,
  });
  const record = element("button", {
    type: "button",
    className: "jupyter-button",
    textContent: "Record",
    "aria-label": `Record: ${label}, with the microphone`,
  });
  const clock = element("span", { role: "timer" });
  const status = element("div", { role: "status" });
  const alert = element("div", { role: "alert" });
  const player = element("div");
  const controls = element("div", { style: "display:flex;flex-wrap:wrap;gap:0.8em;align-items:center" });
  controls.append(picker, element("span", { textContent: "or" }), record, clock);
  el.append(
    element(
      "fieldset",
      { style: "border:1px solid rgba(128,128,128,0.4);border-radius:6px;padding:0.5em 0.8em;line-height:1.5" },
      element("legend", { textContent: label, style: "font-weight:600;padding:0 0.4em" }),
      controls,
      status,
      alert,
      player,
      element("div", {
        textContent: "It goes to the machine that runs this notebook, and nowhere else. Ten minutes at most.",
        style: "font-size:85%;opacity:0.8",
      }),
    ),
  );

  const complain = (text) => {
    alert.textContent = text;
    alert.style.cssText = text ? "border-left:4px solid currentColor;padding:0.3em 0.8em" : "";
  };
  const show = () => {
    status.textContent = model.get("status");
    complain(model.get("problem"));
  };
  model.on("change:status", show);
  model.on("change:problem", show);
  show();

  let stop = null; // while recording: how to end it
  let ticking = null;

  async function give(file, name) {
    picker.disabled = record.disabled = true;
    complain("");
    const sent = await decoded(file, name, model.get("decoded"));
    const taken = await deliver(model, ...sent, (text) => (status.textContent = text));
    picker.disabled = record.disabled = false;
    show();
    if (!taken) return;
    const source = URL.createObjectURL(file);
    const sound = element("audio", { controls: true, src: source, "aria-label": `${label}: ${name}` });
    sound.onerror = () => sound.replaceWith("It is taken; only this browser cannot play its kind.");
    URL.revokeObjectURL(player.firstChild?.src);
    player.replaceChildren(sound);
  }

  async function start() {
    complain("");
    record.disabled = picker.disabled = true;
    try {
      stop = await listen();
    } catch (error) {
      picker.disabled = false;
      return complain(REFUSED[error.name] ?? error.message);
    } finally {
      record.disabled = false;
    }
    const began = Date.now();
    record.textContent = "Stop";
    record.setAttribute("aria-label", `Stop recording: ${label}`);
    status.textContent = "Recording. Press Stop when you are done.";
    ticking = setInterval(() => {
      const seconds = (Date.now() - began) / 1000;
      clock.textContent = `${seconds.toFixed(1)} s`;
      if (seconds > LONGEST - 1) finish();
    }, 100);
  }

  async function finish() {
    const end = stop;
    stop = null;
    clearInterval(ticking);
    clock.textContent = "";
    record.textContent = "Record";
    record.setAttribute("aria-label", `Record: ${label}, with the microphone`);
    await give(await end(), "microphone.wav");
  }

  record.addEventListener("click", () => (stop ? finish() : start()));
  picker.addEventListener("change", async () => {
    const [file] = picker.files;
    if (!file) return;
    await give(file, file.name);
    picker.value = ""; // the same file can be chosen again
  });
  return () => {
    clearInterval(ticking);
    stop?.();
    model.off("change:status", show);
    model.off("change:problem", show);
  };
}

export default { render };
