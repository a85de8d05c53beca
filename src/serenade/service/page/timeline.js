// The timeline: waveform in the colour of what was heard, a ribbon and probabilities for each model and speaker, time.

import { clock, colourOf } from "./words.js";

const WAVE = 104, RIBBON = 30, SHARES = 116, LEAST_SHARES = 44, AXIS = 24, GAP = 10, NAME = 17, MOST_LANES = 24;
const SHORTEST_VIEW_S = 2;

/** Rows as cells side by side: overlapping windows are told from middle to middle. */
export function cellsOf(rows) {
  return rows.map((row, place) => {
    const middle = (row.start + row.end) / 2;
    const edge = (other) => {
      const between = (middle + (other.start + other.end) / 2) / 2;
      return other.start <= row.end + 0.05 && row.start <= other.end + 0.05 ? between : null;
    };
    const before = place > 0 ? edge(rows[place - 1]) : null, after = place + 1 < rows.length ? edge(rows[place + 1]) : null;
    return { row, start: before ?? row.start, end: after ?? row.end };
  });
}

/** One lane of cells for everybody who talks; one without a name where nobody said who does. */
export function lanesOf(rows) {
  const found = new Map();
  for (const row of rows) {
    const speaker = row.speaker ?? null;
    if (!found.has(speaker)) found.set(speaker, []);
    found.get(speaker).push(row);
  }
  return [...found.keys()].sort().map((speaker) => ({ speaker, cells: cellsOf(found.get(speaker)) }));
}

/** The cells at a time, of several lanes where several talk. */
export const cellsAt = (lanes, time) => lanes.map((lane) => cellAt(lane.cells, time)).filter(Boolean);

export function cellAt(cells, time) {
  let low = 0, high = cells.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (cells[middle].end <= time) low = middle + 1;
    else if (cells[middle].start > time) high = middle - 1;
    else return cells[middle];
  }
  return null;
}

export class Timeline {
  constructor(canvas, style) {
    this.canvas = canvas; this.style = style;
    this.tracks = []; this.levels = []; this.step = 0.05; this.duration = 0; this.now = 0;
    this.view = { start: 0, end: 1 };
    this.follow = false;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  /** What is drawn below the waveform: a ribbon of each lane, and the probabilities of those of the first model. */
  plan() {
    const strips = [], nobody = [{ speaker: null, cells: [] }], lanesOfTrack = (track) => (track.lanes.length ? track.lanes : nobody);
    let top = WAVE + GAP;
    const add = (kind, track, lane, names, height) => {
      const name = names.filter(Boolean).join(" · ");
      if (name) top += NAME;
      strips.push({ kind, track, lane, name, top, height });
      top += height + 6;
    };
    for (const track of this.tracks) {
      const lanes = lanesOfTrack(track), left = lanes.length - MOST_LANES;
      for (const lane of lanes.slice(0, MOST_LANES)) add("ribbon", track, lane, [this.tracks.length > 1 ? track.model : "", lane.speaker], RIBBON);
      if (left > 0) add("note", track, null, [`and ${left} more speakers, who are in the table and in downloads`], 0);
    }
    top += GAP;
    const [first] = this.tracks, lanes = first ? lanesOfTrack(first).slice(0, MOST_LANES) : [];
    for (const lane of lanes) add("shares", first, lane, [lane.speaker], Math.max(LEAST_SHARES, SHARES / lanes.length));
    return { strips, height: (lanes.length ? top - 6 : top + SHARES) + AXIS };
  }

  set(duration) {
    const all = this.view.start === 0 && this.view.end >= this.duration - 1e-6;
    this.duration = duration;
    if (all) this.showAll();
  }

  showAll() { this.view = { start: 0, end: Math.max(this.duration, SHORTEST_VIEW_S) }; }

  zoom(factor, around = this.now) {
    const length = Math.min(Math.max(SHORTEST_VIEW_S, (this.view.end - this.view.start) * factor), Math.max(this.duration, SHORTEST_VIEW_S));
    const share = Math.min(1, Math.max(0, (around - this.view.start) / (this.view.end - this.view.start)));
    this.move(around - share * length, length);
  }

  move(start, length = this.view.end - this.view.start) {
    const first = Math.min(Math.max(0, start), Math.max(0, this.duration - length));
    this.view = { start: first, end: first + length };
    this.draw();
  }

  seek(time) {
    this.now = Math.min(Math.max(0, time), this.duration);
    const { start, end } = this.view;
    if (this.now < start || this.now > end) this.move(this.now - (end - start) * 0.1);
    this.draw();
  }

  timeAt(clientX) {
    const box = this.canvas.getBoundingClientRect();
    return this.view.start + (clientX - box.left) / box.width * (this.view.end - this.view.start);
  }

  x(time) { return (time - this.view.start) / (this.view.end - this.view.start) * this.width; }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = null; this.paint(); });
  }

  paint() {
    const scale = devicePixelRatio || 1;
    this.width = this.canvas.parentElement.clientWidth;
    if (!this.width) return;
    const { strips, height } = this.plan();
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(this.width * scale); this.canvas.height = Math.round(height * scale);
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const look = this.style();
    this.paintWave(pen, look);
    for (const { kind, track, lane, name, top, height: tall } of strips) {
      if (name) this.paintName(pen, look, name, top);
      if (kind === "ribbon") this.paintRibbon(pen, look, track, lane, top);
      else if (kind === "shares") this.paintShares(pen, look, track, lane, top, tall);
    }
    this.paintAxis(pen, look, height - AXIS);
    this.paintNow(pen, look, height - AXIS);
  }

  visible(cells) { return cells.filter((cell) => cell.end > this.view.start && cell.start < this.view.end); }

  paintWave(pen, look) {
    const track = this.tracks[0], middle = WAVE / 2;
    pen.fillStyle = look.soft;
    pen.fillRect(0, middle - 0.5, this.width, 1);
    const bar = 3, count = Math.floor(this.width / bar), seconds = (this.view.end - this.view.start) / count;
    for (let place = 0; place < count; place++) {
      const time = this.view.start + place * seconds;
      const first = Math.floor(time / this.step), last = Math.max(first + 1, Math.floor((time + seconds) / this.step));
      let level = 0;
      for (let index = first; index < last && index < this.levels.length; index++) level = Math.max(level, this.levels[index]);
      const [cell] = track ? cellsAt(track.lanes, time + seconds / 2) : [];
      pen.fillStyle = cell ? colourOf(cell.row.label, track.labels) : look.wave;
      pen.globalAlpha = cell && cell.row.uncertain ? 0.45 : 1;
      const half = Math.max(0.75, Math.sqrt(level / 255) * (middle - 4));
      pen.beginPath(); pen.roundRect(place * bar, middle - half, bar - 1, 2 * half, 1); pen.fill();
    }
    pen.globalAlpha = 1;
  }

  paintName(pen, look, name, top) {
    pen.font = "12px system-ui, sans-serif"; pen.fillStyle = look.muted; pen.textBaseline = "alphabetic";
    pen.fillText(name, 0, top - 5, this.width);
  }

  paintRibbon(pen, look, track, lane, top) {
    pen.fillStyle = look.soft;
    pen.beginPath(); pen.roundRect(0, top, this.width, RIBBON, 8); pen.fill();
    pen.save();
    pen.beginPath(); pen.roundRect(0, top, this.width, RIBBON, 8); pen.clip();
    let run = null; // equal neighbours are one stretch with one name
    const flush = () => { if (run) this.paintRun(pen, look, track, run, top); run = null; };
    for (const cell of this.visible(lane.cells)) {
      const same = run && run.label === cell.row.label && run.uncertain === cell.row.uncertain && cell.start - run.end < 0.02;
      if (same) run.end = cell.end;
      else { flush(); run = { start: cell.start, end: cell.end, label: cell.row.label, uncertain: cell.row.uncertain }; }
    }
    flush();
    pen.restore();
  }

  paintRun(pen, look, track, run, top) {
    const left = this.x(run.start), width = Math.max(1, this.x(run.end) - left), colour = colourOf(run.label, track.labels);
    pen.fillStyle = colour;
    pen.globalAlpha = run.uncertain ? 0.3 : 1;
    pen.fillRect(left, top, width - (width > 4 ? 1 : 0), RIBBON);
    pen.globalAlpha = 1;
    if (run.uncertain) this.stripe(pen, colour, left, top, width - 1, RIBBON);
    const shown = Math.max(left, 0);
    const room = Math.min(left + width, this.width) - shown;
    pen.font = "600 13px system-ui, sans-serif";
    if (pen.measureText(run.label).width + 16 < room) {
      pen.fillStyle = run.uncertain ? look.ink : "#14101f"; // dark on every colour: contrast 4.5 and more
      pen.textBaseline = "middle";
      pen.fillText(run.label, shown + 8, top + RIBBON / 2 + 0.5);
    }
  }

  stripe(pen, colour, left, top, width, height) {
    pen.save();
    pen.beginPath(); pen.rect(left, top, width, height); pen.clip();
    pen.strokeStyle = colour; pen.lineWidth = 2; pen.beginPath();
    for (let x = left - height; x < left + width; x += 7) { pen.moveTo(x, top + height); pen.lineTo(x + height, top); }
    pen.stroke(); pen.restore();
  }

  /** Probabilities on top of each other; they sum to 1 wherever something was heard. */
  paintShares(pen, look, track, lane, top, full) {
    pen.fillStyle = look.soft; pen.fillRect(0, top, this.width, full);
    for (const cell of this.visible(lane.cells)) {
      const left = this.x(cell.start), width = Math.max(1, this.x(cell.end) - left - 0.6);
      let y = top + full;
      for (const label of track.labels) {
        const height = cell.row.scores[label] * full;
        y -= height;
        pen.fillStyle = colourOf(label, track.labels);
        pen.globalAlpha = cell.row.uncertain ? 0.55 : 0.92;
        pen.fillRect(left, y, width, height);
      }
    }
    pen.globalAlpha = 1;
    pen.fillStyle = look.muted; pen.font = "12px system-ui, sans-serif"; pen.textBaseline = "alphabetic";
    for (const share of [0.25, 0.5, 0.75]) { pen.globalAlpha = 0.35; pen.fillRect(0, top + full * (1 - share), this.width, 1); }
    pen.globalAlpha = 1;
  }

  paintAxis(pen, look, top) {
    const length = this.view.end - this.view.start;
    const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
    const step = steps.find((each) => each / length * this.width >= 64) ?? 14400;
    pen.font = "12px system-ui, sans-serif"; pen.fillStyle = look.muted; pen.textBaseline = "top";
    for (let time = Math.ceil(this.view.start / step) * step; time <= this.view.end; time += step) {
      const x = this.x(time), text = clock(time, step < 1), width = pen.measureText(text).width;
      pen.fillRect(x, top + 2, 1, 5);
      if (x + width + 4 < this.width) pen.fillText(text, x + 4, top + 7);
    }
  }

  paintNow(pen, look, bottom) {
    const x = Math.min(Math.max(this.x(this.now), 1), this.width - 1);
    pen.fillStyle = look.ink;
    pen.fillRect(x - 1, 0, 2, bottom);
    pen.beginPath(); pen.arc(x, 4, 4.5, 0, 7); pen.fill();
  }
}
