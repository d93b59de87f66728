// The page: shows the pictures of a camera or a video file, stylized by the worker in stylizer.js.

import { metadataOf } from "./metadata.js";

const $ = (id) => document.getElementById(id);
const settings = new URLSearchParams(location.search); // model=URL, backend=wasm

// The worker answers every request with a message of the same id.
const worker = new Worker(new URL("stylizer.js", import.meta.url), { type: "module" });
const waiting = new Map();
worker.onmessage = ({ data: { id, ...answer } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (answer.error) reject(new Error(answer.error));
  else resolve(answer);
};
let requests = 0;
function ask(request, ...transfer) {
  return new Promise((resolve, reject) => {
    waiting.set(++requests, { resolve, reject });
    worker.postMessage({ id: requests, ...request }, transfer);
  });
}

function report(text, kind = "note") {
  $("message").textContent = text;
  $("message").className = kind;
}

// Styles.

let style; // { name, metadata, weights, size, note } of the open file; size: null for any
let opening = false;
let sizeChosen = false; // by the user; else it depends on the backend

async function openStyle(name, bytes) {
  report(`Opening ${name} …`);
  opening = true;
  try {
    const metadata = metadataOf(new Uint8Array(bytes));
    const opened = await ask({ open: bytes, backend: settings.get("backend") }, bytes);
    const weights = Array.from({ length: opened.styles }, (_, index) => (index ? 0 : 1));
    style = { ...opened, metadata, weights, name: name.replace(/\.onnx$/, "") };
    showStyle();
  } catch (error) {
    report(`Cannot open ${name}: ${error.message}.`, "error");
  }
  opening = false;
  stylizeNewest(run);
}

function showStyle() {
  const { backend, threads, size, note, metadata, weights } = style;
  const title = (weights.length ? "" : metadata.painting) || style.name.replaceAll("_", " ");
  $("style").textContent = title;
  $("artist").textContent =
    title === metadata.painting ? [metadata.artist, metadata.year].filter(Boolean).join(", ") : "";
  $("mix").replaceChildren(...weights.map(slider));
  $("backend").value =
    backend === "webgpu" ? "WebGPU" : `WASM, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  $("size").disabled = Boolean(size);
  if (!sizeChosen) $("size").value = backend === "wasm" && threads <= 4 ? 256 : 360;
  for (const id of ["camera", "file"]) $(id).disabled = false;
  document.body.classList.add("ready");
  report(note);
}

// The slider for the weight of one of several styles.
function slider(weight, index) {
  const label = document.createElement("label");
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 0, max: 1, step: 0.01, value: weight });
  range.oninput = () => (style.weights[index] = Number(range.value));
  const names = JSON.parse(style.metadata.styles ?? "[]");
  label.append((names[index] ?? `style ${index + 1}`).replaceAll("_", " "), range);
  return label;
}

async function openUrl(url) {
  report(`Fetching ${url} …`);
  const name = url.split("/").pop();
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    await openStyle(name, await response.arrayBuffer());
  } catch (error) {
    report(`Cannot fetch ${url}: ${error.message}.`, "error");
  }
}

// Sources: a camera, or a video file that plays in a loop.

const video = $("video");

async function startCamera() {
  if (!navigator.mediaDevices) {
    return report("Browsers allow cameras on https:// and localhost only: open this page there.", "error");
  }
  try {
    const constraints = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" };
    const stream = await navigator.mediaDevices.getUserMedia({ video: constraints });
    stream.getTracks()[0].onended = () => {
      stop();
      report("The camera was disconnected: plug it in and start it again.", "error");
    };
    await start({ srcObject: stream });
  } catch (error) {
    report(CAMERA_ERRORS[error.name] ?? `The camera cannot be opened: ${error.message}`, "error");
  }
}

const CAMERA_ERRORS = {
  NotAllowedError: "The camera was not allowed: allow it in the address bar, or play a video.",
  NotFoundError: "No camera found: plug one in, or play a video.",
  NotReadableError: "The camera is in use by another program: close that, or play a video.",
};

async function playFile(file) {
  try {
    await start({ src: URL.createObjectURL(file) });
  } catch {
    stop();
    report(`This browser cannot play ${file.name}: try an .mp4 (H.264) or a .webm.`, "error");
  }
}

async function start(source) {
  stop();
  Object.assign(video, source);
  await video.play();
  report(style.note);
  document.body.classList.add("running");
  $("camera").hidden = !($("stop").hidden = false);
  run = { fresh: true, shown: [] };
  watch(run);
  stylizeNewest(run);
}

function stop() {
  run = null;
  video.pause();
  video.srcObject?.getTracks().forEach((track) => track.stop());
  URL.revokeObjectURL(video.src);
  video.srcObject = null;
  video.removeAttribute("src");
  document.body.classList.remove("running");
  $("camera").hidden = !($("stop").hidden = true);
}

// The loop. Only the newest picture is stylized; pictures that arrive meanwhile are not queued.

let run = null; // { fresh: a new picture is ready, shown: times at which the last ones were shown }
let busy = false;

function watch(current) {
  video.requestVideoFrameCallback(() => {
    if (run !== current) return;
    current.fresh = true;
    stylizeNewest(current);
    watch(current);
  });
}

async function stylizeNewest(current) {
  if (busy || opening || !current?.fresh || run !== current) return;
  busy = true;
  current.fresh = false;
  try {
    const began = performance.now();
    const picture = await grab(...(style.size ?? sizeOf(video)));
    const answer = await ask({ stylize: picture, weights: style.weights }, picture);
    if (run === current) show(answer, performance.now() - began);
  } catch (error) {
    if (run === current) {
      stop();
      report(`Stylizing failed (${error.message}): choose a smaller size, or add ?backend=wasm.`, "error");
    }
  }
  busy = false;
  stylizeNewest(run); // for a run that began meanwhile
}

// The largest centered crop of the current picture with the proportions of this size, resized to it.
function grab(resizeHeight, resizeWidth) {
  const { videoHeight, videoWidth } = video;
  const height = Math.min(videoHeight, Math.round((videoWidth * resizeHeight) / resizeWidth));
  const width = Math.min(videoWidth, Math.round((videoHeight * resizeWidth) / resizeHeight));
  const [x, y] = [(videoWidth - width) >> 1, (videoHeight - height) >> 1];
  const options = { resizeWidth, resizeHeight, resizeQuality: "medium" };
  return createImageBitmap(video, x, y, width, height, options);
}

// [height, width] with the short side as chosen, but not larger than the source.
function sizeOf({ videoHeight, videoWidth }) {
  const scale = Math.min(1, Number($("size").value) / Math.min(videoHeight, videoWidth));
  return [videoHeight, videoWidth].map((side) => Math.max(16, Math.round(side * scale)));
}

function show({ original, stylized, ms }, delay) {
  const { width, height } = stylized;
  for (const [id, picture] of Object.entries({ original, stylized })) {
    const canvas = $(id);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(picture, 0, 0);
  }
  $("stage").style.setProperty("--ratio", width / height);
  document.body.classList.add("stylized");
  $("snapshot").disabled = false;

  const { shown } = run;
  shown.push(performance.now());
  if (shown.length > 20) shown.shift();
  const fps = shown.length > 1 ? (1000 * (shown.length - 1)) / (shown.at(-1) - shown[0]) : 0;
  $("figures").value = `${width} × ${height} · ${fps.toFixed(1)} fps · ${ms.toFixed(0)} ms`;
  $("figures").title = `${ms.toFixed(1)} ms to stylize, ${delay.toFixed(1)} ms from video to screen`;
}

function snapshot() {
  $("stylized").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${style.name}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// Events.

async function take(file) {
  if (file.type.startsWith("video/")) {
    if (style) await playFile(file);
    else report("Choose a style first.", "error");
  } else {
    await openStyle(file.name, await file.arrayBuffer());
  }
}

for (const id of ["model", "file"]) {
  $(id).onchange = ({ target }) => {
    if (target.files.length) take(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  };
}
$("size").onchange = () => (sizeChosen = true);
$("camera").onclick = startCamera;
$("stop").onclick = () => stop();
$("snapshot").onclick = snapshot;
$("compare").oninput = ({ target }) => $("stage").style.setProperty("--split", `${target.value}%`);
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("over");
};
document.ondragleave = ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("over");
};
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
};

// For other scripts: stylizes an ImageData with the open style, and returns an ImageData. weights: for
// a file with several styles; by default those of the sliders.
async function stylize(picture, weights = style?.weights) {
  return (await ask({ stylize: picture, weights })).stylized;
}
window.impasto = { stylize, paint: stylize }; // paint: its earlier name

if (settings.has("model")) openUrl(settings.get("model"));
