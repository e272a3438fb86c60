// The page of `snapws view`. Texts of a workspace enter it as text, never as markup.

// What the first picture needs is fetched while NiiVue is read.
const early = new Map();

function fetchEarly(path) {
  const answer = fetch(path);
  answer.catch(() => {});
  early.set(path, answer);
}

fetchEarly("workspaces.json");
let firstContents = ask("w/0/contents.json").then((contents) => {
  const first = contents.layers.find(isShownFirst);
  if (first) ["/1.json", ".nii"].forEach((end) => fetchEarly(`w/0/layer/${first.number}${end}`));
  return contents;
});
firstContents.catch(() => {}); // said when it is waited for

const { Niivue } = await import("./niivue.js");

const find = (name) => document.getElementById(name);
const canvas = find("canvas");
const PLANES = { axial: 0, coronal: 1, sagittal: 2, all: 3, volume: 4 };

const nv = new Niivue({
  backColor: [0, 0, 0, 1],
  crosshairColor: [0.36, 0.6, 1, 0.8],
  crosshairWidth: 0.3,
  crosshairWidthUnit: "percent",
  dragAndDropEnabled: false,
  isRadiologicalConvention: true,
  isSliceMM: true, // else slices show no meshes
  logLevel: "error",
  multiplanarShowRender: 0,
  sagittalNoseLeft: true,
  show3Dcrosshair: true,
  showLegend: false,
  viewModeHotKey: "",
});

const [NEVER, ALWAYS] = [0, 1]; // NiiVue's numbers of whether 3-D is beside the slices

let scene = null;
let time = 1;

function make(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text) made.textContent = text;
  return made;
}

function say(text, isBad = false) {
  find("state").textContent = text;
  find("state").classList.toggle("bad", isBad);
}

function isShownFirst(about) {
  return !about.error && !about.tile;
}

function answered(path) {
  const answer = early.get(path) ?? fetch(path);
  early.delete(path);
  return answer;
}

async function ask(path) {
  const answer = await answered(path);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error);
  return value;
}

async function bytes(path, display) {
  const answer = await answered(path);
  if (!answer.ok) throw new Error((await answer.json()).error);
  try {
    return await answer.arrayBuffer();
  } catch (error) {
    await display; // says why a file cannot be read to its end
    throw error;
  }
}

// Places: voxels of the main image, the frame in which NiiVue has it, and the workspace's mm.

const times = (matrix, [x, y, z]) =>
  matrix.slice(0, 3).map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);

function voxelAt(place) {
  const mm = nv.frac2mm(place);
  return times(scene.contents.voxels, [mm[0], mm[1], mm[2]]).map((one, axis) =>
    Math.min(scene.size[axis] - 1, Math.max(0, Math.round(one))));
}

function goTo(voxel) {
  const mm = times(scene.contents.straight, voxel);
  nv.scene.crosshairPos = nv.mm2frac(mm);
  nv.drawScene();
  showPlace();
}

// Layers: NiiVue has those that were shown once, in the order of the list.

async function load(layer) {
  const path = `${scene.path}/layer/${layer.about.number}`;
  const display = ask(`${path}/${time}.json`);
  display.catch(() => {});
  const name = `layer-${layer.about.number}.nii`;
  const image = { url: name, name, opacity: 0, buffer: await bytes(`${path}.nii`, display) };
  layer.volume = await nv.addVolumeFromUrl(image);
  image.buffer = null; // NiiVue keeps what it was given
  const before = scene.layers.filter((one) => one.volume);
  nv.setVolume(layer.volume, before.indexOf(layer));
  layer.volume.opacity = layer.opacity;
  if (layer.volume.nFrame4D > 1) layer.volume.frame4D = time - 1;
  colour(layer, await display);
  nv.updateGLVolume();
}

function colour(layer, display) {
  if (!display.colors) return; // its voxels are colours
  if (layer.about.role === "segmentation") {
    layer.names = display.names;
    layer.note.textContent = display.remark;
    layer.note.className = "quiet";
    layer.volume.setColormapLabel(display.colors);
    listLabels(display);
    return;
  }
  const name = `layer-${layer.about.number}`;
  nv.addColormap(name, display.colors);
  layer.volume.colormap = name;
  layer.volume.cal_min = display.least;
  layer.volume.cal_max = display.greatest;
}

async function setShown(layer) {
  try {
    if (layer.volume) {
      layer.volume.opacity = layer.box.checked ? layer.opacity : 0;
      nv.updateGLVolume();
    } else if (layer.box.checked) {
      say(`Loading ${layer.about.name} …`);
      await load(layer);
      say("");
    }
  } catch (error) {
    layer.box.checked = false;
    layer.note.textContent = error.message;
    say(`${layer.about.name} cannot be shown`, true);
  }
  showPlace();
}

async function setTime(value) {
  time = value;
  const waits = [];
  for (const layer of scene.layers) {
    if (!layer.volume || layer.volume.nFrame4D < 2) continue;
    layer.volume.frame4D = time - 1;
    if (layer.about.role === "segmentation") continue;
    waits.push(ask(`${scene.path}/layer/${layer.about.number}/${time}.json`)
      .then((display) => colour(layer, display)));
  }
  await Promise.all(waits);
  nv.updateGLVolume();
  if (scene.meshes.length) await showMeshes().catch((error) => say(error.message, true));
  showPlace();
}

// Meshes: the files of the time point, cut by the slices and whole in 3-D.

async function addMesh(path, name, look) {
  await nv.addMeshFromUrl({ url: name, name, buffer: await bytes(path), ...look });
}

async function showMeshes() {
  for (const mesh of [...nv.meshes]) nv.removeMesh(mesh);
  for (const { about, box, note } of scene.meshes) {
    if (!box.checked) continue;
    for (const [of, number] of about.files.filter(([of]) => of === time)) {
      try {
        const path = `${scene.path}/mesh/${about.number}/${of}/${number}.mz3`;
        const name = `mesh-${about.number}-${of}-${number}.mz3`;
        await addMesh(path, name, { rgba255: [...about.color, 255], opacity: about.opacity });
      } catch (error) {
        note.textContent = error.message;
      }
    }
  }
  if (scene.contents.annotations.length) {
    await addMesh(`${scene.path}/annotations.mz3`, "annotations.mz3", { opacity: 1 });
  }
  nv.drawScene();
}

function listAnnotations() {
  find("annotations").replaceChildren(...scene.contents.annotations.map(({ text, voxel }) => {
    const item = make("li");
    const button = make("button", text || "Line", { type: "button", dir: "auto" });
    button.addEventListener("click", () => nv.volumes.length && goTo(voxel));
    item.append(button);
    return item;
  }));
  find("annotations-part").hidden = !scene.contents.annotations.length;
}

function listMeshes() {
  scene.meshes = scene.contents.meshes.map((about) => {
    const box = make("input", "", { type: "checkbox", checked: !about.error });
    box.disabled = Boolean(about.error);
    box.addEventListener("change", showMeshes);
    return { about, box, note: make("p", about.error, { className: "quiet bad" }) };
  });
  find("meshes").replaceChildren(...scene.meshes.map(({ about, box, note }) => {
    const item = make("li");
    const label = make("label");
    label.append(box, swatch(about.color), make("bdi", about.name));
    item.append(label, note);
    return item;
  }));
  find("meshes-part").hidden = !scene.meshes.length;
}

// What is beside the canvas.

function swatch(color) {
  const square = make("span", "", { className: "swatch" });
  square.style.background = `rgb(${color.join(" ")})`;
  return square;
}

function listLayers() {
  find("layers").replaceChildren(...scene.layers.map((layer) => {
    const { about } = layer;
    const item = make("li");
    const label = make("label");
    layer.box = make("input", "", { type: "checkbox", checked: layer.isShown });
    layer.box.disabled = Boolean(about.error) || about.role === "main";
    label.append(layer.box, " ", make("bdi", about.name));
    const kind = [about.tile ? "overlay, a tile in ITK-SNAP" : about.role, ...about.tags];
    layer.note = make("p", about.error, { className: "quiet bad" });
    item.append(label, make("p", kind.join(" · "), { className: "quiet" }));
    if (!about.error) item.append(slider(`Opacity of ${about.name}`, layer));
    item.append(layer.note);
    layer.box.addEventListener("change", () => setShown(layer));
    return item;
  }));
}

function slider(name, layer) {
  const made = make("input", "", { type: "range", min: 0, max: 100 });
  made.value = Math.round(layer.opacity * 100);
  made.setAttribute("aria-label", name);
  made.addEventListener("input", () => {
    layer.opacity = made.value / 100;
    if (!layer.volume || !layer.box.checked) return;
    layer.volume.opacity = layer.opacity;
    nv.updateGLVolume();
  });
  return made;
}

function listLabels({ names, present, colors }) {
  const items = present.map((index) => {
    const at = colors.I.indexOf(index);
    const item = make("li");
    const color = [colors.R[at], colors.G[at], colors.B[at]];
    item.append(swatch(color), make("span", String(index), { className: "quiet" }));
    item.append(make("bdi", names[index]));
    return item;
  });
  find("labels").replaceChildren(...items);
  find("labels-part").hidden = !items.length;
}

function listSlices() {
  const { views } = scene.contents;
  scene.sliders = Object.entries(views).map(([name, { axis, length }]) => {
    const title = name[0].toUpperCase() + name.slice(1);
    return ranged(title, 0, length - 1, (value) => {
      const voxel = voxelAt(nv.scene.crosshairPos);
      voxel[axis] = value;
      goTo(voxel);
    }, axis);
  });
  if (scene.contents.times > 1) {
    ranged("Time point", 1, scene.contents.times, setTime, -1).set(1);
  }
}

function ranged(title, least, greatest, act, axis) {
  const label = make("label");
  const input = make("input", "", { type: "range", min: least, max: greatest, step: 1 });
  const value = make("output");
  label.append(make("span", title), input, value);
  find("slices").append(label);
  const set = (number) => {
    input.value = number;
    value.textContent = `${number} of ${greatest}`;
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    act(Number(input.value));
  });
  return { axis, set };
}

function told(layer, place) {
  const volume = layer.volume;
  const mm = nv.frac2mm(place);
  const [i, j, k] = volume.mm2vox([mm[0], mm[1], mm[2]]);
  const value = volume.getValue(i, j, k, volume.frame4D);
  if (layer.about.role !== "segmentation") return Number(value.toPrecision(6));
  const index = Math.round(value);
  return index ? `${index} ${layer.names?.[index] ?? ""}` : "no label";
}

function showPlace(place = nv.scene.crosshairPos) {
  if (!nv.volumes.length) return;
  const voxel = voxelAt(place);
  const mm = times(scene.contents.affine, voxel).map((one) => one.toFixed(1));
  const lines = [`Voxel ${voxel.join(", ")} · RAS ${mm.join(", ")} mm`];
  for (const layer of scene.layers) {
    if (layer.volume && layer.box.checked) lines.push(`${layer.about.name}: ${told(layer, place)}`);
  }
  find("place").replaceChildren(...lines.map((line) => make("span", line)));
  if (place === nv.scene.crosshairPos) {
    for (const one of scene.sliders) one.set(voxel[one.axis]);
  }
}

function hover(event) {
  if (!scene || !nv.volumes.length || event.buttons) return;
  const box = canvas.getBoundingClientRect();
  const ratio = canvas.width / box.width;
  const at = [event.clientX - box.left, event.clientY - box.top].map((one) => one * ratio);
  const place = nv.canvasPos2frac(at);
  if (place[0] >= 0) showPlace(place);
}

// Keys on the canvas: the patient's axis (right, anterior, superior), and the step along it. The
// patient's right is on the left.

const KEYS = {
  ArrowLeft: [0, 1], ArrowRight: [0, -1],
  ArrowUp: [1, 1], ArrowDown: [1, -1],
  PageUp: [2, 1], PageDown: [2, -1],
};

function press(event) {
  const key = KEYS[event.key];
  if (event.key === "Tab" || event.ctrlKey || event.metaKey || event.altKey) return;
  event.stopImmediatePropagation(); // NiiVue has letters of its own
  if (!key || !scene || !nv.volumes.length) return;
  event.preventDefault();
  const [patient, step] = key;
  const voxel = voxelAt(nv.scene.crosshairPos);
  const axis = scene.contents.straight[patient].slice(0, 3).findIndex((one) => one);
  const sense = Math.sign(scene.contents.straight[patient][axis]);
  voxel[axis] = Math.min(scene.size[axis] - 1, Math.max(0, voxel[axis] + sense * step));
  goTo(voxel);
}

async function open(which) {
  say("Loading …");
  while (nv.volumes.length) nv.removeVolumeByIndex(0);
  for (const name of ["slices", "layers", "labels", "place"]) find(name).replaceChildren();
  find("labels-part").hidden = true;
  for (const mesh of [...nv.meshes]) nv.removeMesh(mesh);
  scene = null;
  time = 1;
  const path = `w/${which}`;
  const contents = await (which === "0" && firstContents || ask(`${path}/contents.json`));
  firstContents = null;
  document.title = find("title").textContent = contents.name;
  const size = [0, 0, 0];
  for (const { axis, length } of Object.values(contents.views)) size[axis] = length;
  const layers = contents.layers.map((about) => ({
    about, opacity: about.opacity, isShown: isShownFirst(about), names: null, volume: null,
  }));
  scene = { contents, layers, path, size };
  listSlices();
  listLayers();
  listMeshes();
  listAnnotations();
  const cursor = ask(`${path}/cursor.json`);
  cursor.catch(() => {});
  for (const layer of layers.filter((one) => one.isShown)) {
    await setShown(layer);
    document.body.dataset.drawn = layer.about.number;
  }
  // Without a graphics card 3-D takes seconds, each time that anything changes.
  nv.opts.multiplanarShowRender = isDrawnBySoftware() ? NEVER : ALWAYS;
  nv.drawScene();
  if (nv.volumes.length) {
    const [i, j, k] = nv.volumes[0].hdr.pixDims.slice(1, 4);
    nv.setMeshThicknessOn2D(Math.max(i, j, k) / 2);
    await showMeshes().catch((error) => say(error.message, true));
  }
  if (nv.volumes.length) await cursor.then(goTo).catch(() => {});
  document.body.dataset.ready = which;
}

function isDrawnBySoftware() {
  const told = nv.gl.getExtension("WEBGL_debug_renderer_info");
  const name = told ? nv.gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : "";
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

function setPlane(button) {
  for (const one of document.querySelectorAll("[data-plane]")) {
    one.setAttribute("aria-pressed", String(one === button));
  }
  nv.setSliceType(PLANES[button.dataset.plane]);
}

async function start() {
  await nv.attachToCanvas(canvas);
  window.addEventListener("keydown", (event) => {
    if (event.target === canvas) press(event);
  }, { capture: true });
  canvas.addEventListener("mousemove", hover);
  canvas.addEventListener("mouseleave", () => scene && showPlace());
  nv.onLocationChange = () => scene && showPlace();
  for (const button of document.querySelectorAll("[data-plane]")) {
    button.addEventListener("click", () => setPlane(button));
  }
  setInterval(() => fetch("alive").catch(() => say("The server has ended", true)), 20000);
  const names = await ask("workspaces.json");
  find("workspace").append(...names.map((name, i) => make("option", name, { value: i })));
  find("choice").hidden = names.length < 2;
  const chosen = () => open(find("workspace").value).catch((error) => say(error.message, true));
  find("workspace").addEventListener("change", chosen);
  await chosen();
}

start().catch((error) => say(error.message, true));
// For a look from the browser's console.
window.snapws = { nv, goTo, voxelAt, scene: () => scene };
