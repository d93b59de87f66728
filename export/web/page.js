// The page: takes pictures from a camera or a film, has them painted, and shows them.

import { metadataOf } from "./metadata.js";

const $ = (id) => document.getElementById(id);
const settings = new URLSearchParams(location.search); // model=URL, backend=wasm

// The painter answers every question with a message of the same id.
const painter = new Worker(new URL("painter.js", import.meta.url), { type: "module" });
const waiting = new Map();
painter.onmessage = ({ data: { id, ...answer } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (answer.error) reject(new Error(answer.error));
  else resolve(answer);
};
let questions = 0;
function ask(question, ...transfer) {
  return new Promise((resolve, reject) => {
    waiting.set(++questions, { resolve, reject });
    painter.postMessage({ id: questions, ...question }, transfer);
  });
}

function say(text, kind = "note") {
  $("message").textContent = text;
  $("message").className = kind;
}

// Styles.

let style; // { name, about, weights, size, note } of the file that is open; size: null for any
let opening = false;
let sizeChosen = false; // by the visitor; else what suits the machine

async function openStyle(name, bytes) {
  say(`Opening ${name} …`);
  opening = true;
  try {
    const about = metadataOf(new Uint8Array(bytes));
    const opened = await ask({ open: bytes, backend: settings.get("backend") }, bytes);
    const weights = Array.from({ length: opened.styles }, (_, index) => (index ? 0 : 1));
    style = { ...opened, about, weights, name: name.replace(/\.onnx$/, "") };
    showStyle();
  } catch (error) {
    say(`Cannot paint with ${name}: ${error.message}.`, "error");
  }
  opening = false;
  paintNewest(run);
}

function showStyle() {
  const { backend, threads, size, note, about, weights } = style;
  const title = (weights.length ? "" : about.painting) || style.name.replaceAll("_", " ");
  $("style").textContent = title;
  $("artist").textContent =
    title === about.painting ? [about.artist, about.year].filter(Boolean).join(", ") : "";
  $("mix").replaceChildren(...weights.map(slider));
  $("backend").value =
    backend === "webgpu" ? "WebGPU" : `WASM, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  $("size").disabled = Boolean(size);
  if (!sizeChosen) $("size").value = backend === "wasm" && threads <= 4 ? 256 : 360;
  for (const id of ["camera", "film"]) $(id).disabled = false;
  document.body.classList.add("ready");
  say(note);
}

// For the weight of one of several styles in a file.
function slider(weight, index) {
  const label = document.createElement("label");
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 0, max: 1, step: 0.01, value: weight });
  range.oninput = () => (style.weights[index] = Number(range.value));
  const names = JSON.parse(style.about.styles ?? "[]");
  label.append((names[index] ?? `style ${index + 1}`).replaceAll("_", " "), range);
  return label;
}

async function openUrl(url) {
  say(`Fetching ${url} …`);
  const name = url.split("/").pop();
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    await openStyle(name, await response.arrayBuffer());
  } catch (error) {
    say(`Cannot fetch ${url}: ${error.message}.`, "error");
  }
}

// Sources: a camera, or a film that plays again and again.

const video = $("video");

async function startCamera() {
  if (!navigator.mediaDevices) {
    return say("Browsers give cameras to https:// and localhost only: open this page there.", "error");
  }
  try {
    const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
    stream.getTracks()[0].onended = () => {
      stop();
      say("The camera went away: plug it in and start it again.", "error");
    };
    await start({ srcObject: stream });
  } catch (error) {
    say(CAMERA_TROUBLE[error.name] ?? `The camera cannot be opened: ${error.message}`, "error");
  }
}

const CAMERA_TROUBLE = {
  NotAllowedError: "The camera was not allowed: allow it beside the address, or play a film.",
  NotFoundError: "There is no camera: plug one in, or play a film.",
  NotReadableError: "The camera is in use by another program: close that, or play a film.",
};

async function playFilm(file) {
  try {
    await start({ src: URL.createObjectURL(file) });
  } catch {
    stop();
    say(`This browser cannot play ${file.name}: try an .mp4 (H.264) or a .webm.`, "error");
  }
}

async function start(source) {
  stop();
  Object.assign(video, source);
  await video.play();
  say(style.note);
  document.body.classList.add("running");
  $("camera").hidden = !($("stop").hidden = false);
  run = { fresh: true, shown: [] };
  watch(run);
  paintNewest(run);
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

// The loop. Only the newest picture is painted: those that come meanwhile are never queued.

let run = null; // { fresh: a picture has come that is not painted, shown: when the last ones were }
let busy = false;

function watch(current) {
  video.requestVideoFrameCallback(() => {
    if (run !== current) return;
    current.fresh = true;
    paintNewest(current);
    watch(current);
  });
}

async function paintNewest(current) {
  if (busy || opening || !current?.fresh || run !== current) return;
  busy = true;
  current.fresh = false;
  try {
    const began = performance.now();
    const picture = await grab(...(style.size ?? sizeOf(video)));
    const answer = await ask({ paint: picture, weights: style.weights }, picture);
    if (run === current) show(answer, performance.now() - began);
  } catch (error) {
    if (run === current) {
      stop();
      say(`Painting failed (${error.message}): choose a smaller size, or add ?backend=wasm.`, "error");
    }
  }
  busy = false;
  paintNewest(run); // a run that began meanwhile had to wait
}

// The middle of what the video shows now, as large as fits those proportions, in that size.
function grab(resizeHeight, resizeWidth) {
  const { videoHeight, videoWidth } = video;
  const height = Math.min(videoHeight, Math.round((videoWidth * resizeHeight) / resizeWidth));
  const width = Math.min(videoWidth, Math.round((videoHeight * resizeWidth) / resizeHeight));
  const [x, y] = [(videoWidth - width) >> 1, (videoHeight - height) >> 1];
  const options = { resizeWidth, resizeHeight, resizeQuality: "medium" };
  return createImageBitmap(video, x, y, width, height, options);
}

// Height and width, with the short side as asked for, but never larger than they come.
function sizeOf({ videoHeight, videoWidth }) {
  const scale = Math.min(1, Number($("size").value) / Math.min(videoHeight, videoWidth));
  return [videoHeight, videoWidth].map((side) => Math.max(16, Math.round(side * scale)));
}

function show({ original, painted, ms }, delay) {
  const { width, height } = painted;
  for (const [id, picture] of Object.entries({ original, painted })) {
    const canvas = $(id);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(picture, 0, 0);
  }
  $("stage").style.setProperty("--ratio", width / height);
  document.body.classList.add("painted");
  $("snapshot").disabled = false;

  const { shown } = run;
  shown.push(performance.now());
  if (shown.length > 20) shown.shift();
  const fps = shown.length > 1 ? (1000 * (shown.length - 1)) / (shown.at(-1) - shown[0]) : 0;
  $("figures").value = `${width} × ${height} · ${fps.toFixed(1)} fps · ${ms.toFixed(0)} ms`;
  $("figures").title = `${ms.toFixed(1)} ms to paint, ${delay.toFixed(1)} ms from video to screen`;
}

function snapshot() {
  $("painted").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${style.name}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// What the visitor does.

async function take(file) {
  if (file.type.startsWith("video/")) {
    if (style) await playFilm(file);
    else say("Choose a style first.", "error");
  } else {
    await openStyle(file.name, await file.arrayBuffer());
  }
}

for (const id of ["model", "film"]) {
  $(id).onchange = ({ target }) => {
    if (target.files.length) take(target.files[0]);
    target.value = ""; // or else the same file could not be chosen again
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

// For other scripts: one ImageData in, one out, painted with the style that is open. Weights: those
// of the sliders, where a file has several styles and none are given.
window.impasto = {
  paint: async (picture, weights = style?.weights) =>
    (await ask({ paint: picture, weights })).painted,
};

if (settings.has("model")) openUrl(settings.get("model"));
