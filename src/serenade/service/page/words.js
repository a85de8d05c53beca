// Names, numbers and colours as people read them.

// Hues far apart, told apart by people who see red and green alike, and of even lightness, so that none shouts.
const COLOURS = {
  angry: "#e0443e", happy: "#eda81b", sad: "#3f7fd6", neutral: "#8d93a5", fearful: "#8a55d6", disgusted: "#5d9c3b",
  surprised: "#e879b9", bored: "#2fa59a", calm: "#7fc8a9", excited: "#f2762e", contemptuous: "#a0713d", frustrated: "#b0486f",
};
const OTHERS = ["#e0443e", "#3f7fd6", "#eda81b", "#8a55d6", "#2fa59a", "#e879b9", "#5d9c3b", "#f2762e", "#8d93a5", "#a0713d"];

export function colourOf(label, labels) {
  return COLOURS[label] ?? OTHERS[Math.max(0, labels.indexOf(label)) % OTHERS.length];
}

export function clock(seconds, tenths = false) {
  const whole = Math.max(0, seconds);
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = tenths ? (Math.floor(whole * 10) / 10 % 60).toFixed(1).padStart(4, "0") : String(Math.floor(whole) % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export const percent = (share) => `${Math.round(share * 100)} %`;

/** An element with properties and children; text is never read as markup. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "scope") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** A swatch of a colour; styles are set by script, since the page's policy allows none in the markup. */
export function swatch(colour) {
  const element = make("span", { className: "swatch", "aria-hidden": "true" });
  element.style.background = colour;
  return element;
}
