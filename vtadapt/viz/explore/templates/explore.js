// A picture goes to the server, which answers with pictures of every task; a pixel goes there, and maps come back.
// Text from elsewhere (names of files, tasks and classes) is only ever set as text.
const at = id => document.getElementById(id);
const most = Number(document.body.dataset.most);
let shown = null;  // {id, stages} of the picture on the page
let maps = null;   // what was last told of attention
let asked = 0;     // questions about pixels so far: only the answer to the last one counts
let stream = null; // of the camera

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function say(text, busy = false) {
  at("status").textContent = text;
  at("status").classList.toggle("busy", busy);
}

function fail(text) {
  at("error").textContent = text;
  at("error").hidden = !text;
}

function hold(busy) {
  for (const id of ["file", "room", "camera", "take"]) at(id).disabled = busy;
}

async function ask(path, body) {
  let answer, content;
  try {
    answer = await fetch(path, {method: "POST", body});
    content = await answer.json();
  } catch {
    throw new Error(answer ? "the server failed; its terminal says why" : "no answer; is vtadapt explore still running?");
  }
  if (!answer.ok) throw new Error(content.error);
  return content;
}

// One picture after the other: a second one that is dropped meanwhile is refused by the busy page.
let busy = false;
async function begin(path, body, name) {
  if (busy) return;
  busy = true;
  fail("");
  hold(true);
  say(`Looking at ${name} ...`, true);
  try {
    show(await ask(path, body), name);
  } catch (error) {
    say("");
    fail(error.message);
  } finally {
    busy = false;
    hold(false);
  }
}

function take(file) {
  if (!file) return;
  const name = file.name || "the picture";
  if (file.size > most) {
    fail(`${name} has ${(file.size / 1e6).toFixed(1)} MB; wanted at most ${most / 1e6} MB`);
    return;
  }
  begin(`/picture?name=${encodeURIComponent(name)}`, file, name);
}

function show(content, name) {
  say(`${name}: ${content.words}`);
  asked += 1;
  shown = {...content, stages: []};
  at("cards").replaceChildren(...content.tasks.map(task => card(task, content)));
  at("predicted").hidden = false;
  if (content.look) tell(content.look);
}

function card(task, content) {
  const place = make("div", {className: "stage", tabIndex: 0});
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `${task.name}: input and prediction; arrow keys move the pixel that is asked about`);
  const over = make("img", {src: task.src, alt: "", className: task.smooth ? "over" : "over exact", draggable: false});
  const mark = make("i", {className: "mark", hidden: true});
  place.append(make("img", {src: content.input, alt: "", draggable: false}), over, make("i", {className: "line"}), mark);
  clickable(place);
  const value = make("span");
  shown.stages.push({mark, value, name: task.name});
  const parts = [make("figcaption", {}, make("b", {textContent: task.name}), value), place];
  if (task.about) parts.push(make("p", {className: "note", textContent: task.about}));
  if (task.classes.length) {
    const chips = task.classes.map(([text, colour]) => {
      const chip = make("i", {className: "chip"});
      chip.style.background = `rgb(${colour.join(" ")})`;
      return make("li", {}, chip, text);
    });
    parts.push(make("ul", {className: "chips"}, ...chips));
  }
  return make("figure", {}, ...parts);
}

function clickable(place) {
  place.onclick = event => {
    const box = place.getBoundingClientRect();
    look((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  place.onkeydown = event => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!step || !maps) return;
    event.preventDefault();
    look(maps.place[0] + step[0] / 32, maps.place[1] + step[1] / 32);
  };
}

async function look(u, v) {
  const inside = x => Math.min(Math.max(x, 0), 1);
  const place = [inside(u), inside(v)], number = ++asked;
  if (maps) maps.place = place; // so that a key that is held goes on from here
  mark(place);
  at("maps")?.classList.add("stale");
  try {
    const content = await ask("/look", JSON.stringify({id: shown.id, u: place[0], v: place[1]}));
    if (number === asked) { fail(""); tell(content); }
  } catch (error) {
    if (number === asked) fail(error.message);
  } finally {
    if (number === asked) at("maps")?.classList.remove("stale");
  }
}

function mark([u, v]) {
  for (const {mark} of shown.stages) {
    mark.hidden = false;
    mark.style.left = `${100 * u}%`;
    mark.style.top = `${100 * v}%`;
  }
}

function tell(content) {
  maps = content;
  mark(content.place);
  at("where").textContent = `pixel ${content.pixel[0]},${content.pixel[1]}`;
  for (const {value, name} of shown.stages) value.textContent = content.values[name];
  if (!content.maps) return;
  at("attention").hidden = false;
  at("block").textContent = content.words;
  draw();
}

function draw() {
  const gaps = document.querySelector("input[name=what]:checked").value === "gaps";
  at("maps").replaceChildren(...(gaps ? maps.gaps : maps.maps).map(cell => {
    const place = make("div", {className: "stage"}, make("img", {src: cell.src, alt: "", draggable: false}));
    clickable(place);
    return make("figure", {}, make("figcaption", {}, make("b", {textContent: cell.name})), place,
      make("p", {className: "note", textContent: cell.range}));
  }));
  const [low, high] = gaps ? [-maps.limit, maps.limit] : [0, maps.high];
  at("low").textContent = low.toPrecision(3);
  at("high").textContent = high.toPrecision(3);
  at("bar").style.background = gaps ? at("bar").dataset.diverging : at("bar").dataset.heat;
}

for (const radio of document.querySelectorAll("input[name=what]")) radio.onchange = () => { if (maps) draw(); };
at("mix").oninput = () => at("predicted").style.setProperty("--mix", `${at("mix").value}%`);
at("file").onchange = () => { take(at("file").files[0]); at("file").value = ""; };
at("room").onclick = () => begin("/room", null, "a rendered room");

// A photograph may be dropped anywhere on the page, or pasted.
let depth = 0;
const dragged = change => { depth = Math.max(0, depth + change); document.body.classList.toggle("dragged", depth > 0); };
addEventListener("dragenter", event => { event.preventDefault(); dragged(1); });
addEventListener("dragleave", () => dragged(-1));
addEventListener("dragover", event => event.preventDefault());
addEventListener("drop", event => { event.preventDefault(); dragged(-depth); take(event.dataTransfer.files[0]); });
addEventListener("paste", event => take(event.clipboardData.files[0]));

// Browsers give a camera to pages of this machine, or over HTTPS, only.
at("camera").hidden = !navigator.mediaDevices?.getUserMedia;
at("camera").onclick = async () => {
  fail("");
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: 1280}}});
  } catch (error) {
    fail(`the camera cannot be used: ${error.message}`);
    return;
  }
  at("video").srcObject = stream;
  at("live").hidden = false;
  await at("video").play();
};
function off() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  at("live").hidden = true;
}
at("off").onclick = off;
at("take").onclick = () => {
  const video = at("video"), canvas = make("canvas", {width: video.videoWidth, height: video.videoHeight});
  if (!canvas.width) return;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob(blob => { if (blob) take(new File([blob], "camera.png", {type: "image/png"})); }, "image/png");
};
