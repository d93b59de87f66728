// Runs an exported file on onnxruntime-web: a worker, so that the page never waits for it.
//
// Takes  { id, open: ArrayBuffer, backend }   answers  { id, backend, threads, note, size, styles }
//        { id, stylize: picture, weights }    answers  { id, original, stylized, ms }
// or, on failure, { id, error }. A picture to stylize is an ImageBitmap or ImageData, those in
// answers are ImageData; weights: one number for each style of a file with several.

const RUNTIME = new URL("node_modules/onnxruntime-web/dist/", import.meta.url).href;
const TRIAL = [48, 64]; // height and width of the picture with which every new file is tried

let session; // the file that is open
let ort; // the runtime of the session
let work = Promise.resolve(); // one request after another

onmessage = ({ data }) => {
  work = work.then(async () => {
    try {
      const answer = await (data.open ? open(data.open, data.backend) : stylize(data.stylize, data.weights));
      const pictures = [answer.original, answer.stylized].filter(Boolean);
      postMessage({ id: data.id, ...answer }, pictures.map((picture) => picture.data.buffer));
    } catch (error) {
      postMessage({ id: data.id, error: oneLine(error) });
    }
  });
};

// On WebGPU, or else on WASM with a note that says why. If this fails, the previous file stays open.
async function open(bytes, backend) {
  let note = "";
  if (backend !== "wasm") {
    let reason = await whyNoWebgpu();
    try {
      if (!reason) return await openOn("webgpu", bytes);
    } catch (error) {
      if (error instanceof WrongFile) throw error;
      reason = `WebGPU could not run this file (${oneLine(error)})`;
    }
    note = `${reason}, so it runs on the CPU.`;
  }
  const opened = await openOn("wasm", bytes);
  if (!crossOriginIsolated) note += " It uses one thread only: serve the page with serve.py for more.";
  return { ...opened, note };
}

async function whyNoWebgpu() {
  if (!navigator.gpu) return "This browser has no WebGPU";
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  return adapter ? "" : "WebGPU found no GPU";
}

async function openOn(backend, bytes) {
  const runtime = await import(`${RUNTIME}ort.${backend}.min.mjs`).catch(() => {
    throw new Error("onnxruntime-web is missing: run `npm install` in export/web");
  });
  runtime.env.wasm.wasmPaths = RUNTIME;
  runtime.env.wasm.numThreads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
  const opened = await create(runtime, backend, bytes);
  const { size, styles } = inputsOf(opened);
  const [height, width] = size ?? TRIAL;
  const weights = new Array(styles).fill(1 / styles);
  await run(runtime, opened, new Uint8Array(3 * height * width), height, width, weights);
  await session?.release();
  [session, ort] = [opened, runtime];
  return { backend, threads: runtime.env.wasm.numThreads, size, styles };
}

async function create(runtime, backend, bytes) {
  try {
    return await runtime.InferenceSession.create(new Uint8Array(bytes), {
      executionProviders: [backend],
      logSeverityLevel: 3, // errors only: shape operators always run on the CPU
    });
  } catch (error) {
    if (/protobuf|INVALID_GRAPH|INVALID_ARGUMENT/i.test(error.message)) throw new WrongFile("it is not an ONNX file");
    throw error;
  }
}

class WrongFile extends Error {}

// { size: [height, width], or null for any size; styles: the number of weights } of a session.
function inputsOf({ inputMetadata: inputs, outputMetadata: outputs }) {
  const isPicture = ({ type, shape }) =>
    type === "uint8" && shape.length === 4 && shape[3] === 3 && !(shape[0] > 1);
  const [pictures, others] = [inputs.filter(isPicture), inputs.filter((one) => !isPicture(one))];
  const areWeights = ({ type, shape }) => type === "float32" && shape.length === 1 && shape[0] > 0;
  if (
    pictures.length !== 1 || others.length > 1 || !others.every(areWeights) ||
    outputs.length !== 1 || !isPicture(outputs[0])
  ) {
    const list = (all) => all.map(({ type, shape }) => `${type} (${shape?.join(", ")})`).join(" and ");
    throw new WrongFile(
      `its inputs are ${list(inputs)} and its outputs ${list(outputs)}, where uint8 (n, height, width, 3) ` +
        "is required for both; write one with `impasto export`",
    );
  }
  const [, height, width] = pictures[0].shape;
  const fixed = typeof height === "number" && typeof width === "number";
  return { size: fixed ? [height, width] : null, styles: others[0]?.shape[0] ?? 0 };
}

async function stylize(picture, weights) {
  if (!session) throw new Error("no style is open");
  const original = picture instanceof ImageData ? picture : pixelsOf(picture);
  const { width, height } = original;
  const began = performance.now();
  const rgb = await run(ort, session, rgbOf(original.data), height, width, weights);
  const ms = performance.now() - began;
  return { original, stylized: new ImageData(rgbaOf(rgb), width, height), ms };
}

// Stylizes (height, width, 3) RGB bytes. The output's name is not used: it differs between versions.
async function run(runtime, opened, rgb, height, width, weights) {
  const feeds = {};
  for (const { name, type } of opened.inputMetadata) {
    feeds[name] =
      type === "uint8"
        ? new runtime.Tensor("uint8", rgb, [1, height, width, 3])
        : new runtime.Tensor("float32", Float32Array.from(weights), [weights.length]);
  }
  const outputs = await opened.run(feeds);
  return outputs[opened.outputNames[0]].data;
}

let canvas;
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  canvas ??= new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  Object.assign(canvas.canvas, { width, height });
  canvas.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.getImageData(0, 0, width, height);
}

function rgbOf(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 2) {
    rgb[to++] = rgba[from++];
    rgb[to++] = rgba[from++];
    rgb[to++] = rgba[from];
  }
  return rgb;
}

function rgbaOf(rgb) {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4);
  for (let from = 0, to = 0; from < rgb.length; ) {
    rgba[to++] = rgb[from++];
    rgba[to++] = rgb[from++];
    rgba[to++] = rgb[from++];
    rgba[to++] = 255;
  }
  return rgba;
}

function oneLine(error) {
  return String(error?.message ?? error).split("\n")[0];
}
