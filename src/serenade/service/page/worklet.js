// Runs beside the page's thread: gathers the microphone's samples in parts of a fifteenth of a second.

class Gather extends AudioWorkletProcessor {
  constructor() {
    super();
    this.part = new Float32Array(Math.round(sampleRate / 15));
    this.filled = 0;
  }

  process([channels]) {
    const samples = channels[0];
    if (!samples) return true;
    for (let place = 0; place < samples.length;) {
      const count = Math.min(samples.length - place, this.part.length - this.filled);
      this.part.set(samples.subarray(place, place + count), this.filled);
      this.filled += count;
      place += count;
      if (this.filled === this.part.length) {
        this.port.postMessage(this.part.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("gather", Gather);
