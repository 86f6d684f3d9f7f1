// Finds faces in a browser with a model that `facenas export --format web` wrote. Needs onnxruntime-web and nothing else:
//
//     import * as ort from "./ort/ort.wasm.min.mjs";
//     import { FaceDetector } from "./facenas.js";
//     const detector = await FaceDetector.load(ort, "model.onnx");
//     const { faces, milliseconds } = await detector.detect(await createImageBitmap(file));
//
// A face is { box: [x1, y1, x2, y2], score, landmarks: [[x, y], ...] or null }, in pixels of the picture. The steps are those of
// facenas itself, with the same numbers: letterbox, run, decode, suppress.

/** What the model says of itself. */
export const DESCRIPTION = /* description */ null;

/** What runs the model, as onnxruntime-web names it: wasm, or webgpu where the browser has it. */
export const PROVIDER = /* provider */ "wasm";

const STRIDES = [8, 16, 32];
const ANCHORS = 2;
const LANDMARKS = 5;
const CANDIDATES = 5000;
const AREA_BELOW = 0.5;
/** A picture with a longer side is scaled by the browser first: its pixels alone would take half a gigabyte. */
const LONGEST_PX = 4096;

/** RGBA pixels { data, width, height } scaled in ratio into the top left of `input` { width, height }, the rest black:
 *  { planes: Float32Array [3, height, width], normalised, scale }. Bilinear, but by area when shrinking to less than half. */
export function letterbox(pixels, input, preprocessing) {
  const scale = Math.min(input.width / pixels.width, input.height / pixels.height);
  const width = Math.max(1, Math.min(input.width, roundHalfToEven(pixels.width * scale)));
  const height = Math.max(1, Math.min(input.height, roundHalfToEven(pixels.height * scale)));
  const byArea = width < AREA_BELOW * pixels.width || height < AREA_BELOW * pixels.height;
  const weights = byArea ? areaWeights : bilinearWeights;
  const rgb = resample(pixels, weights(pixels.width, width), weights(pixels.height, height));
  const { mean, standard_deviation: deviation, colour_order: order } = preprocessing;
  const means = Array.isArray(mean) ? mean : [mean, mean, mean];
  const area = input.width * input.height;
  const planes = new Float32Array(3 * area);
  const factor = Math.fround(1 / deviation);
  for (let plane = 0; plane < 3; plane++) {
    const source = order === "BGR" ? 2 - plane : plane;
    planes.fill(Math.fround(Math.fround(-means[plane]) * factor), plane * area, (plane + 1) * area);
    for (let y = 0; y < height; y++) {
      for (let x = 0, to = plane * area + y * input.width, from = 3 * y * width + source; x < width; x++, from += 3) {
        planes[to + x] = Math.fround(rgb[from] - means[plane]) * factor;
      }
    }
  }
  return { planes, scale };
}

function roundHalfToEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/** For each of `to` places the first of `from` places that it is made of, and their shares. */
function areaWeights(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, place) => {
    const start = place * scale;
    const end = Math.min(from, start + scale);
    const first = Math.floor(start + 1e-9);
    const shares = [];
    for (let each = first; each < end - 1e-9; each++) {
      shares.push((Math.min(end, each + 1) - Math.max(start, each)) / (end - start));
    }
    return { first, shares };
  });
}

function bilinearWeights(from, to) {
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * (from / to) - 0.5;
    if (centre <= 0) return { first: 0, shares: [1] };
    if (centre >= from - 1) return { first: from - 1, shares: [1] };
    const first = Math.floor(centre);
    const share = Math.round((centre - first) * 2048) / 2048;
    return { first, shares: [1 - share, share] };
  });
}

/** RGB bytes of RGBA pixels, resampled by the weights of columns and of rows. */
function resample({ data, width }, columns, rows) {
  const out = new Uint8ClampedArray(3 * columns.length * rows.length);
  const lines = new Map(); // source rows already resampled by columns, as floats
  const line = (y) => {
    let found = lines.get(y);
    if (!found) {
      found = new Float32Array(3 * columns.length);
      columns.forEach(({ first, shares }, x) => {
        for (let colour = 0; colour < 3; colour++) {
          let sum = 0;
          for (let each = 0; each < shares.length; each++) sum += shares[each] * data[4 * (y * width + first + each) + colour];
          found[3 * x + colour] = sum;
        }
      });
      lines.set(y, found);
    }
    return found;
  };
  rows.forEach(({ first, shares }, y) => {
    for (const done of lines.keys()) if (done < first) lines.delete(done);
    const sums = new Float64Array(3 * columns.length);
    shares.forEach((share, each) => line(first + each).forEach((value, index) => (sums[index] += share * value)));
    out.set(sums.map(Math.round), 3 * y * columns.length);
  });
  return out;
}

/** The outputs by name, { data: Float32Array, dims }, of planes [3, height, width]. */
export async function run(ort, session, planes, input) {
  const image = new ort.Tensor("float32", planes, [1, 3, input.height, input.width]);
  return session.run({ [session.inputNames[0]]: image });
}

/** All candidates with at least `leastScore`, best first. Cell (x, y) of stride s has its centre at (x s, y s), the distances to
 *  the sides of its box and the offsets of landmarks are in units of s. */
export function decode(outputs, leastScore) {
  const leastLogit = Math.fround(Math.log(leastScore) - Math.log1p(-leastScore));
  const found = [];
  for (const stride of STRIDES) {
    const { data, dims } = outputs[`output_${stride}`];
    const [, channels, height, width] = dims;
    const area = height * width;
    const value = (channel, place) => data[channel * area + place];
    for (let anchor = 0; anchor < ANCHORS; anchor++) {
      for (let place = 0; place < area; place++) {
        const logit = value(anchor, place);
        if (!(logit >= leastLogit)) continue;
        const x = (place % width) * stride;
        const y = Math.floor(place / width) * stride;
        const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => {
          return Math.fround(value(ANCHORS + 4 * anchor + side, place) * stride);
        });
        const box = [x - left, y - top, x + right, y + bottom].map(Math.fround);
        const from = 5 * ANCHORS + 2 * LANDMARKS * anchor;
        const landmarks =
          channels > from
            ? Array.from({ length: LANDMARKS }, (_, point) => [
                Math.fround(x + value(from + 2 * point, place) * stride),
                Math.fround(y + value(from + 2 * point + 1, place) * stride),
              ])
            : null;
        found.push({ box, score: Math.fround(1 / (1 + Math.exp(-Math.max(logit, -80)))), landmarks });
      }
    }
  }
  return found.sort((one, other) => other.score - one.score).slice(0, CANDIDATES);
}

/** Of faces, best first, those that no better one overlaps by more than `iou`; boxes without area are no faces. */
export function suppress(faces, iou) {
  const kept = [];
  for (const face of faces) {
    const [x1, y1, x2, y2] = face.box;
    if (x1 < x2 && y1 < y2 && kept.every((better) => !overlap(better.box, face.box, iou))) kept.push(face);
  }
  return kept;
}

function overlap(one, other, iou) {
  const width = Math.max(0, Math.min(one[2], other[2]) - Math.max(one[0], other[0]));
  const height = Math.max(0, Math.min(one[3], other[3]) - Math.max(one[1], other[1]));
  const common = width * height;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return common > iou * (area(one) + area(other) - common);
}

/** RGBA pixels of anything that can be drawn (image, bitmap, video), upright; of a giant picture those of a smaller copy, with
 *  the `shrink` from the picture to it. */
export async function pixelsOf(picture) {
  const width = picture.videoWidth || picture.naturalWidth || picture.width;
  const height = picture.videoHeight || picture.naturalHeight || picture.height;
  if (!width || !height) throw new Error("the picture has no pixels");
  const shrink = Math.min(1, LONGEST_PX / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * shrink)), Math.max(1, Math.round(height * shrink)));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error(`there is no memory for a picture of ${width} x ${height} pixels; give a smaller one`);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { data, width: canvas.width, height: canvas.height, shrink, full: { width, height } };
}

/** The browser's GPU in its words, "" where it gives none to the page. */
export async function gpuOf() {
  const info = (await navigator.gpu?.requestAdapter().catch(() => null))?.info;
  return info ? [info.vendor, info.architecture, info.description].filter(Boolean).join(" ") || "GPU" : "";
}

/** Whether the browser computes on several values at once in WebAssembly, which onnxruntime-web cannot do without. */
export function hasSimd() {
  const header = [0, 97, 115, 109, 1, 0, 0, 0];
  const types = [1, 5, 1, 96, 0, 1, 123]; // of one function that gives a v128
  const code = [3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]; // i32.const 0, i8x16.splat, i8x16.popcnt
  return WebAssembly.validate(new Uint8Array([...header, ...types, ...code]));
}

export class FaceDetector {
  constructor(ort, session, description, provider = "wasm") {
    this.ort = ort;
    this.session = session;
    this.description = description;
    this.provider = provider;
    const [width, height] = description.input.split("x").map(Number);
    this.input = { width, height };
  }

  /** `model`: an address or the bytes of a model; `threads`: more than one only on a page that is cross-origin isolated;
   *  `provider`: webgpu becomes wasm in a browser that gives no GPU to the page. */
  static async load(ort, model, { description = DESCRIPTION, threads = 1, provider = PROVIDER } = {}) {
    if (!hasSimd()) throw new Error("this browser has no WebAssembly SIMD; use one of 2021 or later");
    ort.env.wasm.numThreads = threads;
    const used = provider === "webgpu" && !(await gpuOf()) ? "wasm" : provider;
    const session = await ort.InferenceSession.create(model, { executionProviders: [used] });
    return new FaceDetector(ort, session, description, used);
  }

  /** The faces of a picture, best first, with at least `leastScore`, and how long the network alone took. */
  async detect(picture, leastScore = 0.3) {
    return this.detectPixels(await pixelsOf(picture), leastScore);
  }

  /** As `detect`, of RGBA pixels { data, width, height }. */
  async detectPixels(pixels, leastScore = 0.3) {
    const { planes, scale } = letterbox(pixels, this.input, this.description.preprocessing);
    const start = performance.now();
    const outputs = await run(this.ort, this.session, planes, this.input);
    const milliseconds = performance.now() - start;
    const shrink = pixels.shrink ?? 1;
    const { width, height } = pixels.full ?? pixels;
    const factor = Math.fround(scale) * shrink;
    const faces = suppress(decode(outputs, leastScore), this.description.nms_iou).map((face) => ({
      box: face.box.map((side, index) => Math.min(Math.max(side / factor, 0), index % 2 ? height : width)),
      score: face.score,
      landmarks: face.landmarks && face.landmarks.map((point) => point.map((value) => value / factor)),
    }));
    return { faces, milliseconds };
  }
}
