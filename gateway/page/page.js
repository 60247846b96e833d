"use strict";
const $ = id => document.getElementById(id);
const chart = new Chart($("chart"));
let state = null, shown = 6, since = 0;

// Texts of strangers are only ever set as text.
function el(tag, props, ...children) {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}
function bytes(n) {
  if (n < 1024) return n + " B";
  let u = -1;
  do { n /= 1024; u++; } while (n >= 1000 && u < 5);
  return (n < 10 ? n.toFixed(1) : Math.round(n)) + " " + ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][u];
}
function ago(t) {
  const s = Math.max(0, Date.now() / 1000 - t);
  if (s < 90) return "just now";
  if (s < 5400) return Math.round(s / 60) + " min ago";
  if (s < 129600) return Math.round(s / 3600) + " h ago";
  return new Date(t * 1000).toLocaleDateString();
}
function left(s) {
  if (s < 90) return Math.ceil(s) + " s left";
  if (s < 5400) return Math.ceil(s / 60) + " min left";
  return (s / 3600).toFixed(1) + " h left";
}
function milli(ms) { return ms < 1 ? ms.toFixed(2) + " ms" : ms < 10 ? ms.toFixed(1) + " ms" : Math.round(ms) + " ms"; }
function count(n, one, many) { return n + " " + (n === 1 ? one : many); }
function short(text) { return text.length > 24 ? text.slice(0, 14) + "…" + text.slice(-6) : text; }
function kind(name) {
  const ext = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  if (["mp4", "webm", "mkv", "mov", "m4v", "ogv"].includes(ext)) return "video";
  if (["mp3", "flac", "ogg", "opus", "wav", "m4a", "aac"].includes(ext)) return "audio";
  if (["png", "jpg", "jpeg", "gif", "webp", "avif", "bmp"].includes(ext)) return "image";
  return "";
}
// tile is a small sign of what sort of file it is.
function tile(name, folder) {
  const t = el("span", {className: "tile", ariaHidden: "true"}), dot = name.lastIndexOf("."), ext = dot > 0 ? name.slice(dot + 1) : "";
  if (folder) {
    const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), path = document.createElementNS(ns, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    path.setAttribute("d", "M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z");
    svg.append(path);
    t.append(svg);
  } else t.textContent = /^[a-z0-9]{1,4}$/i.test(ext) ? ext : "file";
  t.style.setProperty("--hue", {video: 265, audio: 325, image: 205}[kind(name)] || (folder ? 40 : 175));
  return t;
}
let toasting;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toasting);
  toasting = setTimeout(() => { $("toast").hidden = true; }, 3500);
}
async function copy(text) {
  try { await navigator.clipboard.writeText(text); toast("Copied"); } catch { toast("The browser does not let this page copy"); }
}
async function post(path, doc) {
  const r = await fetch(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(doc)});
  if (!r.ok) throw new Error((await r.text()).trim());
  return r.json();
}
function button(text, act, props) { return el("button", {type: "button", className: "small", textContent: text, onclick: act, ...props}); }

// keep changes a list in place, so that focus and scrolling stay where they are. Items may be the same by id: the second
// one of them is another row, or rows that nobody finds again would pile up.
function keep(list, items, id, make, update) {
  const old = new Map([...list.children].map(c => [c.dataset.id, c])), times = new Map();
  let at = list.firstElementChild;
  for (const item of items) {
    const name = id(item), nth = (times.get(name) || 0) + 1, key = nth + " " + name;
    times.set(name, nth);
    let row = old.get(key);
    if (row) old.delete(key); else { row = make(item); row.dataset.id = key; }
    update(row, item);
    if (row === at) at = at.nextElementSibling; else list.insertBefore(row, at);
  }
  for (const row of old.values()) row.remove();
}
function line(row, cls, text) {
  const e = row.querySelector("." + cls);
  if (e.textContent !== text) e.textContent = text;
  return e;
}

function arrivals(list) {
  $("arriving-empty").hidden = list.length > 0;
  const rate = list.reduce((n, a) => n + a.rate, 0);
  $("down").textContent = rate > 0 ? bytes(rate) + "/s" : "";
  keep($("arriving"), list, a => a.id, a => el("li", {className: "tiled"}, tile(a.name, false),
    el("span", {className: "name"}), el("span", {className: "acts"}, button("Open", () => show(a.path, a.name || short(a.id)))),
    el("span", {className: "sub"}), el("div", {className: "bar"}, el("i"))), (row, a) => {
    line(row, "name", a.name || short(a.id)).title = a.id;
    const parts = [a.total >= 0 ? bytes(a.done) + " of " + bytes(a.total) : a.done > 0 ? bytes(a.done) : ""];
    if (a.rate > 0) parts.push(bytes(a.rate) + "/s");
    if (a.rate > 0 && a.total > a.done) parts.push(left((a.total - a.done) / a.rate));
    parts.push(a.state);
    if (a.sources > 0) parts.push("from " + count(a.sources, "peer", "peers"));
    if (a.readers > 0) parts.push(count(a.readers, "reader", "readers"));
    line(row, "sub", parts.filter(Boolean).join(" · "));
    const bar = row.querySelector(".bar"), known = a.total > 0;
    bar.classList.toggle("unknown", !known);
    bar.hidden = a.state.startsWith("failed");
    bar.firstChild.style.transform = known ? `scaleX(${a.done / a.total})` : "";
  });
}
function shared(list, all) {
  const want = $("filter").value.toLowerCase();
  const some = list.filter(i => i.name.toLowerCase().includes(want));
  $("shared-empty").hidden = list.length > 0;
  $("shared-none").hidden = list.length === 0 || some.length > 0;
  $("filter").hidden = list.length < 8;
  $("shared-count").textContent = all ? count(all, "content", "contents") : "";
  keep($("shared"), some, i => i.path, i => el("li", {className: "tiled"}, tile(i.name, i.folder),
    el("a", {className: "name", href: i.path, onclick: e => { if (kind(i.name)) { e.preventDefault(); show(i.path, i.name); } }}),
    el("span", {className: "acts"}, button("Share", () => share(i)),
      i.stored ? button("Remove", () => confirmRemove(i), {className: "small quiet danger", title: "Take it out of the store"}) : null),
    el("span", {className: "sub"})), (row, i) => {
    line(row, "name", i.name || short(i.path.slice(1))).title = i.name;
    line(row, "sub", [i.folder ? "folder" : "", bytes(i.size), i.stored ? "in the store" : "where it is", i.at > 0 ? ago(i.at) : ""].filter(Boolean).join(" · "));
  });
}
function peers(list) {
  list.sort((a, b) => b.active - a.active || (a.rtt || 1e9) - (b.rtt || 1e9) || a.addr.localeCompare(b.addr));
  const active = list.filter(p => p.active).length;
  $("peers-empty").hidden = list.length > 0;
  $("peers-count").textContent = list.length ? active + " active, " + list.length + " known" : "";
  $("chart-empty").hidden = !chart.empty || list.length === 0;
  document.querySelector(".chart").hidden = list.length === 0;
  $("peers-more").hidden = list.length <= 6;
  $("peers-more").textContent = shown > 6 ? "Show fewer" : "Show all " + list.length;
  keep($("peers"), list.slice(0, shown), p => p.addr, p => el("li", {onmouseenter: () => light(p.addr), onmouseleave: () => light("")},
    el("i"), el("span", {className: "name"}), el("span", {className: "sub"})), (row, p) => {
    row.firstChild.style.background = p.active ? chart.colour(p.addr) : "";
    line(row, "name", p.addr).title = p.key || "its key is not known";
    line(row, "sub", p.rtt ? milli(p.rtt) : "–");
  });
}
function light(addr) { chart.lit = addr; chart.draw(); }
function talk(list) {
  const box = $("chat"), low = box.scrollTop + box.clientHeight >= box.scrollHeight - 30;
  $("chat-empty").hidden = list.length > 0;
  keep(box, list, l => l.at + " " + l.from + " " + l.text, l => el("li", {},
    el("span", {className: "who" + (l.from ? "" : " own"), textContent: (l.from || "you") + " · " + new Date(l.at * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"})}),
    el("span", {textContent: l.text})), () => {});
  if (low) box.scrollTop = box.scrollHeight;
}
function access(grants, requests) {
  const given = new Set(grants.map(g => g.key));
  const asked = requests.filter(r => !given.has(r.key));
  $("access-empty").hidden = grants.length + asked.length > 0;
  keep($("requests"), asked, r => r.key, r => el("li", {}, el("span", {className: "name"}),
    el("span", {className: "acts"}, button("Allow", () => allow(r.key, r.name, true), {className: "small primary"})), el("span", {className: "sub"})), (row, r) => {
    row.classList.toggle("asks", r.asked);
    line(row, "name", r.name || r.key).title = r.key;
    line(row, "sub", (r.asked ? "wants to use the node · " : "opened · ") + (r.key.startsWith("latest/") ? "all that this publisher publishes, now and later" : short(r.key)));
  });
  keep($("grants"), grants, g => g.key, g => el("li", {}, el("span", {className: "name"}),
    el("span", {className: "acts"}, button("Take back", () => allow(g.key, "", false))), el("span", {className: "sub"})), (row, g) => {
    line(row, "name", g.name || g.key).title = g.key;
    line(row, "sub", "allowed · " + short(g.key));
  });
}
async function allow(key, name, yes) {
  try { await post("/api/access", {key, name, allow: yes}); await look(); toast(yes ? "Allowed. Reload the page that asked" : "Taken back"); } catch (e) { toast(e.message); }
}
async function confirmRemove(item) {
  if (!confirm("Take " + (item.name || "this content") + " out of the store? Nobody can fetch it from here any more.")) return;
  const id = item.path.split("/").slice(1, 3).join("/");
  try { await post("/api/remove", {id}); await look(); } catch (e) { toast(e.message); }
}

async function look() {
  let s;
  try {
    const r = await fetch("/api/state");
    if (!r.ok) throw new Error();
    s = await r.json();
  } catch {
    $("health").className = "pill off";
    $("health").lastChild.textContent = "node not running";
    return;
  }
  state = s;
  const active = s.peers.filter(p => p.active).length;
  $("health").className = "pill" + (active ? " ok" : "");
  $("health").lastChild.textContent = active ? count(active, "peer", "peers") : "looking for peers";
  $("me").hidden = !s.key;
  $("me").textContent = s.key ? s.key.slice(0, 10) + "…" + s.key.slice(-4) : "";
  chart.add(Date.now() / 1000, s.peers.filter(p => p.active));
  arrivals(s.arriving);
  shared(s.shared, s.shared_all);
  peers(s.peers);
  talk(s.chat);
  access(s.grants, s.requests);
  const used = s.store.Quota ? bytes(s.store.Bytes) + " of " + bytes(s.store.Quota) : bytes(s.store.Bytes);
  $("store").textContent = "Store: " + used + " · " + bytes(s.free) + " free on the disk";
  $("foot").textContent = "sharer " + s.version + (s.listen.length ? " · UDP " + s.listen.join(", ") : "") + " · sent " + bytes(s.up) + ", received " + bytes(s.down);
}

// show plays a content, or goes to it.
async function show(path, name) {
  let what = kind(name);
  if (!what) {
    note("Looking for it…");
    try {
      const r = await fetch(path, {method: "HEAD"});
      if (!r.ok) { note(r.status === 504 ? "No peer has it, or none answers. Try again later." : "It could not be opened (" + r.status + ").", true); return; }
      what = (r.headers.get("Content-Type") || "").split("/")[0];
    } catch { note("The node does not answer.", true); return; }
    note("");
  }
  if (!["video", "audio", "image"].includes(what)) { location.href = path; return; }
  const view = document.createElement(what === "image" ? "img" : what);
  if (what !== "image") { view.controls = true; view.autoplay = true; view.preload = "auto"; }
  view.onerror = () => { $("player-note").textContent = "This browser cannot show it. "; $("player-note").append(el("a", {href: path, textContent: "Save it instead", download: ""})); };
  view.src = path;
  $("player-name").textContent = name;
  $("player-note").textContent = "";
  $("stage").replaceChildren(view);
  $("player").showModal();
}
$("player").addEventListener("close", () => {
  const v = $("stage").firstElementChild;
  if (v && v.pause) { v.pause(); v.removeAttribute("src"); v.load(); } // or it would go on being fetched
  $("stage").replaceChildren();
});
function share(item) {
  $("share-name").textContent = item.name || "Share";
  $("share-link").value = item.link;
  $("share-web").value = state.base + item.path;
  $("share-qr").src = "/api/qr?text=" + encodeURIComponent(item.link.split("?")[0]);
  $("share").showModal();
}
function note(text, bad) {
  $("open-note").textContent = text;
  $("open-note").classList.toggle("bad", !!bad);
}

$("open").addEventListener("submit", async e => {
  e.preventDefault();
  const keepIt = e.submitter && e.submitter.value === "keep", text = $("link").value.trim();
  if (!text) { note("Paste a link first, such as lcdp://blake3/… or http://127.0.0.1:24255/…", true); $("link").focus(); return; }
  note(keepIt ? "Asking the peers…" : "Looking for it…");
  try {
    const t = await post("/api/fetch", {link: text, keep: keepIt});
    note("");
    if (keepIt) { $("link").value = ""; toast("It is being fetched"); look(); } else await show(t.path, t.name);
  } catch (err) { note(err.message, true); }
});
$("say").addEventListener("submit", async e => {
  e.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("say-note").textContent = "";
  try { await post("/api/chat", {text}); $("text").value = ""; look(); } catch (err) { $("say-note").textContent = err.message; }
});
$("filter").addEventListener("input", () => state && shared(state.shared, state.shared_all));
$("peers-more").addEventListener("click", () => { shown = shown > 6 ? 6 : 1000; peers(state.peers); });
$("me").addEventListener("click", () => copy(state.key));
for (const b of document.querySelectorAll("[data-copy]")) b.addEventListener("click", () => copy($(b.dataset.copy).value));

// Uploads: one after the other, each with its progress.
let queue = Promise.resolve();
function upload(files) {
  for (const f of files) {
    const row = el("li", {}, el("span", {className: "name", textContent: f.name}), el("span", {className: "acts"}), el("span", {className: "sub", textContent: bytes(f.size) + " · waiting"}), el("div", {className: "bar"}, el("i")));
    row.querySelector("i").style.transform = "scaleX(0)";
    $("uploads").prepend(row);
    queue = queue.then(() => send(f, row));
  }
}
function send(file, row) {
  return new Promise(resolve => {
    const x = new XMLHttpRequest(), say = t => { row.querySelector(".sub").textContent = t; };
    x.open("POST", "/upload");
    x.setRequestHeader("X-Filename", encodeURIComponent(file.name));
    x.upload.onprogress = e => {
      row.querySelector("i").style.transform = `scaleX(${e.loaded / (e.total || 1)})`;
      say(e.loaded === e.total ? bytes(file.size) + " · verifying" : bytes(e.loaded) + " of " + bytes(e.total));
    };
    x.onload = () => {
      row.querySelector(".bar").remove();
      if (x.status !== 200) { say(x.responseText.trim() || "it could not be kept"); row.querySelector(".sub").classList.add("bad"); resolve(); return; }
      const sums = JSON.parse(x.responseText);
      say(bytes(file.size) + " · shared");
      const acts = row.querySelector(".acts");
      acts.append(button("×", () => row.remove(), {className: "small quiet", ariaLabel: "Hide"}));
      const offer = tries => look().then(() => { // it may take the node a moment to list it
        const item = state && state.shared.find(i => i.path.includes(sums.blake3));
        if (item) acts.prepend(button("Copy link", () => copy(item.link), {className: "small primary"}), button("QR code", () => share(item)));
        else if (tries > 0) setTimeout(offer, 500, tries - 1);
      });
      offer(20);
      resolve();
    };
    x.onerror = () => { say("the node does not answer"); row.querySelector(".sub").classList.add("bad"); resolve(); };
    x.send(file);
  });
}
$("files").addEventListener("change", e => { upload(e.target.files); e.target.value = ""; });
let over = 0;
addEventListener("dragenter", e => { if (e.dataTransfer.types.includes("Files")) { over++; $("dropping").hidden = false; } });
addEventListener("dragleave", () => { if (--over <= 0) { over = 0; $("dropping").hidden = true; } });
addEventListener("dragover", e => e.preventDefault());
addEventListener("drop", e => { e.preventDefault(); over = 0; $("dropping").hidden = true; upload(e.dataTransfer.files); });
addEventListener("keydown", e => {
  if (e.key === "/" && !/INPUT|TEXTAREA/.test(document.activeElement.tagName) && !document.querySelector("dialog[open]")) { e.preventDefault(); $("link").focus(); }
});
function tick() { if (document.visibilityState === "visible") look(); }
tick();
setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
