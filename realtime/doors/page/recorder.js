// The audio worklet behind `recordMuLaw`: hands over 512 samples (32 ms at 16 kHz) at a time.
registerProcessor(
  "recorder",
  class extends AudioWorkletProcessor {
    constructor() {
      super();
      this.buffer = new Float32Array(512);
      this.filled = 0;
    }

    process([[samples]]) {
      for (const sample of samples || []) {
        this.buffer[this.filled++] = sample;
        if (this.filled === this.buffer.length) {
          this.port.postMessage(this.buffer.slice());
          this.filled = 0;
        }
      }
      return true;
    }
  },
);
