// What an answer rests on: pictures of the sound with maps over them, drawn from bytes.

import { clock } from "./words.js";

const HEAT = [[13, 8, 32], [70, 20, 110], [150, 45, 110], [225, 90, 70], [250, 170, 60], [252, 250, 190]];

function heat(share) {
  const place = Math.min(0.9999, Math.max(0, share)) * (HEAT.length - 1), index = Math.floor(place), rest = place - index;
  return HEAT[index].map((value, channel) => value + (HEAT[index + 1][channel] - value) * rest);
}

const bytesOf = (picture) => Uint8Array.from(atob(picture.data), (letter) => letter.charCodeAt(0));
const valueOf = (picture, byte) => picture.low + (byte - 1) / 254 * (picture.high - picture.low);

/** Colour and opacity of a map's value: from nothing to full for shares; two colours for and against. */
function overlayColour(overlay, byte) {
  const value = valueOf(overlay, byte);
  if (overlay.scale === "signed") {
    const most = Math.max(Math.abs(overlay.low), Math.abs(overlay.high)) || 1, share = value / most;
    return [...(share >= 0 ? [255, 150, 40] : [60, 160, 255]), Math.abs(share)];
  }
  const low = overlay.scale === "share" ? Math.min(0, overlay.low) : overlay.low;
  const share = (value - low) / (overlay.high - low || 1);
  return [64, 224, 208, share];
}

/** Paint a picture and, over it, a map of the same rows (or of one row, which holds for all). */
export function paintPicture(canvas, picture, overlay, now) {
  const height = 190, scale = devicePixelRatio || 1, width = canvas.parentElement.clientWidth, left = 44, bottom = 18;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const image = new ImageData(picture.columns, picture.rows), bytes = bytesOf(picture), over = overlay ? bytesOf(overlay) : null;
  for (let row = 0; row < picture.rows; row++) {
    for (let column = 0; column < picture.columns; column++) {
      const byte = bytes[row * picture.columns + column], place = ((picture.rows - 1 - row) * picture.columns + column) * 4;
      let colour = byte ? heat((byte - 1) / 254) : [128, 128, 128];
      if (over) {
        const grey = byte ? 20 + (byte - 1) / 254 * 190 : 40;
        colour = [grey, grey, grey];
        const index = (overlay.rows === 1 ? 0 : Math.floor(row * overlay.rows / picture.rows)) * overlay.columns
          + Math.min(overlay.columns - 1, Math.floor(column * overlay.columns / picture.columns));
        if (over[index]) {
          const [red, green, blue, share] = overlayColour(overlay, over[index]), weight = Math.min(0.85, share * 0.85);
          colour = [red, green, blue].map((value, channel) => value * weight + colour[channel] * (1 - weight));
        }
      }
      image.data.set([...colour, 255], place);
    }
  }
  const small = new OffscreenCanvas(picture.columns, picture.rows);
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = picture.rows > 60;
  pen.drawImage(small, left, 0, width - left, height - bottom);
  paintTicks(pen, canvas, picture, width, height, left, bottom, now);
}

function paintTicks(pen, canvas, picture, width, height, left, bottom, now) {
  const ink = getComputedStyle(canvas).getPropertyValue("--muted");
  pen.fillStyle = ink; pen.font = "11px system-ui, sans-serif"; pen.textBaseline = "middle"; pen.textAlign = "right";
  for (const [row, name] of picture.ticks) {
    const y = (height - bottom) * (1 - (row + 0.5) / picture.rows);
    if (y > 4) pen.fillText(name, left - 6, Math.min(height - bottom - 5, y));
  }
  pen.textAlign = "left"; pen.textBaseline = "top";
  const length = picture.end_s - picture.start_s, x = (time) => left + (time - picture.start_s) / length * (width - left);
  const step = [0.25, 0.5, 1, 2, 5, 10].find((each) => each / length * (width - left) > 56) ?? 10;
  for (let time = Math.ceil(picture.start_s / step) * step; time < picture.end_s; time += step) pen.fillText(clock(time, step < 1), x(time), height - bottom + 4);
  if (now >= picture.start_s && now <= picture.end_s) { pen.fillStyle = "#ffffff"; pen.fillRect(x(now) - 1, 0, 2, height - bottom); }
}
