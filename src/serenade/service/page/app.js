// The page: what is chosen, what was heard, what is shown.

import { Problem, convert, explain, json, onKeyNeeded, recognize, recordingPage, stream } from "./api.js";
import { renderCard } from "./card.js";
import { paintPicture } from "./inside.js";
import { openMicrophone, toIntegers, toWav } from "./microphone.js";
import { Timeline, cellAt, cellsAt, lanesOf } from "./timeline.js";
import { clock, colourOf, make, percent, swatch } from "./words.js";

const $ = (id) => document.getElementById(id);
const LEVEL_S = 0.05, LIVE_VIEW_S = 30, MOST_TABLE_ROWS = 2000, MOST_EXPLAINED_S = 30, MOST_NAMED = 3, MANY = 12;

const page = { file: null, name: "", asked: "", who: null, whoOf: null, halted: false, tracks: [], levels: [], duration: 0, live: null, work: null, explained: null, map: null, models: [], formats: {} };

function look() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["ink", "muted", "soft", "panel", "wave", "line"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
}

const timeline = new Timeline($("picture"), look);

// ---------------------------------------------------------------- what is asked for

function wishes(model) {
  const chosen = { model, division: $("division").value };
  if (chosen.division === "windows") {
    chosen.window_s = Number($("window").value) || 2;
    chosen.hop_s = Number($("hop").value) || chosen.window_s;
  }
  if ($("least").value !== "") chosen.uncertain_below = Number($("least").value) / 100;
  return chosen;
}

/** All that is asked for, to see whether it has changed. */
const asked = () => JSON.stringify(chosenModels().map(wishes));

const chosenModels = () => [...new Set([$("model").value, $("other").value].filter(Boolean))];

function say(text) { $("said").textContent = text; }

function complain(error) {
  const text = error instanceof Problem ? error.message : `${error.message ?? error}`;
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function begin(name) {
  page.work?.abort();
  Object.assign(page, { name, asked: asked(), halted: false, tracks: [], levels: [], duration: 0, explained: null, map: null });
  complain("");
  $("maps").hidden = true;
  $("results").hidden = false;
  $("name").textContent = name;
  $("verdict").textContent = "Listening …";
  $("detail").textContent = "";
  Object.assign(timeline, { tracks: [], levels: page.levels, duration: 0, now: 0 });
  timeline.set(0); timeline.showAll();
  document.body.classList.add("busy", "shown");
}

function newTrack(model) {
  const track = { model, labels: [], rows: [], lanes: [], about: {}, summaries: [], asked: wishes(model), who: page.who };
  page.tracks.push(track);
  timeline.tracks = page.tracks;
  return track;
}

function take(track, line) {
  if (line.kind === "start") { track.labels = line.labels; track.about = line.about; showLegend(); }
  if (line.kind === "row") { const { kind, ...row } = line; track.rows.push(row); track.fresh = true; grow(row.end); }
  if (line.kind === "levels") { for (const value of line.values) page.levels.push(value); grow(page.levels.length * LEVEL_S); }
  if (line.kind === "end") { track.summaries = line.summaries; grow(line.duration_s); }
  refresh();
}

function grow(duration) {
  if (duration <= page.duration) return;
  page.duration = duration;
  timeline.set(duration);
  if (page.live) {
    timeline.now = duration;
    const length = Math.max(LIVE_VIEW_S, timeline.view.end - timeline.view.start);
    timeline.view = { start: Math.max(0, duration - length), end: Math.max(duration, length) };
  }
}

function arrange() {
  for (const track of page.tracks) if (track.fresh) { track.lanes = lanesOf(track.rows); track.fresh = false; }
}

let refreshing = null;
function refresh() {
  refreshing ??= requestAnimationFrame(() => {
    refreshing = null;
    arrange();
    timeline.draw(); showNow(); showAll(); showProgress();
  });
}

// ---------------------------------------------------------------- a file

/** Who talks when: RTTM, of the recording that is heard or, where there is none yet, of the next one. */
function setWho(file) {
  Object.assign(page, { who: file, whoOf: null });
  $("who").textContent = file ? file.name : "Add an RTTM file";
  $("who-off").hidden = !file;
}

async function hear(file, name) {
  if (page.live) await stopSpeaking();
  if (page.whoOf && page.whoOf !== file) setWho(null); // it told of another recording
  page.whoOf = page.who && file;
  begin(name);
  page.file = file;
  showPlayer(file);
  showProgress();
  const work = page.work = new AbortController();
  try {
    for (const [place, model] of chosenModels().entries()) {
      const track = newTrack(model);
      const wanted = { ...wishes(model), levels: place === 0, ...(page.who ? { name } : {}) };
      for await (const line of recognize(file, page.who, wanted, work.signal)) take(track, line);
    }
    finished();
  } catch (error) {
    if (error.name !== "AbortError") failed(error);
    else if (page.halted && page.work === work) finished();
  } finally {
    if (page.work === work) { document.body.classList.remove("busy"); showProgress(); }
  }
}

/** How far a file is heard, as long as it is; the browser may know how long it is. */
function showProgress() {
  const busy = document.body.classList.contains("busy") && !page.live;
  $("progress").hidden = !busy;
  if (!busy) return;
  const whole = Number.isFinite(player.duration) ? ` of ${clock(player.duration)}` : "";
  const model = page.tracks.length > 1 ? ` by ${page.tracks.at(-1).model}` : "";
  const heard = page.tracks.at(-1)?.rows.at(-1)?.end ?? 0;
  $("progress-text").textContent = heard ? `Heard ${clock(heard)}${whole}${model}` : `Waiting for the first row${model} …`;
}

$("halt").onclick = () => { page.halted = true; page.work?.abort(); };

function failed(error) {
  complain(error);
  if (page.tracks.some((track) => track.rows.length)) finished();
  else $("results").hidden = true;
}

function finished() {
  arrange(); refresh();
  showModels(); showTable(); showTargets();
  const text = verdict();
  say(text);
  $("results").focus({ preventScroll: true });
}

function verdict() {
  const [track, other] = page.tracks, all = track?.summaries[0];
  const element = $("verdict");
  if (!all && track?.rows.length) {
    element.textContent = page.halted ? "Stopped" : "Broken off";
    $("detail").textContent = `Heard until ${clock(track.rows.at(-1).end)}; what was heard until then stands below.`;
    return `${element.textContent}. ${$("detail").textContent}`;
  }
  if (!all) {
    element.textContent = page.halted ? "Stopped before the first row" : "No speech was found";
    $("detail").textContent = page.halted ? "" : `${clock(page.duration)} of sound, and nothing in it that is speech.`;
    return element.textContent;
  }
  const dot = swatch(colourOf(all.label, track.labels));
  const share = percent(all.scores[all.label]);
  element.replaceChildren(dot, all.scores[all.label] >= 0.5 ? `Mostly ${all.label}, ${share}` : `Mixed, most of all ${all.label}, ${share}`);
  const unsure = (all.seconds.uncertain ?? 0) / Math.max(all.covered_s, 1e-9);
  const parts = [`${clock(page.duration)} long`, `${clock(all.covered_s)} of it heard`, `${percent(unsure)} uncertain`];
  if (other?.summaries[0]) parts.push(`the models agree on ${percent(agreement(track, other))} of the rows`);
  const each = track.summaries.slice(1).map((one) => `${one.speaker}: ${one.label} ${percent(one.scores[one.label])}`);
  parts.push(...(each.length > MOST_NAMED ? [`${each.length} speakers`] : each));
  $("detail").textContent = `${parts.join(" · ")}.`;
  return `${element.textContent}. ${$("detail").textContent}`;
}

function agreement(first, second) {
  let same = 0;
  for (const { speaker, cells } of first.lanes) {
    const others = second.lanes.find((lane) => lane.speaker === speaker)?.cells ?? [];
    same += cells.filter((cell) => cellAt(others, (cell.start + cell.end) / 2)?.row.label === cell.row.label).length;
  }
  return same / Math.max(1, first.rows.length);
}

// ---------------------------------------------------------------- the microphone

async function startSpeaking() {
  setWho(null);
  begin("Microphone");
  showPlayer(null);
  const live = page.live = { parts: [], level: 0, held: 0, feeds: [], microphone: null, said: "", saidAt: 0 };
  $("speak").disabled = true; // until the browser has the microphone
  try {
    live.microphone = await openMicrophone((samples) => heardPart(live, samples));
  } catch (error) {
    page.live = null;
    document.body.classList.remove("busy");
    $("results").hidden = true;
    complain(error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : error);
    return;
  } finally { $("speak").disabled = false; }
  document.body.classList.add("live");
  $("speak").setAttribute("aria-pressed", "true"); $("speak-text").textContent = "Stop";
  $("verdict").textContent = "Speak …";
  say("The microphone is open.");
  live.done = chosenModels().map((model) => new Promise((resolve) => {
    const track = newTrack(model);
    const opening = { ...wishes(model), encoding: "pcm_s16le", sample_rate: live.microphone.sampleRate };
    live.feeds.push(stream(opening, (line) => { take(track, line); announce(track, line); }, (problem) => { if (problem) complain(problem); resolve(); if (problem) stopSpeaking(); }));
  }));
}

function heardPart(live, samples) {
  const integers = toIntegers(samples);
  live.parts.push(integers);
  for (const feed of live.feeds) feed.feed(integers.buffer.slice(0));
  const step = live.microphone ? Math.round(live.microphone.sampleRate * LEVEL_S) : 2400;
  for (const sample of samples) {
    live.level = Math.max(live.level, Math.abs(sample));
    if (++live.held === step) { page.levels.push(Math.min(255, live.level * 255)); live.level = live.held = 0; }
  }
  grow(page.levels.length * LEVEL_S);
  refresh();
}

/** Tell a screen reader what is heard now: changes only, and not more often than every four seconds. */
function announce(track, line) {
  if (line.kind !== "row" || track !== page.tracks[0] || !page.live) return;
  const text = line.uncertain ? "uncertain" : line.label;
  $("verdict").replaceChildren(swatch(colourOf(line.label, track.labels)), line.uncertain ? `perhaps ${line.label}` : line.label);
  $("detail").textContent = `${percent(line.score)} at ${clock(line.end)}`;
  if (text !== page.live.said && performance.now() - page.live.saidAt > 4000) { say(text); page.live.said = text; page.live.saidAt = performance.now(); }
}

async function stopSpeaking() {
  const live = page.live;
  if (!live || live.stopping) return;
  live.stopping = true;
  $("speak").setAttribute("aria-pressed", "false"); $("speak-text").textContent = "Speak";
  await live.microphone?.close();
  for (const feed of live.feeds) feed.stop();
  await Promise.race([Promise.all(live.done ?? []), new Promise((resolve) => setTimeout(resolve, 8000))]);
  page.file = toWav(live.parts, live.microphone.sampleRate);
  page.live = null;
  document.body.classList.remove("busy", "live");
  timeline.showAll();
  showPlayer(page.file);
  if (page.tracks[0]) finished();
}

// ---------------------------------------------------------------- what is shown

const player = $("player");
let address = null;

function showPlayer(file) {
  if (address) URL.revokeObjectURL(address);
  address = file ? URL.createObjectURL(file) : null;
  player.hidden = !file;
  if (file) player.src = address; else player.removeAttribute("src");
}

function showLegend() {
  const labels = [...new Set(page.tracks.flatMap((track) => track.labels))];
  const items = labels.map((label) => make("li", {}, swatch(colourOf(label, labels)), label));
  items.push(make("li", {}, make("span", { className: "swatch striped", "aria-hidden": "true" }), "striped: uncertain"));
  $("legend").replaceChildren(...items);
}

function bars(scores, labels, best) {
  const list = make("dl", { className: "bars" });
  for (const label of labels) {
    const share = scores?.[label] ?? 0, name = label === best ? "best" : "";
    const fill = make("div", { className: "fill" });
    fill.style.width = `${share * 100}%`; fill.style.background = colourOf(label, labels);
    list.append(make("dt", { className: name }, label), make("dd", { "aria-hidden": "true" }, make("div", { className: "track" }, fill)),
      make("dd", { className: `value ${name}` }, scores ? percent(share) : "–"));
  }
  return list;
}

function tellTrack(track, speaker, body, note) {
  const parts = [], name = [page.tracks.length > 1 ? track.model : "", speaker ?? ""].filter(Boolean).join(" · ");
  if (name) parts.push(make("p", { className: "model-name" }, name));
  parts.push(body);
  if (note) parts.push(make("p", { className: "small" }, note));
  return parts;
}

function showNow() {
  const time = timeline.now;
  $("now-time").textContent = clock(time, true);
  const parts = [];
  for (const track of page.tracks) {
    const rows = rowsAt(track, time);
    for (const row of rows) parts.push(...tellTrack(track, row.speaker, bars(row.scores, track.labels, row.label), noteOf(row)));
    if (!rows.length) parts.push(...tellTrack(track, null, bars(null, track.labels), "nothing was heard here"));
  }
  $("now").replaceChildren(...parts);
  const slider = $("timeline");
  slider.setAttribute("aria-valuemax", page.duration.toFixed(1)); slider.setAttribute("aria-valuenow", time.toFixed(1));
  const spoken = (page.tracks[0] ? rowsAt(page.tracks[0], time) : []).map(spokenOf);
  slider.setAttribute("aria-valuetext", `${clock(time, true)}, ${spoken.join("; ") || "no speech"}`);
}

/** What is heard at a time, of everybody who talks then; of live sound the newest row. */
function rowsAt({ lanes }, time) {
  const cells = page.live ? lanes.slice(0, 1).map((lane) => lane.cells.at(-1)) : cellsAt(lanes, time);
  return cells.map((cell) => cell.row);
}

/** Valence, arousal and dominance, where the model tells them. */
function toldOf(found) {
  const names = ["valence", "arousal", "dominance"].filter((name) => found?.[name] != null);
  return names.map((name) => `${name} ${found[name].toFixed(2)}`).join(", ");
}

const noteOf = (row) => [`${clock(row.start, true)} to ${clock(row.end, true)}${row.uncertain ? ", uncertain" : ""}`, toldOf(row)].filter(Boolean).join(" · ");

const spokenOf = (row) => `${row.speaker ? `${row.speaker}: ` : ""}${row.uncertain ? "uncertain, perhaps " : ""}${row.label} ${percent(row.score)}`;

function showAll() {
  const parts = [];
  for (const track of page.tracks) {
    const still = document.body.classList.contains("busy") ? "still listening …" : "";
    if (!track.summaries.length) parts.push(...tellTrack(track, null, mean(meanOf(track), track.labels), still));
    const [all, ...each] = track.summaries;
    if (all) parts.push(...tellTrack(track, null, mean(all.scores, track.labels), summaryNote(all, track)));
    if (each.length) parts.push(speakersOf(each, track));
  }
  $("all").replaceChildren(...parts);
}

function mean(scores, labels) {
  return bars(scores, labels, scores && labels.reduce((first, label) => (scores[label] > scores[first] ? label : first)));
}

/** A line for each speaker: the probabilities side by side, and the highest in words. */
function speakersOf(summaries, track) {
  const list = make("dl", { className: "speakers" });
  for (const { speaker, scores, label, seconds, covered_s: covered, attributes } of summaries) {
    const bar = make("div", { className: "track" });
    for (const name of track.labels) {
      const part = make("span");
      part.style.width = `${scores[name] * 100}%`; part.style.background = colourOf(name, track.labels);
      bar.append(part);
    }
    const unsure = percent((seconds.uncertain ?? 0) / Math.max(covered, 1e-9)), told = toldOf(attributes);
    const text = make("dd", { title: [`${clock(covered)} heard, ${unsure} of it uncertain`, told].filter(Boolean).join("; ") }, `${label} ${percent(scores[label])}`);
    list.append(make("dt", {}, speaker), make("dd", { "aria-hidden": "true" }, bar), text);
  }
  return make("div", { className: "scroll", tabIndex: summaries.length > MANY ? 0 : -1, role: "region", "aria-label": "Each speaker" }, list);
}

function summaryNote(all, track) {
  const unsure = percent((all.seconds.uncertain ?? 0) / Math.max(all.covered_s, 1e-9)), told = toldOf(all.attributes);
  const calibrated = track.about.calibrated ? "" : " (probabilities are not calibrated)";
  return `Mean of ${all.rows} rows; ${unsure} of the time uncertain${calibrated}${told ? `; ${told}` : ""}.`;
}

/** The mean of the rows so far; the service's own summary, which weighs by time, comes at the end. */
function meanOf({ rows, labels }) {
  if (!rows.length) return null;
  return Object.fromEntries(labels.map((label) => [label, rows.reduce((sum, row) => sum + row.scores[label], 0) / rows.length]));
}

/** The model whose rows stand in the table and go into a file. */
const shownTrack = () => page.tracks[$("of").selectedIndex] ?? page.tracks[0];

function showModels() {
  $("of").hidden = page.tracks.length < 2;
  $("of").replaceChildren(...page.tracks.map(({ model }) => make("option", { value: model }, model)));
}
$("of").onchange = () => showTable();

function showTable() {
  const track = shownTrack();
  if (!track) return;
  const named = track.rows.some((row) => row.speaker), words = named ? [2, 3] : [2];
  const head = ["from", "to", ...(named ? ["speaker"] : []), "emotion", "probability", ...track.labels];
  const cells = (row) => [clock(row.start, true), clock(row.end, true), ...(named ? [row.speaker ?? ""] : []), `${row.label}${row.uncertain ? " (uncertain)" : ""}`, percent(row.score), ...track.labels.map((label) => percent(row.scores[label]))];
  const kindOf = (place) => ({ className: words.includes(place) ? "label" : "" });
  const rows = track.rows.slice(0, MOST_TABLE_ROWS).map((row) => make("tr", {}, ...cells(row).map((text, place) => make("td", kindOf(place), text))));
  const left = track.rows.length - rows.length;
  $("table").replaceChildren(
    make("caption", { className: left > 0 ? "small" : "unseen" }, left > 0 ? `The first ${MOST_TABLE_ROWS} rows; the other ${left} are in the download.` : `Rows of ${page.name} by ${track.model}`),
    make("thead", {}, make("tr", {}, ...head.map((text, place) => make("th", { scope: "col", ...kindOf(place) }, text)))),
    make("tbody", {}, ...rows));
}

// ---------------------------------------------------------------- time

function seek(time, { play = true } = {}) {
  timeline.seek(time);
  if (play && player.src) player.currentTime = timeline.now;
  showNow();
}

function step(direction) {
  const cells = (page.tracks[0]?.lanes ?? []).flatMap((lane) => lane.cells).sort((one, two) => one.start - two.start);
  const next = direction > 0 ? cells.find((cell) => cell.start > timeline.now + 0.01) : cells.findLast((cell) => cell.start < timeline.now - 0.01);
  seek(next ? next.start + 0.001 : direction > 0 ? page.duration : 0);
}

function follow() {
  if (player.paused || player.ended) return;
  timeline.seek(player.currentTime); showNow(); drawMaps();
  requestAnimationFrame(follow);
}

player.addEventListener("play", follow);
for (const name of ["timeupdate", "seeked"]) player.addEventListener(name, () => { if (player.paused && !page.live) { timeline.seek(player.currentTime); showNow(); drawMaps(); } });
player.addEventListener("error", () => { if (player.src) player.hidden = true; });

const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => seek(0), End: () => seek(page.duration),
  PageUp: () => seek(timeline.now - 10), PageDown: () => seek(timeline.now + 10),
  " ": () => (player.paused ? player.play() : player.pause()),
  "+": () => timeline.zoom(0.5), "=": () => timeline.zoom(0.5), "-": () => timeline.zoom(2), 0: () => { timeline.showAll(); timeline.draw(); },
};
$("timeline").addEventListener("keydown", (event) => {
  const act = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
  if (act && page.tracks.length) { event.preventDefault(); act(); }
});
$("timeline").addEventListener("pointerdown", (event) => {
  seek(timeline.timeAt(event.clientX));
  const move = (moved) => seek(timeline.timeAt(moved.clientX));
  const up = () => { removeEventListener("pointermove", move); removeEventListener("pointerup", up); };
  addEventListener("pointermove", move); addEventListener("pointerup", up);
});
$("timeline").addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) < Math.abs(event.deltaY)) return;
  event.preventDefault();
  if (event.ctrlKey) timeline.zoom(event.deltaY > 0 ? 1.25 : 0.8, timeline.timeAt(event.clientX));
  else timeline.move(timeline.view.start + (event.deltaX || event.deltaY) / timeline.width * (timeline.view.end - timeline.view.start));
}, { passive: false });
$("zoom-in").onclick = () => timeline.zoom(0.5);
$("zoom-out").onclick = () => timeline.zoom(2);
$("zoom-all").onclick = () => { timeline.showAll(); timeline.draw(); };

// ---------------------------------------------------------------- looking inside

function showTargets() {
  const labels = page.tracks[0]?.labels ?? [];
  $("target").replaceChildren(make("option", { value: "" }, "what was heard"), ...labels.map((label) => make("option", { value: label }, label)));
}

$("explain").onclick = async () => {
  if (!page.file) return;
  const button = $("explain"), { start, end } = timeline.view;
  const first = end - start <= MOST_EXPLAINED_S ? start : Math.max(0, timeline.now - MOST_EXPLAINED_S / 2);
  const asked = { model: $("model").value, start_s: first.toFixed(3), end_s: Math.min(page.duration, first + Math.min(end - start, MOST_EXPLAINED_S)).toFixed(3) };
  if ($("target").value) asked.target = $("target").value;
  button.disabled = true; button.textContent = "Looking …";
  try {
    page.explained = await explain(page.file, asked);
    page.map = page.explained.overlays[0] ?? null;
    complain("");
    showMaps();
    say(`Explained by ${page.explained.method}.`);
  } catch (error) { complain(error); }
  button.disabled = false; button.textContent = "Explain this stretch";
};

function showMaps() {
  const found = page.explained;
  $("maps").hidden = false;
  const choices = [...found.overlays, null];
  $("map-choice").replaceChildren(...choices.map((overlay) => {
    const button = make("button", { type: "button", role: "radio", "aria-checked": String(overlay === page.map) }, overlay ? overlay.title : "no map");
    button.tabIndex = overlay === page.map ? 0 : -1;
    button.onclick = () => { page.map = overlay; showMaps(); $("map-choice").querySelector('[aria-checked="true"]').focus(); };
    return button;
  }));
  $("map-meaning").textContent = `For ${found.target}, ${clock(found.start_s, true)} to ${clock(found.end_s, true)}. ${page.map?.meaning ?? ""}`;
  $("map-notes").textContent = found.notes.join(" ");
  drawMaps();
}

$("map-choice").addEventListener("keydown", (event) => {
  const step_ = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step_) return;
  event.preventDefault();
  const buttons = [...$("map-choice").children], place = buttons.indexOf(document.activeElement);
  buttons[(place + step_ + buttons.length) % buttons.length].click();
});

function drawMaps() {
  const found = page.explained;
  if (!found || $("maps").hidden) return;
  const pictures = [["features", found.features, page.map], ["sound", found.sound, page.map?.rows === 1 ? page.map : null]];
  $("sound-figure").hidden = !found.sound;
  for (const [name, picture, overlay] of pictures) {
    if (!picture) continue;
    $(`${name}-caption`).textContent = picture.title;
    $(name).setAttribute("aria-label", `${picture.title}${overlay ? `, with a map: ${overlay.title}` : ""}`);
    paintPicture($(name), picture, overlay, timeline.now);
  }
}

// ---------------------------------------------------------------- downloads, models, colours

$("download").onclick = async () => {
  const track = shownTrack(), format = $("format").value;
  if (!track?.rows.length) return complain("There are no rows to download.");
  $("download").disabled = true;
  try {
    const stated = { file: page.name, duration_s: page.duration, labels: track.labels, rows: track.rows, about: track.about };
    const link = make("a", { href: URL.createObjectURL(format === "html" ? await recordingPage(page.file, track.who, { ...track.asked, name: page.name }) : await convert(format, stated)), download: `${page.name.replace(/\.[^.]*$/, "") || "emotions"}${page.formats[format]}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) { complain(error); }
  $("download").disabled = false;
};

async function showCard() {
  const name = $("model").value;
  try {
    const { card } = await json(`/v1/models/${encodeURIComponent(name)}`);
    $("card-title").textContent = name;
    $("card-body").replaceChildren(...renderCard(card || "This model has no card."));
    $("card").showModal();
  } catch (error) { complain(error); }
}
$("card-open").onclick = showCard;
$("card-close").onclick = () => $("card").close();

onKeyNeeded(() => new Promise((resolve) => {
  $("key").onclose = () => resolve($("key").returnValue === "ok" ? $("key-value").value : null);
  $("key").returnValue = "";
  $("key").showModal();
}));

const THEMES = { "": ["◐", "as the system has them"], light: ["☀", "light"], dark: ["☾", "dark"] };
function showTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
  $("theme").textContent = THEMES[theme][0];
  $("theme").setAttribute("aria-label", `Colours: ${THEMES[theme][1]}`);
  timeline.draw(); drawIdle(performance.now()); drawMaps();
}
$("theme").onclick = () => {
  const names = Object.keys(THEMES), next = names[(names.indexOf(localStorage.getItem("serenade-theme") ?? "") + 1) % names.length];
  localStorage.setItem("serenade-theme", next);
  showTheme(next);
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { timeline.draw(); drawMaps(); });

// ---------------------------------------------------------------- the picture at rest

const still = matchMedia("(prefers-reduced-motion: reduce)");
const IDLE = ["#7c5cff", "#9d5cf0", "#c45bd9", "#e85fb4", "#ff6b8b", "#ff8f6b"];

function drawIdle(time) {
  const canvas = $("idle"), scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) { canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale); }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const count = Math.floor(width / 9), phase = still.matches ? 0 : time / 1400, last = page.levels.length;
  for (let place = 0; place < count; place++) {
    const x = place / count, swell = Math.sin(Math.PI * x) ** 1.4;
    const wave = 0.5 + 0.5 * Math.sin(place * 0.55 + phase) * Math.sin(place * 0.17 - phase * 0.7);
    const live = page.live ? Math.sqrt((page.levels[Math.max(0, last - 1 - Math.abs(place - (count >> 1)))] ?? 0) / 255) : wave * swell;
    const half = Math.max(2, live * (height / 2 - 2));
    pen.fillStyle = IDLE[Math.floor(x * IDLE.length)];
    pen.beginPath(); pen.roundRect(place * 9 + 2, height / 2 - half, 5, 2 * half, 3); pen.fill();
  }
}

function idle(time) {
  const seen = !document.hidden && $("idle").offsetParent;
  if (seen) drawIdle(time);
  const resting = !seen || (still.matches && !page.live);
  setTimeout(() => requestAnimationFrame(idle), resting ? 500 : 50);
}

// ---------------------------------------------------------------- wiring

$("choose").onclick = () => $("file").click();
$("file").onchange = ({ target }) => { if (target.files[0]) hear(target.files[0], target.files[0].name); target.value = ""; };
$("who").onclick = () => $("who-file").click();
$("who-file").onchange = ({ target }) => { if (target.files[0]) takeWho(target.files[0]); target.value = ""; };
$("who-off").onclick = () => { takeWho(null); $("who").focus(); };
$("speak").onclick = () => (page.live ? stopSpeaking() : startSpeaking());
$("options").onsubmit = (event) => event.preventDefault();
$("options").onchange = () => {
  for (const label of document.querySelectorAll(".windows")) label.hidden = $("division").value !== "windows";
  if (page.file && !page.live && asked() !== page.asked) hear(page.file, page.name);
};

/** Take in who talks when, and hear the recording again with it. */
function takeWho(file) {
  setWho(file);
  if (page.file && !page.live) hear(page.file, page.name);
}

const drop = $("drop");
for (const name of ["dragenter", "dragover"]) addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const files = [...event.dataTransfer.files], isWho = (file) => /\.rttm$/i.test(file.name);
  const file = files.find((one) => !isWho(one)), who = files.find(isWho);
  if (who && !file) return takeWho(who);
  if (who) setWho(who);
  if (file) hear(file, file.name);
});
addEventListener("resize", () => { timeline.draw(); drawMaps(); });

async function open() {
  showTheme(localStorage.getItem("serenade-theme") ?? "");
  requestAnimationFrame(idle);
  const told = await json("/v1/models");
  page.models = told.models; page.formats = told.formats;
  const names = told.models.map((model) => model.name);
  $("model").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  $("other").replaceChildren(make("option", { value: "" }, "nothing"), ...names.map((name) => make("option", { value: name }, name)));
  $("other").parentElement.hidden = names.length < 2;
  $("format").replaceChildren(...Object.entries(told.formats).map(([name, suffix]) => make("option", { value: name }, `${name} (${suffix})`)));
  $("limit").textContent = `${told.limits.max_upload_mb} MB`;
  $("least").placeholder = String(Math.round(told.models[0].uncertain_below * 100));
  $("inside").hidden = !told.explanations;
  $("speak").disabled = told.limits.concurrent_streams === 0;
  $("version").textContent = `Serenade ${told.version}`;
  document.body.dataset.ready = "yes";
}

open().catch(complain);
