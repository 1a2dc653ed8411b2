// One player for a row of clips: one transport, one position, and a switch while it plays.
//
// The plain row of audio elements inside <before-after> holds sound, names and pictures, and stands
// as it is where no script runs. Clips are decoded at their own rate, started together, and heard
// one at a time: a switch is a cross-fade between clips that all run on at the same moment.

const NAME = "before-after";
const FADE = 0.01; // seconds of a cross-fade
const LEAD = 0.03; // seconds: what is planned for this very moment would begin in mid-fade
const SHORTEST = 0.05; // seconds of a loop
const RATES = [8000, 96000]; // Hz that every browser can run at

const STYLE = `
:host { display: block; margin: 0.3em 0; max-width: 720px; line-height: 1.4; }
.bar { display: flex; flex-wrap: wrap; gap: 0.4em; align-items: center; margin-bottom: 0.4em; }
button { font: inherit; color: inherit; background: rgba(128, 128, 128, 0.12); cursor: pointer;
  border: 1px solid rgba(128, 128, 128, 0.55); border-radius: 6px; padding: 0.25em 0.7em; min-height: 2.2em; }
button:hover { background: rgba(128, 128, 128, 0.28); }
button[aria-pressed="true"] { font-weight: 700; box-shadow: inset 0 0 0 2px currentColor; }
button small { font-weight: 400; opacity: 0.8; }
.clips small:last-child:not(:first-child) { display: block; }
.play { min-width: 5.5em; }
.strip { position: relative; height: 64px; overflow: hidden; cursor: pointer; touch-action: pan-y;
  border-radius: 4px; background: rgba(128, 128, 128, 0.22); user-select: none; -webkit-user-select: none; }
.strip.bare { height: 22px; }
.strip img { width: 100%; height: 100%; object-fit: fill; display: block; pointer-events: none; }
.region { position: absolute; top: 0; bottom: 0; border: solid #fff; border-width: 0 2px;
  background: rgba(255, 255, 255, 0.25); box-shadow: 0 0 0 1px rgba(0, 0, 0, 0.7); box-sizing: border-box; }
.head { position: absolute; top: 0; bottom: 0; left: 0; width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 0 1px #000; }
:focus-visible { outline: 3px solid #4a90d9; outline-offset: 2px; }
.under { display: flex; flex-wrap: wrap; gap: 0 1.2em; font-size: 85%; margin-top: 0.3em; }
.time { font-variant-numeric: tabular-nums; }
.note { opacity: 0.8; }
[hidden] { display: none !important; }`;

const INSIDE = `<style>${STYLE}</style>
<div class="bar"><button type="button" class="play"></button>
<button type="button" class="loop" title="Key L. Drag over the picture to repeat a part of it.">Loop</button>
<button type="button" class="blind" title="Hide which clip is which, and vote">Blind</button>
<button type="button" class="vote">I prefer this one</button><span class="time"></span></div>
<div class="bar clips" role="group" aria-label="Clips: choose which one is heard"></div>
<div class="strip" role="slider" tabindex="0" aria-label="Position" aria-valuemin="0">
<img alt=""><div class="region" hidden></div><div class="head"></div></div>
<div class="under"><span class="said" role="status"></span><span class="note"></span></div>`;

/** Let a gain go from one value to another, in a straight line: the clips are nearly the same. */
function fade(gain, from, to, time) {
  gain.setValueAtTime(from, time);
  gain.linearRampToValueAtTime(to, time + FADE);
}

/** Copy a part of a clip so that it can be repeated: its end fades into what comes before it. */
function looped(context, buffer, [start, end]) {
  const rate = buffer.sampleRate;
  const first = Math.round(start * rate);
  const length = Math.round(end * rate) - first;
  const seam = Math.min(Math.round(FADE * rate), length >> 1);
  const copy = context.createBuffer(buffer.numberOfChannels, length, rate);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const from = buffer.getChannelData(channel);
    const to = copy.getChannelData(channel);
    to.set(from.subarray(first, first + length));
    for (let k = 0; k < seam; k++) {
      const share = (k + 1) / (seam + 1);
      const before = first - seam + k;
      to[length - seam + k] *= 1 - share;
      if (first >= seam) to[length - seam + k] += share * from[before];
      else to[k] *= share; // nothing comes before the beginning: out to silence, and in again
    }
  }
  return copy;
}

function shuffled(numbers) {
  const dice = new Map(numbers.map((number) => [number, Math.random()]));
  return [...numbers].sort((a, b) => dice.get(a) - dice.get(b));
}

class BeforeAfter extends HTMLElement {
  static contexts = new Map(); // one for each sample rate, shared by the page
  static active = null; // the player that is heard

  static context(rate) {
    if (!this.contexts.has(rate)) this.contexts.set(rate, new AudioContext({ sampleRate: rate }));
    return this.contexts.get(rate);
  }

  connectedCallback() {
    if (!this.shadowRoot) this.build();
  }

  disconnectedCallback() {
    setTimeout(() => this.isConnected || this.pause());
  }

  build() {
    this.attachShadow({ mode: "open" }).innerHTML = INSIDE;
    this.setAttribute("data-lm-suppress-shortcuts", "true"); // keys are ours, not JupyterLab's
    Object.assign(this, { current: 0, rest: 0, region: null, looping: false, deck: null, wanted: false });
    this.ui = {};
    for (const name of "play clips loop blind vote strip region head time said note".split(" ")) {
      this.ui[name] = this.shadowRoot.querySelector(`.${name}`);
    }
    this.ui.image = this.shadowRoot.querySelector("img");
    this.ui.play.addEventListener("click", () => this.toggle());
    this.ui.loop.addEventListener("click", () => this.repeat(!this.looping));
    this.ui.blind.addEventListener("click", () => this.hide(!this.blind));
    this.ui.vote.addEventListener("click", () => this.vote());
    this.addEventListener("keydown", (event) => this.press(event));
    this.addEventListener("keyup", (event) => event.key === " " && event.preventDefault());
    this.follow(this.ui.strip);
    this.read();
  }

  /** Take the clips from the plain row inside; also when another row took its place. */
  read() {
    const sounds = [...this.querySelectorAll("audio")];
    const pictures = [...this.querySelectorAll("img")];
    this.clips = sounds.map((sound, k) => ({
      source: sound.src,
      name: sound.getAttribute("aria-label"),
      level: sound.dataset.level,
      picture: pictures[k]?.src,
      about: pictures[k]?.alt,
      votes: 0,
    }));
    this.duration = Number(this.dataset.seconds);
    this.rate = Math.min(Math.max(Number(this.dataset.rate), RATES[0]), RATES[1]);
    this.current = Math.min(this.current, sounds.length - 1);
    this.rest = Math.min(this.rest, this.duration);
    if (this.region?.[1] > this.duration) this.region = null;
    this.blind = false;
    this.order = this.clips.map((_, k) => k);
    this.buffers = null;
    const many = sounds.length > 1;
    this.ui.blind.hidden = !(many && this.clips[0].level);
    this.ui.note.textContent = this.querySelector(".note")?.textContent ?? "";
    const buttons = this.clips.map((_, k) => {
      const button = this.ui.clips.children[k] ?? document.createElement("button");
      button.type = "button";
      button.onclick = () => this.hear(k);
      button.hidden = !many;
      return button;
    });
    this.ui.clips.replaceChildren(...buttons);
    this.draw();
  }

  /** Put other clips in the place of these; what plays goes on at its position. */
  async exchange(row) {
    this.replaceChildren(...row.children);
    for (const name of ["rate", "seconds"]) this.dataset[name] = row.dataset[name];
    this.read();
    if (this.deck && (await this.load()) && this.deck) this.again();
  }

  /** Decode the clips; where that fails, the plain row comes back. */
  async load() {
    const clips = this.clips;
    const decoded = async ({ source }) =>
      this.context.decodeAudioData(await (await fetch(source)).arrayBuffer());
    try {
      this.context = BeforeAfter.context(this.rate);
      const buffers = this.buffers ?? (await Promise.all(clips.map(decoded)));
      if (clips === this.clips) this.buffers = buffers;
    } catch (error) {
      console.error(error);
      this.shadowRoot.innerHTML = "<slot></slot>";
    }
    return this.buffers && clips === this.clips; // not if others took their place meanwhile
  }

  /** The next moment for which something can be planned, on a whole sample. */
  soon() {
    const time = Math.max(this.context.currentTime + LEAD, this.deck?.settled ?? 0);
    return Math.ceil(time * this.rate) / this.rate;
  }

  /** Position in seconds at a moment of the context's clock. */
  place(time) {
    if (!this.deck) return this.rest;
    const { begun, from, loop } = this.deck;
    const at = from + Math.max(0, time - begun);
    return loop ? loop[0] + ((at - loop[0]) % (loop[1] - loop[0])) : Math.min(at, this.duration);
  }

  /** Start all clips together; one of them is heard. */
  begin(from, begun) {
    const { context, buffers } = this;
    const loop = this.looping ? (this.region ?? [0, this.duration]) : null;
    if (from >= this.duration || (loop && (from < loop[0] || from >= loop[1]))) from = loop?.[0] ?? 0;
    const out = context.createGain();
    out.connect(context.destination);
    fade(out.gain, 0, 1, begun);
    const deck = { begun, from, loop, out, settled: begun + FADE };
    deck.gains = buffers.map((_, k) => new GainNode(context, { gain: Number(k === this.order[this.current]) }));
    deck.sources = buffers.map((whole, k) => {
      const buffer = loop ? looped(context, whole, loop) : whole;
      const source = new AudioBufferSourceNode(context, { buffer, loop: loop !== null });
      source.connect(deck.gains[k]).connect(out);
      source.start(begun, from - (loop?.[0] ?? 0));
      return source;
    });
    deck.sources[0].onended = () => {
      out.disconnect();
      if (this.deck !== deck) return;
      this.deck = null;
      this.rest = 0;
      this.draw();
    };
    this.deck = deck;
    this.draw();
    requestAnimationFrame(() => this.tick());
  }

  /** Fade out what plays. */
  end(time) {
    fade(this.deck.out.gain, 1, 0, time);
    this.deck.sources.forEach((source) => source.stop(time + FADE));
    this.deck = null;
  }

  /** Go on from a position, or from where it is, with the present clips and loop. */
  again(from = null) {
    const time = this.soon();
    const here = from ?? this.place(time);
    this.end(time);
    this.begin(here, time);
  }

  async play() {
    const other = BeforeAfter.active;
    if (other && other !== this) {
      other.pause();
      other.buffers = null; // decoded again when it plays again
    }
    BeforeAfter.active = this;
    this.wanted = true;
    const running = BeforeAfter.context(this.rate).resume(); // while the click that asked counts
    if (!(await this.load())) return;
    await running;
    if (this.wanted && !this.deck) this.begin(this.rest, this.soon());
  }

  pause() {
    this.wanted = false;
    if (!this.deck) return;
    const time = this.soon();
    this.rest = this.place(time);
    this.end(time);
    this.draw();
  }

  toggle() {
    if (this.deck) this.pause();
    else this.play();
  }

  /** Switch to a clip, at the same moment of the sound. */
  hear(k) {
    if (k === this.current || k >= this.clips.length) return;
    if (this.deck) {
      const time = this.soon();
      fade(this.deck.gains[this.order[this.current]].gain, 1, 0, time);
      fade(this.deck.gains[this.order[k]].gain, 0, 1, time);
      this.deck.settled = time + FADE;
    }
    this.current = k;
    this.draw();
  }

  seek(to) {
    to = Math.min(Math.max(to, 0), this.duration);
    if (this.region && (to < this.region[0] || to > this.region[1])) this.region = null;
    if (this.deck) return this.again(to);
    this.rest = to;
    this.draw();
  }

  /** Repeat a part, the whole, or nothing. */
  repeat(looping, region = this.region) {
    this.looping = looping;
    this.region = region;
    if (this.deck) this.again();
    else if (looping && region) this.rest = region[0];
    this.draw();
  }

  /** Blind: letters instead of names, shuffled; afterwards the names and the votes. */
  hide(blind) {
    if (blind) this.clips.forEach((clip) => (clip.votes = 0));
    this.blind = blind;
    this.deal(blind ? shuffled(this.order) : this.clips.map((_, k) => k));
  }

  vote() {
    this.clips[this.order[this.current]].votes++;
    this.deal(shuffled(this.order));
  }

  /** Give the buttons other clips; what plays goes on with the first one. */
  deal(order) {
    const time = this.deck && this.soon();
    const here = this.deck && this.place(time);
    if (this.deck) this.end(time);
    Object.assign(this, { order, current: 0 });
    if (time) this.begin(here, time);
    this.draw();
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = Math.min(Math.max(this.duration / 20, 0.1), 5);
    const here = this.place(this.context?.currentTime);
    const number = Number(event.key);
    if (event.key === " ") this.toggle();
    else if (number >= 1 && number <= this.clips.length) this.hear(number - 1);
    else if (event.key.toLowerCase() === "l") this.repeat(!this.looping);
    else if (event.key === "ArrowLeft") this.seek(here - step);
    else if (event.key === "ArrowRight") this.seek(here + step);
    else if (event.key === "Home") this.seek(0);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Mouse, pen and touch on the picture: a click seeks, a drag loops what it covers. */
  follow(strip) {
    const at = (event) => {
      const { left, width } = strip.getBoundingClientRect();
      return Math.min(Math.max((event.clientX - left) / width, 0), 1) * this.duration;
    };
    let from = null;
    const covered = (event) => [from.place, at(event)].sort((a, b) => a - b);
    const dragged = (event) => from && Math.abs(event.clientX - from.x) > 5;
    strip.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = { x: event.clientX, place: at(event) };
      strip.setPointerCapture(event.pointerId);
    });
    strip.addEventListener("pointermove", (event) => dragged(event) && this.mark(covered(event)));
    strip.addEventListener("pointerup", (event) => {
      const region = dragged(event) && covered(event);
      const place = from?.place;
      from = null;
      if (region && region[1] - region[0] >= SHORTEST) this.repeat(true, region);
      else if (place !== undefined) this.seek(place);
    });
    strip.addEventListener("pointercancel", () => {
      from = null;
      this.draw();
    });
  }

  mark(region) {
    this.ui.region.hidden = !region;
    if (!region) return;
    this.ui.region.style.left = `${(100 * region[0]) / this.duration}%`;
    this.ui.region.style.width = `${(100 * (region[1] - region[0])) / this.duration}%`;
  }

  draw() {
    const { ui, clips, current, deck, blind } = this;
    const clip = clips[this.order[current]];
    const names = this.order.map((which, k) => (blind ? String.fromCharCode(65 + k) : clips[which].name));
    ui.play.textContent = deck ? "\u275A\u275A Pause" : "\u25B6 Play";
    ui.loop.setAttribute("aria-pressed", this.looping);
    ui.blind.setAttribute("aria-pressed", blind);
    ui.blind.textContent = blind ? "Reveal" : "Blind";
    ui.vote.hidden = !blind;
    [...ui.clips.children].forEach((button, k) => {
      const [number, level] = [`${k + 1} `, blind ? "" : clips[k].level].map((text) => {
        const small = document.createElement("small");
        small.textContent = text;
        return small;
      });
      button.replaceChildren(number, names[k], level);
      button.setAttribute("aria-pressed", k === current);
    });
    const shown = !blind && clip.picture;
    ui.strip.classList.toggle("bare", !clip.picture);
    ui.image.hidden = !shown;
    if (shown && ui.image.src !== clip.picture) ui.image.src = clip.picture;
    ui.image.alt = shown ? clip.about : "";
    ui.strip.setAttribute("aria-valuemax", this.duration);
    const counted = clips.reduce((sum, { votes }) => sum + votes, 0);
    const votes = clips.map(({ name, votes }) => `${name} ${votes}`).join(", ");
    ui.said.textContent =
      (names[current] ? `You hear: ${names[current]}` : "") +
      (clip.level && !blind ? `${names[current] ? ", " : ""}level ${clip.level}.` : ".") +
      (counted ? (blind ? ` Votes so far: ${counted}.` : ` Your votes: ${votes}.`) : "");
    const place = this.place(this.context?.currentTime);
    ui.strip.setAttribute("aria-valuenow", place.toFixed(2));
    ui.strip.setAttribute("aria-valuetext", `${place.toFixed(1)} of ${this.duration.toFixed(1)} seconds`);
    this.mark(this.looping ? this.region : null);
    this.tick(false);
  }

  /** Move the playhead. */
  tick(again = true) {
    const place = this.place(this.context?.currentTime);
    this.ui.head.style.left = `${(100 * place) / this.duration}%`;
    this.ui.time.textContent = `${place.toFixed(1)} s of ${this.duration.toFixed(1)} s`;
    if (again && this.deck) requestAnimationFrame(() => this.tick());
  }
}

if (!customElements.get(NAME)) {
  customElements.define(NAME, BeforeAfter);
  const silence = ({ target }) => target.closest?.(NAME) || BeforeAfter.active?.pause();
  document.addEventListener("play", silence, true); // a plain player of the page was started
}

/** For anywidget: show the row of a model, and exchange its clips whenever they change. */
function render({ model, el }) {
  const show = () => {
    const page = document.createElement("template");
    page.innerHTML = model.get("value");
    const [old, fresh] = [el.querySelector(NAME), page.content.querySelector(NAME)];
    if (old && fresh) old.exchange(fresh);
    else el.replaceChildren(page.content);
  };
  model.on("change:value", show);
  show();
  return () => model.off("change:value", show);
}

export default { render };
