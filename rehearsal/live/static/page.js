// The live page and the start page. Everything shown is set as text; nothing is loaded from outside.
"use strict";

const $ = id => document.getElementById(id);
const text = (id, value) => { const e = $(id); if (e.textContent !== value) e.textContent = value; };
const show = (id, on) => { $(id).hidden = !on; };
const make = (tag, words, className) => {
  const e = document.createElement(tag);
  if (words !== undefined) e.textContent = words;
  if (className) e.className = className;
  return e;
};
const COLOUR = { "GO": "good", "NO-GO": "bad", "INCONCLUSIVE": "open", "could not run": "bad" };

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const found = await answer.json();
    return { ok: found.ok === true, text: found.text || found.detail || "refused" };
  } catch (error) {
    return { ok: false, text: "no answer: the program that serves this page is gone" };
  }
}

function told(result) {
  text("told", (result.ok ? "" : "Not done: ") + result.text);
  $("told").className = result.ok ? "" : "bad-text";
}

// ---- the live page ------------------------------------------------------------------------------------------

const live = { points: [], state: null, gone: false, ended: false, failures: 0, rows: {}, servers: {} };

function ago(seconds) { return seconds === null ? "–" : seconds < 100 ? seconds.toFixed(0) + " s ago" : (seconds / 60).toFixed(0) + " min ago"; }
function ms(value) { return value === null ? "–" : value < 10 ? value.toFixed(1) + " ms" : Math.round(value).toLocaleString("en") + " ms"; }
function count(value) { return value === null ? "–" : value.toLocaleString("en"); }
function clock(second) { const s = Math.max(0, Math.floor(second)); return Math.floor(s / 60) + ":" + String(s % 60).padStart(2, "0"); }

async function doIt(what, target, button, words) {
  if (button) { button.dataset.busy = "1"; button.disabled = true; }
  told({ ok: true, text: what + (target ? " " + target : "") + " …" });
  const result = await post("do", { what, target: target || "", text: words || "" });
  if (button) { delete button.dataset.busy; button.disabled = false; }
  told(result);
  return result.ok;
}

function handButton(what, label, target) {
  const b = make("button", label);
  b.type = "button";
  b.dataset.do = what;
  b.dataset.target = target;
  b.setAttribute("aria-label", label + " " + target);
  b.addEventListener("click", () => doIt(b.dataset.do, target, b));
  return b;
}

function turn(button, what, label, enabled) {
  if (button.dataset.do !== what) {
    button.dataset.do = what;
    button.textContent = label;
    button.setAttribute("aria-label", label + " " + button.dataset.target);
  }
  if (!button.dataset.busy) button.disabled = !enabled;
}

function newRow(table, name, labels) {
  const row = make("tr");
  const head = make("th", name);
  head.scope = "row";
  row.append(head);
  const cells = labels.map(([label, className]) => { const td = make("td", "", className); td.dataset.label = label; row.append(td); return td; });
  const hand = make("td", undefined, "hand");
  hand.dataset.label = "By hand";
  row.append(hand);
  table.tBodies[0].append(row);
  return { row, cells, hand };
}

const set = (cell, value) => { if (cell.textContent !== value) cell.textContent = value; };

function tills(state, able) {
  show("tills", state.tills.length > 0);
  show("no-tills", state.tills.length === 0);
  show("tills-note", state.tills.length > 0);
  for (const till of state.tills) {
    let r = live.rows[till.name];
    if (!r) {
      r = live.rows[till.name] = newRow($("tills"), till.name,
        [["Link", ""], ["Mode", ""], ["Backlog", "n"], ["Last sale", "n"], ["Wait p99, 30 s", "n"], ["Price version", "n"]]);
      r.cut = handButton("cut", "Cut", till.name);
      r.kill = handButton("kill", "Kill", till.name);
      r.sync = handButton("sync", "Sync", till.name);
      r.hand.append(r.cut, r.kill, r.sync);
    }
    const on = kind => state.faults.some(f => f.kind === kind && f.targets.includes(till.name));
    const values = [till.link || "–", till.state === "running" ? till.mode || "no answer" : till.state, count(till.backlog), ago(till.sold_ago_s), ms(till.p99_ms), count(till.price_version)];
    values.forEach((value, n) => set(r.cells[n], value));
    r.cells[0].className = till.link && till.link !== "open" ? "open" : "";
    r.cells[1].className = till.state !== "running" ? "bad" : till.mode === "offline" ? "open" : "";
    turn(r.cut, on("cut") ? "heal" : "cut", on("cut") ? "Heal" : "Cut", able);
    turn(r.kill, on("kill") ? "restart" : "kill", on("kill") ? "Restart" : "Kill", able);
    if (!r.sync.dataset.busy) r.sync.disabled = !able;
  }
}

function servers(state, able) {
  show("servers", state.servers.length > 0);
  show("no-servers", state.servers.length === 0);
  show("servers-note", state.servers.length > 0);
  for (const server of state.servers) {
    let r = live.servers[server.name];
    if (!r) {
      r = live.servers[server.name] = newRow($("servers"), server.name, [["Role", ""], ["Term", "n"], ["Feed lag", "n"], ["Standby behind", "n"]]);
      r.kill = handButton("kill", "Kill", server.name);
      r.promote = handButton("promote", "Promote", server.name);
      r.hand.append(r.kill, r.promote);
    }
    const down = state.faults.some(f => f.kind === "kill" && f.targets.includes(server.name));
    [server.state === "running" ? server.role || "no answer" : server.state, count(server.term), ms(server.feed_lag_ms), server.behind_bytes === null ? "–" : count(server.behind_bytes) + " B"].forEach((value, n) => set(r.cells[n], value));
    r.cells[0].className = server.state !== "running" ? "bad" : server.role === "live" ? "good" : "";
    r.promote.hidden = server.role !== "standby";
    if (!r.promote.dataset.busy) r.promote.disabled = !able;
    turn(r.kill, down ? "restart" : "kill", down ? "Restart" : "Kill", able);
  }
}

function faults(state, able) {
  const list = $("faults"), there = new Set();
  for (const fault of state.faults) {
    const id = "fault-" + fault.id;
    there.add(id);
    let item = $(id);
    if (!item) {
      item = make("li");
      item.id = id;
      item.append(make("b", fault.kind + " on " + fault.targets.join(", ")), make("span"));
      const end = handButton("end", "End now", fault.targets[0]);
      end.setAttribute("aria-label", "End " + fault.kind + " on " + fault.targets.join(", ") + " now");
      item.append(end);
      list.append(item);
    }
    set(item.children[1], "on for " + fault.age_s.toFixed(0) + " s" + (fault.left_s === null ? ", by hand: until you end it" : ", " + fault.left_s.toFixed(0) + " s left"));
    if (!item.children[2].dataset.busy) item.children[2].disabled = !able;
  }
  for (const item of [...list.children]) if (!there.has(item.id)) item.remove();
  show("no-faults", state.faults.length === 0);
  const held = state.paused ? state.next_faults.filter(fault => fault[0] <= state.second) : [];
  const next = state.next_faults[held.length], named = fault => fault[1] + " on " + fault[2].join(", ") + " at " + clock(fault[0]);
  const said = held.length ? ["Due, begins on resuming: " + held.map(named).join("; ") + "."] : [];
  if (next) said.push("Next by schedule: " + named(next) + (state.paused ? " (held back while paused)" : ""));
  text("next-fault", said.length ? said.join(" ") : state.phase === "selling" ? "No further fault on the schedule." : "");
}

const NS = "http://www.w3.org/2000/svg";
function draw(id, name, lines, state) {
  const box = $(id), width = Math.max(300, box.clientWidth), height = 120, left = 44, bottom = 16, top = 8;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  const p = live.points, end = Math.max(state.duration_s, p.length ? p[p.length - 1].t : 0, 1);
  let most = 0;
  for (const line of lines) for (const v of line) if (v !== null && v > most) most = v;
  const last = lines.map(line => line.length ? line[line.length - 1] : null);
  svg.setAttribute("aria-label", `${name}: now ${last.map(v => v === null ? "unknown" : v.toFixed(1)).join(" and ")}, highest ${most.toFixed(1)}`);
  const high = most > 0 ? most * 1.1 : 1;
  const x = t => left + (width - left - 6) * t / end, y = v => height - bottom - (height - bottom - top) * v / high;
  const add = (tag, attributes, words) => {
    const e = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    if (words !== undefined) e.textContent = words;
    svg.append(e);
    return e;
  };
  for (const band of state.bands) {
    const from = x(Math.max(0, band.from_s)), to = x(Math.min(end, band.to_s === null ? state.second || end : band.to_s));
    const r = add("rect", { class: "band", x: from.toFixed(1), y: top, width: Math.max(2, to - from).toFixed(1), height: height - bottom - top });
    const title = document.createElementNS(NS, "title");
    title.textContent = band.kind + " on " + band.targets.join(", ");
    r.append(title);
  }
  for (const share of [0, 0.5, 1]) {
    const v = most * share;
    add("line", { class: "grid", x1: left, x2: width - 6, y1: y(v), y2: y(v) });
    if (most > 0 || share === 0) add("text", { x: left - 5, y: y(v) + 4, "text-anchor": "end" }, v >= 10 || v === 0 ? Math.round(v).toLocaleString("en") : v.toFixed(1));
  }
  for (const stage of state.stages) if (stage[1] > 0) add("line", { class: "mark", x1: x(stage[1]), x2: x(stage[1]), y1: top, y2: height - bottom });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) add("text", { x: x(end * share), y: height - 3, "text-anchor": share === 1 ? "end" : share ? "middle" : "start" }, clock(end * share));
  lines.forEach((line, n) => {
    let path = "", pen = false;
    line.forEach((v, i) => { if (v === null) { pen = false; return; } path += (pen ? "L" : "M") + x(live.points[i].t).toFixed(1) + " " + y(v).toFixed(1); pen = true; });
    if (path) add("path", { class: "l" + n, d: path });
  });
  box.replaceChildren(svg);
}

function charts(state) {
  const p = live.points;
  draw("chart-latency", "Wait in milliseconds, p50 and p99", [p.map(v => v.p50), p.map(v => v.p99)], state);
  draw("chart-rate", "Receipts per second", [p.map(v => v.rate)], state);
  const behind = p.map(v => Object.values(v.backlog));
  draw("chart-backlog", "Backlog, sum and worst till", [behind.map(b => b.reduce((s, v) => s + v, 0)), behind.map(b => Math.max(0, ...b))], state);
}

function logs(lines) {
  if (!lines.length) return;
  const log = $("log"), atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
  log.append(lines.map(line => line[1] + "\n").join(""));
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function hands(state) {
  const list = $("by-hand");
  show("no-hand", state.by_hand.length === 0);
  for (const done of state.by_hand.slice(list.children.length)) {
    list.append(make("li", clock(done.at_s) + "  " + done.what + (done.targets.length ? " " + done.targets.join(", ") : "") + (done.text ? ": " + done.text : "")));
  }
}

const PHASES = { starting: "Starting", staging: "The shop is being staged", selling: "Selling", healing: "Healing: all faults are being lifted",
  settling: "Settling: the system comes to rest, the day is closed", stopping: "Stopping the shop", judging: "Judging the evidence", judged: "Ended", "could not run": "Could not run" };

async function ended(state) {
  if (live.ended) return;
  live.ended = true;
  live.source.close();
  const outcome = state.outcome, links = $("links");
  if (outcome.report) {
    try { // the process ends soon: the report is one file, kept here so that the link works afterwards
      const answer = await fetch("report.html");
      if (!answer.ok) throw new Error(answer.status);
      const link = make("a", "Open the report");
      link.id = "report";
      link.href = URL.createObjectURL(new Blob([await answer.text()], { type: "text/html" }));
      links.append(link, make("span", "  "));
    } catch (error) { /* its path is shown below */ }
    links.append(make("span", "On disk: " + outcome.report, "quiet"));
  }
  const home = document.body.dataset.home;
  if (home) { const back = make("a", "All runs"); back.href = home; links.append(make("span", "  "), back); }
}

function render(state) {
  live.state = state;
  const able = state.phase === "selling" && !state.halted && !live.gone;
  document.title = (state.outcome ? state.outcome.verdict : state.phase) + " · " + (state.scenario || "Tillproof");
  text("title", state.title || "Tillproof");
  text("facts", state.scenario ? `${state.scenario}, seed ${state.seed}, ${PHASES[state.phase] || state.phase}` : PHASES[state.phase] || "");
  const verdict = $("verdict");
  if (state.outcome) {
    verdict.className = "verdict " + (COLOUR[state.outcome.verdict] || "open");
    text("word", state.outcome.verdict);
    text("why", state.outcome.why);
    if (!live.ended) told({ ok: true, text: "" });
    ended(state);
  } else {
    text("word", state.so_far[0].toUpperCase() + state.so_far.slice(1));
    text("why", "The verdict comes at the end, from the evidence.");
  }
  const doubts = state.outcome ? [] : state.doubts;
  $("doubts").replaceChildren(...doubts.slice(0, 5).map(one => make("li", one)));
  $("progress").max = Math.max(1, state.duration_s);
  const over = ["healing", "settling", "stopping", "judging", "judged"].includes(state.phase);
  if (state.second !== null) $("progress").value = Math.max(0, state.second); else if (over) $("progress").value = $("progress").max;
  text("clock", state.second === null || over ? PHASES[state.phase] : state.second < 0 ? "begins in " + Math.ceil(-state.second) + " s" : clock(state.second) + " of " + clock(state.duration_s));
  show("last-seen", state.tills.length > 0 && ["stopping", "judging", "judged", "could not run"].includes(state.phase));
  text("stage", state.phase === "selling" ? state.stage || "starting" : "");
  turnPlain($("pause"), state.paused ? "resume" : "pause", state.paused ? "Resume the schedule" : "Pause the schedule", able);
  for (const id of ["halt", "note", "note-send"]) if (!$(id).dataset.busy) $(id).disabled = !able;
  text("no-tills", over ? "None." : state.phase === "could not run" ? "None." : "The shop is being staged; tills appear when it sells.");
  tills(state, able);
  servers(state, able);
  faults(state, able);
  hands(state);
  charts(state);
}

function turnPlain(button, what, label, enabled) {
  button.dataset.do = what;
  if (button.textContent !== label) button.textContent = label;
  if (!button.dataset.busy) button.disabled = !enabled;
}

function lost(on) {
  live.gone = on;
  document.body.classList.toggle("stale", on);
  show("banner", on);
  if (on) text("banner", live.failures < 4 ? "Connection lost; trying again. What you see is the last known state." :
    "The run's program is gone or can't be reached. What you see is the last known state; its terminal and its folder in reports/ say how it ended.");
  if (live.state) render(live.state); else text("title", "Not connected");
}

function connect() {
  live.source = new EventSource("events");
  live.source.onmessage = event => {
    const message = JSON.parse(event.data);
    live.failures = 0;
    if (live.gone) lost(false);
    if (message.points_from === 0) live.points = [];
    live.points.push(...message.points);
    if (message.log.length && message.log[0][0] === 1) $("log").textContent = "";
    logs(message.log);
    render(message.state);
  };
  live.source.onerror = () => {
    if (live.ended) return;
    live.failures += 1;
    live.source.close();
    $("log").dataset.again = "1";
    lost(true);
    setTimeout(connect, Math.min(5000, 500 * live.failures));
  };
  live.source.onopen = () => { if ($("log").dataset.again) { delete $("log").dataset.again; $("log").textContent = ""; } };
}

function runPage() {
  const home = document.body.dataset.home;
  if (home) { const link = make("a", "All runs"); link.href = home; $("home").append(link, " · "); }
  $("pause").addEventListener("click", () => doIt($("pause").dataset.do, "", $("pause")));
  $("halt").addEventListener("click", () => $("sure").showModal());
  $("sure").addEventListener("close", () => { if ($("sure").returnValue === "yes") doIt("halt", "", $("halt")); $("sure").returnValue = ""; });
  $("note-form").addEventListener("submit", async event => {
    event.preventDefault();
    if (await doIt("note", "", $("note-send"), $("note").value)) $("note").value = "";
  });
  addEventListener("resize", () => { if (live.state) charts(live.state); });
  connect();
}

// ---- the start page -----------------------------------------------------------------------------------------

const start = { seen: "", failures: 0, scenarios: [], watch: false };

function pastRuns(runs) {
  show("runs", runs.length > 0);
  show("no-runs", runs.length === 0);
  $("runs").tBodies[0].replaceChildren(...runs.map(run => {
    const row = make("tr"), outcome = make("td", undefined, "wide"), id = make("td", undefined, "wide"), why = make("td", run.why, "wide");
    outcome.append(make("span", run.verdict || "no verdict", "tag " + (COLOUR[run.verdict] || "none")));
    if (run.report) { const link = make("a", run.id); link.href = run.report; id.append(link); } else id.append(run.id);
    row.append(outcome, id, why);
    return row;
  }));
}

function nowRuns(now) {
  show("now", now.running || now.exit !== null);
  const words = { 0: "GO", 10: "NO-GO", 20: "INCONCLUSIVE", 30: "could not run" };
  const box = $("now");
  box.className = "verdict " + (now.running ? "none" : COLOUR[words[now.exit]] || "bad");
  text("now-word", now.running ? now.scenario + " is running" : now.scenario + " ended: " + (words[now.exit] || "the lab broke (exit code " + now.exit + ")"));
  const why = $("now-why");
  if (now.running && now.address) {
    if (!$("watch") || $("watch").href !== now.address) { const link = make("a", "Watch it"); link.id = "watch"; link.href = now.address; why.replaceChildren(link); }
    if (start.watch) { start.watch = false; location.href = now.address; }
  } else why.textContent = now.running ? "Its page is coming up." : now.last;
  $("go").disabled = now.running;
}

async function look() {
  try {
    const found = await (await fetch("overview")).json();
    start.failures = 0;
    show("banner", false);
    if (!start.scenarios.length) {
      start.scenarios = found.scenarios;
      $("scenario").replaceChildren(...found.scenarios.map(one => { const o = make("option", one.name); o.value = one.name; return o; }));
      about();
    }
    const seen = JSON.stringify(found.runs);
    if (seen !== start.seen) { start.seen = seen; pastRuns(found.runs); }
    nowRuns(found.now);
  } catch (error) {
    start.failures += 1;
    show("banner", true);
    text("banner", "No answer: tillproof ui is not running any more. Start it again; its address will be another.");
    $("go").disabled = true;
  }
  setTimeout(look, start.failures ? 3000 : 1000);
}

function about() {
  const one = start.scenarios.find(s => s.name === $("scenario").value);
  text("about", one ? `${one.title}. ${one.tills} tills, ${one.faults} ${one.faults === 1 ? "fault" : "faults"}, ${one.for} of selling.` : "");
}

function startPage() {
  $("scenario").addEventListener("change", about);
  $("start").addEventListener("submit", async event => {
    event.preventDefault();
    const number = id => $(id).value === "" ? null : Number($(id).value);
    $("go").disabled = true;
    const result = await post("start", { scenario: $("scenario").value, seed: number("seed"), tills: number("tills-wanted") });
    start.watch = result.ok;
    told(result);
  });
  look();
}

if (document.body.dataset.page === "run") runPage(); else startPage();
