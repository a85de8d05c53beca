// The microphone as parts of samples, and what was heard as a WAV file.

/** Opens the microphone; `heard` gets Float32Array parts. */
export async function openMicrophone(heard) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("This browser gives the microphone to secure pages only: open the page by localhost or https.");
  const source = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  const context = new AudioContext();
  await context.audioWorklet.addModule("/page/worklet.js");
  const node = new AudioWorkletNode(context, "gather", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  node.port.onmessage = ({ data }) => heard(data);
  context.createMediaStreamSource(source).connect(node);
  await context.resume();
  return {
    sampleRate: context.sampleRate,
    async close() {
      source.getTracks().forEach((track) => track.stop());
      node.port.onmessage = null;
      await context.close();
    },
  };
}

/** Samples as 16-bit integers, little endian. */
export function toIntegers(samples) {
  const integers = new Int16Array(samples.length);
  for (let place = 0; place < samples.length; place++) integers[place] = Math.max(-1, Math.min(1, samples[place])) * 32767;
  return integers;
}

/** Parts of 16-bit samples as a WAV file. */
export function toWav(parts, sampleRate) {
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const word = (place, text) => [...text].forEach((letter, index) => head.setUint8(place + index, letter.charCodeAt(0)));
  word(0, "RIFF"); head.setUint32(4, 36 + bytes, true); word(8, "WAVEfmt "); head.setUint32(16, 16, true);
  head.setUint16(20, 1, true); head.setUint16(22, 1, true); head.setUint32(24, sampleRate, true);
  head.setUint32(28, sampleRate * 2, true); head.setUint16(32, 2, true); head.setUint16(34, 16, true);
  word(36, "data"); head.setUint32(40, bytes, true);
  return new Blob([head, ...parts], { type: "audio/wav" });
}
