// The page that facenas runs networks in: what it is asked for through DevTools, it does here.
import * as ort from "./ort/ort.mjs";
import { hasSimd, run } from "./facenas.js";

const KEPT = 24; // sessions; the heap of WebAssembly ends at 4 GB
const sessions = new Map();
let executionProviders;
let lost = false;

async function sessionOf(name) {
  let found = sessions.get(name);
  sessions.delete(name);
  if (!found) {
    for (const [oldest, session] of sessions) {
      if (sessions.size < KEPT) break;
      sessions.delete(oldest);
      await session.release();
    }
    const reply = await fetch(name);
    if (!reply.ok) throw new Error(`the model is gone (${reply.status})`);
    found = await ort.InferenceSession.create(await reply.arrayBuffer(), { executionProviders });
    if (executionProviders[0] === "webgpu") (await ort.env.webgpu.device).lost.then(() => (lost = true));
  }
  sessions.set(name, found);
  return found;
}

function random(count) {
  const values = new Float32Array(count);
  for (let index = 0, state = 1; index < count; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[index] = state / 2 ** 31 - 1;
  }
  return values;
}

window.page = {
  async start(threads, provider) {
    if (!hasSimd()) throw new Error("this browser has no WebAssembly SIMD");
    executionProviders = [provider];
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = new URL("./ort/", location.href).href;
    return crossOriginIsolated;
  },
  /** Whether the GPU was lost, so that nothing works any more until the browser is started again. */
  async lost() {
    await new Promise((soon) => setTimeout(soon, 200)); // an error comes before the word of it
    return lost;
  },
  async load(model) {
    await sessionOf(model);
  },
  /** The outputs of the values at the address `input`: what each is, and all values together put to the address `output`. */
  async run(model, input, output, width, height) {
    const planes = new Float32Array(await (await fetch(input)).arrayBuffer());
    const outputs = await run(ort, await sessionOf(model), planes, { width, height });
    const names = Object.keys(outputs);
    await fetch(output, { method: "PUT", body: new Blob(names.map((name) => outputs[name].data)) });
    return names.map((name) => ({ name, dims: outputs[name].dims }));
  },
  /** Milliseconds of each of `runs` runs that follow `warmUp` runs. */
  async time(model, runs, warmUp, width, height) {
    const session = await sessionOf(model);
    const planes = random(3 * width * height);
    const taken = [];
    for (let index = -warmUp; index < runs; index++) {
      const start = performance.now();
      await run(ort, session, planes, { width, height });
      if (index >= 0) taken.push(performance.now() - start);
    }
    return taken;
  },
};
document.title = "ready";
