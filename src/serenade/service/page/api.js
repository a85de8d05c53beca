// Talking to the service: one place for keys, problems and lines.

const KEY = "serenade-key";
let askForKey = async () => null;

export function onKeyNeeded(ask) { askForKey = ask; }
export const keyNow = () => sessionStorage.getItem(KEY);

/** What went wrong, in the service's words. */
export class Problem extends Error {
  constructor(problem) { super(problem.detail || problem.title); this.kind = problem.kind; this.title = problem.title; }
}

async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  if (keyNow()) headers.set("Authorization", `Bearer ${keyNow()}`);
  let answer;
  try { answer = await fetch(path, { ...options, headers }); }
  catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ kind: "gone", title: "No answer", detail: "The service does not answer. Is it still running?" });
  }
  if (answer.status === 401) {
    const key = await askForKey();
    if (key) { sessionStorage.setItem(KEY, key); return send(path, options); }
  }
  if (!answer.ok) {
    let problem = { kind: "internal", title: `Error ${answer.status}`, detail: answer.statusText };
    try { problem = await answer.json(); } catch { /* not one of ours */ }
    throw new Problem(problem);
  }
  return answer;
}

export const json = async (path, options) => (await send(path, options)).json();

function form(file, speakers) {
  const data = new FormData();
  if (speakers) data.append("speakers", speakers, "speakers");
  data.append("file", file, "recording");
  return data;
}

/** The lines of an answer, one by one, while the recording is still being heard; `speakers` is RTTM or nothing. */
export async function* recognize(file, speakers, wishes, signal) {
  const answer = await send(`/v1/recognize?${new URLSearchParams(wishes)}`,
    { method: "POST", body: form(file, speakers), headers: { Accept: "application/x-ndjson" }, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield checked(JSON.parse(line));
  }
}

function checked(line) {
  if (line.kind === "problem") throw new Problem(line.problem);
  return line;
}

export const explain = (file, wishes) => json(`/v1/explain?${new URLSearchParams(wishes)}`, { method: "POST", body: form(file) });

/** The page of a recording, which the service makes anew: it keeps no sound. */
export async function recordingPage(file, speakers, wishes) {
  const asked = new URLSearchParams({ ...wishes, format: "html" });
  return (await send(`/v1/recognize?${asked}`, { method: "POST", body: form(file, speakers) })).blob();
}

export async function convert(format, timeline) {
  const answer = await send(`/v1/convert/${format}`,
    { method: "POST", body: JSON.stringify(timeline), headers: { "Content-Type": "application/json" } });
  return answer.blob();
}

/** A live stream: `feed` samples, `stop`, and lines come to `told`; `ended` is called once, with a problem or nothing. */
export function stream(opening, told, ended) {
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/v1/stream`);
  let over = false;
  const end = (problem) => { if (!over) { over = true; ended(problem); socket.close(); } };
  socket.binaryType = "arraybuffer";
  const waiting = [];
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "start", ...opening, ...(keyNow() ? { key: keyNow() } : {}) }));
    for (const part of waiting.splice(0)) socket.send(part);
  };
  socket.onmessage = ({ data }) => {
    const line = JSON.parse(data);
    if (line.kind === "problem") end(new Problem(line.problem));
    else { told(line); if (line.kind === "end") end(null); }
  };
  socket.onclose = () => end(new Problem({ kind: "gone", title: "The line broke", detail: "The service ended the stream." }));
  const push = (part) => { if (socket.readyState === WebSocket.OPEN) socket.send(part); else if (!over) waiting.push(part); };
  return { feed: push, stop: () => push(JSON.stringify({ type: "stop" })) };
}
