(() => {
  "use strict";
  const get = (id) => document.getElementById(id);
  const data = JSON.parse(get("data").textContent);
  const [START, END, WHO, SHOWN, SCORES, FELT] = [0, 1, 2, 3, 4, 5];
  const rows = data.rows, labels = data.labels, duration = Math.max(data.duration, 0.1);
  const envelope = Int8Array.from(atob(data.envelope), (c) => c.charCodeAt(0));
  const audio = get("sound"), whole = get("whole"), near = get("near"), strength = get("strength");
  const lanes = data.speakers.length, named = data.speakers.some((name) => name !== null);
  let at = 0, from = 0, shown = Math.min(duration, 60), last = -1;

  const tiles = data.tiles.map((uri) => {
    const image = new Image();
    image.onload = () => draw();
    image.src = uri;
    return image;
  });

  const clock = (seconds, digits = 1) => {
    const total = Math.max(0, seconds), hours = Math.floor(total / 3600), minutes = Math.floor(total / 60) % 60;
    const rest = (total % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Rows begin in order: the first one that may still be heard at a time is found by halving.
  const longest = rows.reduce((most, row) => Math.max(most, row[END] - row[START]), 0);
  const firstAfter = (time) => {
    let low = 0, high = rows.length;
    while (low < high) { const middle = (low + high) >> 1; if (rows[middle][START] < time) low = middle + 1; else high = middle; }
    return low;
  };
  const between = (start, end) => rows.slice(firstAfter(start - longest), firstAfter(end)).filter((row) => row[END] > start);
  const rowAt = (time) => between(time, time + 1e-3).filter((row) => row[START] <= time).pop();

  const prepare = (canvas, height) => {
    const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    return [pen, width];
  };

  const wave = (pen, x0, width, start, end, top, height) => {
    const middle = top + height / 2, count = envelope.length / 2;
    let loudest = 8;
    for (let i = 0; i < envelope.length; i += 1) loudest = Math.max(loudest, Math.abs(envelope[i]));
    pen.fillStyle = colour("--muted");
    for (let x = 0; x < width; x += 1) {
      const a = Math.floor((start + (end - start) * x / width) / data.step), b = Math.max(a + 1, Math.floor((start + (end - start) * (x + 1) / width) / data.step));
      let low = 0, high = 0;
      for (let i = Math.max(0, a); i < Math.min(b, count); i += 1) { low = Math.min(low, envelope[2 * i]); high = Math.max(high, envelope[2 * i + 1]); }
      pen.fillRect(x0 + x, middle - high / loudest * height / 2, 1, Math.max(1, (high - low) / loudest * height / 2));
    }
  };

  const ticks = (span, width) => [0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((step) => span / step <= Math.min(9, width / 60)) || 14400;

  const drawWhole = () => {
    const [pen, width] = prepare(whole, 58);
    const height = 34 / lanes, scale = width / duration;
    pen.fillStyle = colour("--soft");
    pen.fillRect(0, 0, width, 34);
    for (const row of rows) {
      pen.fillStyle = data.colours[row[SHOWN]];
      pen.fillRect(row[START] * scale, row[WHO] * height, Math.max(1, (row[END] - row[START]) * scale), height);
    }
    wave(pen, 0, width, 0, duration, 36, 20);
    pen.fillStyle = colour("--accent");
    pen.globalAlpha = 0.16;
    pen.fillRect(from * scale, 0, Math.max(2, shown * scale), 58);
    pen.globalAlpha = 1;
    pen.strokeStyle = colour("--accent");
    pen.lineWidth = 1.5;
    pen.strokeRect(from * scale + 0.75, 0.75, Math.max(2, shown * scale) - 1.5, 56.5);
    pen.fillStyle = colour("--bad");
    pen.fillRect(at * scale - 0.75, 0, 1.5, 58);
  };

  const LANE = 30, NAME = named ? 16 : 0, WAVE = 74, CURVES = 120, SOUND = 96, GAP = 22, AXIS = 20;
  const felt = data.felt ? 70 : 0;
  const heightOfNear = () => lanes * (LANE + NAME + 4) + GAP + WAVE + GAP + CURVES + (felt ? GAP + felt : 0) + GAP + SOUND + AXIS;

  const drawNear = () => {
    const [pen, width] = prepare(near, heightOfNear());
    const x = (time) => (time - from) / shown * width, end = from + shown;
    const visible = between(from, end);
    const ink = colour("--ink"), muted = colour("--muted"), line = colour("--line");
    pen.font = "12px system-ui, sans-serif";
    let top = 0;
    for (let lane = 0; lane < lanes; lane += 1) {
      if (named) {
        pen.fillStyle = ink;
        pen.fillText(data.speakers[lane] ?? "unknown", 4, top + 12);
        top += NAME;
      }
      pen.fillStyle = colour("--soft");
      pen.fillRect(0, top, width, LANE);
      for (const row of visible.filter((row) => row[WHO] === lane)) {
        const left = Math.max(0, x(row[START])), right = Math.min(width, x(row[END]));
        pen.fillStyle = data.colours[row[SHOWN]];
        pen.globalAlpha = labels[row[SHOWN]] === "uncertain" ? 0.55 : 1;
        pen.fillRect(left, top, Math.max(1, right - left - 1), LANE);
        pen.globalAlpha = 1;
        const text = labels[row[SHOWN]];
        if (right - left > pen.measureText(text).width + 14) { pen.fillStyle = "#14171c"; pen.fillText(text, left + 7, top + 19.5); }
      }
      top += LANE + 4;
    }
    top += GAP;
    wave(pen, 0, width, from, end, top, WAVE);
    top += WAVE + GAP;
    curves(pen, x, width, visible, top, line, muted);
    top += CURVES + GAP;
    if (felt) { attributes(pen, x, width, visible, top, line, muted); top += felt + GAP; }
    sound(pen, x, width, end, top, muted);
    top += SOUND;
    const step = ticks(shown, width);
    pen.fillStyle = muted;
    pen.textAlign = "center";
    for (let time = Math.ceil(from / step) * step; time <= end; time += step) {
      pen.fillRect(x(time), top, 1, 4);
      const text = clock(time, step < 1 ? 1 : 0), half = pen.measureText(text).width / 2;
      pen.fillText(text, clamp(x(time), half, width - half), top + 16);
    }
    pen.textAlign = "left";
    pen.fillStyle = colour("--bad");
    if (at >= from && at <= end) pen.fillRect(x(at) - 0.75, 0, 1.5, top + 4);
  };

  const curves = (pen, x, width, visible, top, line, muted) => {
    pen.strokeStyle = line;
    pen.lineWidth = 1;
    for (const level of [0, 0.5, 1]) { const y = top + CURVES * (1 - level); pen.beginPath(); pen.moveTo(0, y); pen.lineTo(width, y); pen.stroke(); }
    for (let who = 0; who < lanes; who += 1) {
      const own = visible.filter((row) => row[WHO] === who);
      own.forEach((row, i) => {
        const before = own[i - 1], after = own[i + 1];
        const joined = before && before[END] > row[START] + 0.01, goesOn = after && row[END] > after[START] + 0.01;
        if (joined) join(pen, x, before, row, top); // windows that overlap: one line through their middles
        if (joined || goesOn) return;
        row[SCORES].forEach((score, place) => {
          pen.fillStyle = data.colours[place];
          pen.globalAlpha = place === best(row) ? 1 : 0.6;
          pen.fillRect(x(row[START]), top + CURVES * (1 - score) - 1.5, Math.max(1, x(row[END]) - x(row[START])), place === best(row) ? 3.5 : 2);
        });
      });
    }
    pen.globalAlpha = 1;
    pen.fillStyle = muted;
    pen.fillText("probability, 0 to 100 %", 4, top - 7);
  };
  const join = (pen, x, before, row, top) => {
    const a = x((before[START] + before[END]) / 2), b = x((row[START] + row[END]) / 2);
    row[SCORES].forEach((score, place) => {
      pen.strokeStyle = data.colours[place];
      pen.globalAlpha = place === best(row) ? 1 : 0.6;
      pen.lineWidth = place === best(row) ? 3 : 1.5;
      pen.beginPath();
      pen.moveTo(a, top + CURVES * (1 - before[SCORES][place]));
      pen.lineTo(b, top + CURVES * (1 - score));
      pen.stroke();
    });
  };
  const best = (row) => row[SCORES].indexOf(Math.max(...row[SCORES]));

  const attributes = (pen, x, width, visible, top, line, muted) => {
    pen.strokeStyle = line;
    pen.strokeRect(0.5, top + 0.5, width - 1, felt - 1);
    [["--accent", "valence"], ["--second", "arousal"]].forEach(([name, text], place) => {
      pen.fillStyle = colour(name);
      for (const row of visible) {
        const value = row[FELT][place];
        if (value === null || value === undefined) continue;
        pen.fillRect(x(row[START]), top + felt * (1 - value) - 1.5, Math.max(1, x(row[END]) - x(row[START])), 3);
      }
      pen.fillText(text, 4 + 62 * place, top - 7);
    });
    pen.fillStyle = muted;
  };

  const sound = (pen, x, width, end, top, muted) => {
    pen.imageSmoothingEnabled = shown / data.frame > width;
    tiles.forEach((image, place) => {
      if (!image.complete || !image.naturalWidth) return;
      const start = place * data.tile * data.frame, stop = start + image.naturalWidth * data.frame;
      if (stop > from && start < end) pen.drawImage(image, x(start), top, x(stop) - x(start), SOUND);
    });
    const power = strength ? Number(strength.value) : 0;
    for (const [start, stop, weights] of data.attended) {
      if (stop < from || start > end) continue;
      weights.forEach((weight, place) => {
        const left = x(start + (stop - start) * place / weights.length), right = x(start + (stop - start) * (place + 1) / weights.length);
        pen.fillStyle = `rgba(214, 40, 40, ${(0.8 * power * weight ** 1.5).toFixed(3)})`;
        pen.fillRect(left, top, right - left + 0.5, SOUND);
      });
      if (power > 0) { pen.fillStyle = "rgba(214, 40, 40, .8)"; pen.fillRect(x(start), top + SOUND - 3, x(stop) - x(start), 3); }
    }
    pen.fillStyle = muted;
    pen.fillText("spectrogram, 0 to 8 kHz on the mel scale", 4, top - 7);
  };

  const draw = () => { drawWhole(); drawNear(); };

  const tell = () => {
    get("clock").textContent = `${clock(at)} of ${clock(duration, 0)}`;
    near.setAttribute("aria-valuenow", at.toFixed(1));
    near.setAttribute("aria-valuetext", clock(at));
    const row = rowAt(at), place = row ? rows.indexOf(row) : -1;
    if (place === last) return;
    last = place;
    const who = row && data.speakers[row[WHO]] !== null && named ? `${data.speakers[row[WHO]]}: ` : "";
    get("said").textContent = row ? `${who}${labels[row[SHOWN]]}` : "no speech";
    get("when").textContent = row ? `${clock(row[START])} – ${clock(row[END])}` : "";
    const bars = get("bars");
    bars.replaceChildren();
    if (row) row[SCORES].forEach((score, index) => {
      const cell = document.createElement("div"), name = document.createElement("span"), track = document.createElement("i"), fill = document.createElement("b"), share = document.createElement("em");
      name.textContent = labels[index];
      fill.style.cssText = `width:${100 * score}%;background:${data.colours[index]}`;
      share.textContent = `${Math.round(100 * score)} %`;
      track.append(fill);
      cell.append(name, track, share);
      bars.append(cell);
    });
    if (audio.paused) get("live").textContent = `${clock(at, 0)} ${get("said").textContent}`;
    document.querySelectorAll("#body tr").forEach((line) => line.classList.toggle("on", Number(line.dataset.row) === place));
  };

  const look = (start, span) => {
    shown = clamp(span, Math.min(2, duration), duration);
    from = clamp(start, 0, duration - shown);
    draw();
  };
  const go = (time, { follow = true, sound: move = true } = {}) => {
    at = clamp(time, 0, duration);
    if (move && audio.src) audio.currentTime = at;
    if (follow && (at < from || at > from + shown)) from = clamp(at - shown * 0.1, 0, duration - shown);
    draw();
    tell();
  };
  const zoom = (factor, centre = clamp(at, from, from + shown)) => {
    const span = clamp(shown * factor, Math.min(2, duration), duration);
    look(centre - (centre - from) / shown * span, span);
  };
  const step = (direction) => {
    const next = direction > 0 ? rows.find((row) => row[START] > at + 0.01) : rows.filter((row) => row[START] < at - 0.01).pop();
    if (next) go(next[START]);
  };

  const run = () => {
    if (audio.paused) return;
    go(audio.currentTime, { sound: false });
    requestAnimationFrame(run);
  };
  const play = () => { if (!audio.src) return; if (audio.paused) audio.play(); else audio.pause(); };
  audio.addEventListener("play", () => { get("play").textContent = "Pause"; run(); });
  audio.addEventListener("pause", () => { get("play").textContent = "Play"; });
  get("play").addEventListener("click", play);
  get("speed").addEventListener("change", (event) => { audio.playbackRate = Number(event.target.value); });
  get("choose")?.addEventListener("change", (event) => {
    const file = event.target.files[0];
    if (!file) return;
    if (audio.src) URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(file);
    get("play").disabled = false;
  });
  get("nearer").addEventListener("click", () => zoom(0.5));
  get("farther").addEventListener("click", () => zoom(2));
  get("all").addEventListener("click", () => look(0, duration));
  strength?.addEventListener("input", drawNear);

  const timeIn = (canvas, event, start, span) => start + (event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth * span;
  whole.addEventListener("pointerdown", (event) => {
    const move = (moved) => { const time = timeIn(whole, moved, 0, duration); look(time - shown / 2, shown); return time; };
    go(move(event));
    whole.setPointerCapture(event.pointerId);
    whole.onpointermove = move;
  });
  whole.addEventListener("pointerup", () => { whole.onpointermove = null; });
  near.addEventListener("pointerdown", (event) => {
    const began = event.clientX, start = from;
    let dragged = false;
    near.setPointerCapture(event.pointerId);
    near.onpointermove = (moved) => {
      dragged = dragged || Math.abs(moved.clientX - began) > 4;
      if (dragged) look(start - (moved.clientX - began) / near.clientWidth * shown, shown);
    };
    near.onpointerup = (up) => { near.onpointermove = near.onpointerup = null; if (!dragged) go(timeIn(near, up, from, shown)); };
  });
  near.addEventListener("wheel", (event) => {
    if (event.ctrlKey) { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : 0.8, timeIn(near, event, from, shown)); }
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); look(from + event.deltaX / near.clientWidth * shown, shown); }
  }, { passive: false });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, summary, button, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      " ": play, ArrowLeft: () => (event.shiftKey ? step(-1) : go(at - 1)), ArrowRight: () => (event.shiftKey ? step(1) : go(at + 1)),
      Home: () => go(0), End: () => go(duration), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => look(0, duration),
    };
    if (acts[event.key] && (event.target === near || event.key !== "Home" && event.key !== "End")) { event.preventDefault(); acts[event.key](); }
  });

  const PAGE = 200;
  let limit = PAGE;
  const option = (select, value, text) => { const entry = document.createElement("option"); entry.value = value; entry.textContent = text; select.append(entry); };
  labels.forEach((label, place) => { if (rows.some((row) => row[SHOWN] === place)) option(get("by-label"), place, label); });
  if (named) data.speakers.forEach((name, place) => option(get("by-speaker"), place, name ?? "unknown"));
  else get("by-speaker-label").hidden = true;
  const list = () => {
    const label = get("by-label").value, who = get("by-speaker").value;
    const kept = rows.filter((row) => (label === "" || row[SHOWN] === Number(label)) && (who === "" || row[WHO] === Number(who)));
    get("count").textContent = `${kept.length} of ${rows.length}`;
    get("body").replaceChildren(...kept.slice(0, limit).map((row) => {
      const line = document.createElement("tr");
      line.dataset.row = rows.indexOf(row);
      const cells = [clock(row[START]), clock(row[END]), data.speakers[row[WHO]] ?? "", labels[row[SHOWN]], `${Math.round(100 * Math.max(...row[SCORES]))} %`];
      cells.forEach((text, place) => {
        const cell = document.createElement("td");
        if (place === 3) { const dot = document.createElement("span"); dot.className = "dot"; dot.style.background = data.colours[row[SHOWN]]; cell.append(dot); }
        if (place === 4) cell.className = "n";
        cell.append(text);
        line.append(cell);
      });
      const cell = document.createElement("td"), button = document.createElement("button");
      button.type = "button";
      button.textContent = "go there";
      button.setAttribute("aria-label", `Go to ${clock(row[START])}, ${labels[row[SHOWN]]}`);
      button.addEventListener("click", () => { go(row[START]); near.scrollIntoView({ block: "center" }); });
      cell.append(button);
      line.append(cell);
      return line;
    }));
    get("more").hidden = kept.length <= limit;
  };
  const anew = () => { limit = PAGE; list(); };
  get("by-label").addEventListener("change", anew);
  get("by-speaker").addEventListener("change", anew);
  get("more").addEventListener("click", () => { limit += PAGE; list(); });
  get("table").addEventListener("toggle", list);
  new ResizeObserver(draw).observe(near.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  go(rows.length ? rows[0][START] : 0);
})();
