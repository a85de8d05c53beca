// A model card: the little Markdown that cards are written in, as elements (never as markup).

import { make } from "./words.js";

export function renderCard(text) {
  const parts = [];
  for (const block of text.split(/\n\s*\n/)) parts.push(...renderBlock(block.trim()));
  return parts;
}

function renderBlock(block) {
  if (!block) return [];
  const heading = block.match(/^(#{1,6})\s+([^\n]*)\n?([\s\S]*)/);
  if (heading) return [make(heading[1].length === 1 ? "h3" : "h4", {}, ...words(heading[2])), ...renderBlock(heading[3].trim())];
  const lines = block.split("\n");
  if (lines.length > 1 && /^\|[\s:|-]+\|?$/.test(lines[1])) return [renderTable(lines)];
  const list = lines.findIndex((line) => /^[*-]\s/.test(line));
  if (list === 0) return [renderList(lines)];
  if (list > 0) return [...renderBlock(lines.slice(0, list).join("\n")), renderList(lines.slice(list))];
  return [make("p", {}, ...words(lines.join(" ")))];
}

function renderList(lines) {
  const items = [];
  for (const line of lines) {
    if (/^[*-]\s/.test(line)) items.push(line.slice(2));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return make("ul", {}, ...items.map((item) => make("li", {}, ...words(item))));
}

function renderTable(lines) {
  const cells = (line) => line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const head = make("tr", {}, ...cells(lines[0]).map((cell) => make("th", { scope: "col" }, ...words(cell))));
  const rows = lines.slice(2).map((line) => make("tr", {}, ...cells(line).map((cell) => make("td", {}, ...words(cell)))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

function words(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.startsWith("`")) return make("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return make("strong", {}, part.slice(2, -2));
    return part;
  });
}
