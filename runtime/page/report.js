"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const micros = (cycles) => cycles / data.clock;
  const spaces = Object.keys(data.sizes).filter((space) => data.tasks.some((task) => task.live && task.live[space]));

  // Segments of a track as arrays of [start, end, busy, instruction, count], decoded when they are first drawn.
  const decoded = new Map();
  function segments(task, key) {
    const numbers = task.tracks && task.tracks[key];
    if (!numbers) return [];
    let rows = decoded.get(numbers);
    if (rows) return rows;
    rows = [];
    let last = 0;
    for (let i = 0; i < numbers.length; ) {
      const start = last + numbers[i];
      const one = numbers[i + 1] >= 0;
      const end = start + Math.abs(numbers[i + 1]);
      rows.push([start, end, one ? end - start : numbers[i + 3], numbers[i + 2], one ? 1 : numbers[i + 4]]);
      i += one ? 3 : 5;
      last = end;
    }
    decoded.set(numbers, rows);
    return rows;
  }
  const sums = new Map();
  function busy(task, key) {
    const numbers = task.tracks && task.tracks[key];
    if (!numbers) return 0;
    if (!sums.has(numbers)) sums.set(numbers, segments(task, key).reduce((sum, row) => sum + row[2], 0));
    return sums.get(numbers);
  }

  // ---- timeline ----
  const canvas = byId("canvas"), view = byId("view"), tip = byId("tip");
  const ROW = 14, TASK = 26, AXIS = 20, HEAD = 18, LIVE = 24;
  const state = { from: 0, to: Math.max(1, data.cycles), cores: "first", chosen: -1 };
  let colours = {}, left = 64;

  const classOf = (bound) => "b-" + bound.toLowerCase().replace(/[ _]/g, "-");
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue("--" + name).trim();
    for (const name of ["paper", "ink", "soft", "line", "panel", "accent"]) colours[name] = get(name);
    colours.pipe = { S: get("scalar"), V: get("vector"), M: get("cube"), MTE1: get("mte1"), MTE2: get("mte2"), MTE3: get("mte3"), FIX: get("fix") };
    colours.bound = { "b-cube": get("cube"), "b-vector": get("vector"), "b-scalar": get("scalar"), "b-l1-loads": get("mte1"), "b-gm-loads": get("mte2"), "b-stores": get("mte3"), "b-fixpipe": get("fix"), "b-ddr": get("ddr"), "b-l2": get("l2") };
    colours.other = get("other");
  }
  const boundColour = (task) => colours.bound[classOf(task.bound)] || colours.other;

  function rows() {
    const cores = state.cores === "all" ? data.cores : data.cores.filter((core) => String(core) === state.cores);
    const found = [{ kind: "task", height: TASK }];
    for (const core of cores) {
      found.push({ kind: "head", height: HEAD, text: data.names[core] });
      data.pipes.forEach((pipe, number) => {
        const key = core + "." + number;
        if (data.tasks.some((task) => task.tracks && task.tracks[key])) found.push({ kind: "pipe", height: ROW, pipe, core, key });
      });
    }
    if (spaces.length) found.push({ kind: "head", height: HEAD, text: "live bytes" });
    for (const space of spaces) found.push({ kind: "live", height: LIVE, space });
    let top = AXIS;
    for (const row of found) { row.top = top; top += row.height + 2; }
    return { list: found, height: top + 4 };
  }

  const scale = () => (canvas.clientWidth - left - 8) / (state.to - state.from);
  const toX = (cycle) => left + (cycle - state.from) * scale();
  const toCycle = (x) => state.from + (x - left) / scale();

  function visible() {
    // Tasks follow each other: the first one that ends behind the left edge, by bisection.
    let low = 0, high = data.tasks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (data.tasks[middle].start + data.tasks[middle].cycles < state.from) low = middle + 1; else high = middle;
    }
    const found = [];
    for (let i = low; i < data.tasks.length && data.tasks[i].start <= state.to; i++) found.push(i);
    return found;
  }

  function niceStep(span) {
    const rough = span / Math.max(2, (canvas.clientWidth - left) / 110);
    const power = Math.pow(10, Math.floor(Math.log10(rough)));
    for (const factor of [1, 2, 5, 10]) if (power * factor >= rough) return power * factor;
    return power * 10;
  }

  let wanted = false;
  function redraw() { if (!wanted) { wanted = true; requestAnimationFrame(() => { wanted = false; draw(); }); } }

  function draw() {
    const ratio = window.devicePixelRatio || 1, width = view.clientWidth, all = rows();
    left = width < 500 ? 44 : 64;
    canvas.style.height = all.height + "px";
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(all.height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.paper;
    pen.fillRect(0, 0, width, all.height);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    drawAxis(pen, all.height);
    const shown = visible();
    for (const row of all.list) {
      pen.textAlign = "left";
      pen.fillStyle = row.kind === "head" ? colours.ink : colours.soft;
      const middle = row.top + row.height / 2;
      if (row.kind === "head") pen.fillText(row.text, 6, middle);
      else pen.fillText(row.kind === "task" ? "tasks" : row.kind === "pipe" ? row.pipe : row.space.toUpperCase(), 10, middle);
      if (row.kind === "head") continue;
      pen.fillStyle = colours.panel;
      pen.fillRect(left, row.top, width - left - 8, row.height);
      pen.save();
      pen.beginPath();
      pen.rect(left, row.top, width - left - 8, row.height);
      pen.clip();
      for (const number of shown) {
        if (row.kind === "task") drawTask(pen, row, number);
        else if (row.kind === "pipe") drawPipe(pen, row, data.tasks[number]);
        else drawLive(pen, row, data.tasks[number]);
      }
      pen.restore();
    }
    byId("span").textContent = micros(state.from).toFixed(1) + " – " + micros(state.to).toFixed(1) + " µs";
  }

  function drawAxis(pen, height) {
    const step = niceStep(micros(state.to - state.from));
    pen.textAlign = "center";
    for (let at = Math.ceil(micros(state.from) / step - 1e-9) * step; at <= micros(state.to) * (1 + 1e-9); at += step) {
      const x = toX(at * data.clock);
      pen.fillStyle = colours.line;
      pen.fillRect(Math.round(x), AXIS - 4, 1, height);
      pen.fillStyle = colours.soft;
      pen.fillText(String(Math.round(at * 1e4) / 1e4) + (at === 0 ? " µs" : ""), Math.min(x, canvas.clientWidth - 20), AXIS / 2 - 1);
    }
  }

  function drawTask(pen, row, number) {
    const task = data.tasks[number], x = toX(task.start), width = task.cycles * scale();
    pen.fillStyle = boundColour(task);
    pen.globalAlpha = 0.85;
    pen.fillRect(x, row.top, Math.max(0.5, width - (width > 3 ? 1 : 0)), row.height);
    pen.globalAlpha = 1;
    if (number === state.chosen) {
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 2;
      pen.strokeRect(x + 1, row.top + 1, Math.max(1, width - 2), row.height - 2);
    }
    const from = Math.max(x, left), room = Math.min(x + width, canvas.clientWidth - 8) - from;
    if (room > 44) {
      pen.fillStyle = "#fff";
      pen.textAlign = "left";
      pen.save();
      pen.beginPath();
      pen.rect(from, row.top, room - 4, row.height);
      pen.clip();
      pen.fillText(task.name, from + 5, row.top + row.height / 2);
      pen.restore();
    }
  }

  function drawPipe(pen, row, task) {
    pen.fillStyle = colours.pipe[row.pipe] || colours.other;
    const perCycle = scale(), width = task.cycles * perCycle;
    if (width < 48) {
      pen.globalAlpha = busy(task, row.key) / Math.max(1, task.cycles);
      pen.fillRect(toX(task.start), row.top, Math.max(0.5, width), row.height);
      pen.globalAlpha = 1;
      return;
    }
    // What falls into one pixel is drawn once, as dark as the pipe was busy there.
    let pixel = -1, load = 0;
    const flush = () => {
      if (pixel >= 0 && load > 0) {
        pen.globalAlpha = Math.min(1, Math.max(0.08, load / (1 / perCycle)));
        pen.fillRect(pixel, row.top, 1, row.height);
        pen.globalAlpha = 1;
      }
      load = 0;
    };
    for (const [start, end, cycles] of segments(task, row.key)) {
      const x = toX(task.start + start), wide = (end - start) * perCycle;
      if (x + wide < left) continue;
      if (x > canvas.clientWidth) break;
      if (wide >= 1) {
        pen.globalAlpha = Math.max(0.15, cycles / (end - start));
        pen.fillRect(x, row.top, wide > 6 ? wide - 1 : wide, row.height);
        pen.globalAlpha = 1;
        continue;
      }
      if (Math.floor(x) !== pixel) { flush(); pixel = Math.floor(x); }
      load += cycles;
    }
    flush();
  }

  function drawLive(pen, row, task) {
    if (!task.live || !task.live[row.space]) return;
    const [[, , start, end], curve] = task.live[row.space], bottom = row.top + row.height;
    pen.fillStyle = colours.accent;
    pen.globalAlpha = 0.6;
    curve.forEach((value, step) => {
      const x = toX(task.start + start + ((end - start) * step) / curve.length);
      const next = toX(task.start + start + ((end - start) * (step + 1)) / curve.length);
      const height = (row.height * value) / data.sizes[row.space];
      pen.fillRect(x, bottom - height, Math.max(0.5, next - x), height);
    });
    pen.globalAlpha = 1;
  }

  function zoom(factor, at) {
    const centre = at === undefined ? (state.from + state.to) / 2 : at;
    show(centre - (centre - state.from) * factor, centre + (state.to - centre) * factor);
  }
  function show(from, to) {
    const span = Math.min(data.cycles, Math.max(16, to - from));
    state.from = Math.max(0, Math.min(from, data.cycles - span));
    state.to = state.from + span;
    redraw();
  }
  function choose(number, fill) {
    state.chosen = number;
    for (const element of document.querySelectorAll(".chosen")) element.classList.remove("chosen");
    for (const element of document.querySelectorAll(`circle[data-task="${number}"], tr[data-task="${number}"]`)) element.classList.add("chosen");
    byId("task").value = String(number);
    const task = data.tasks[number];
    if (fill && task) show(task.start - task.cycles * 0.02, task.start + task.cycles * 1.02);
    redraw();
  }

  function under(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    if (x < left) return null;
    const cycle = toCycle(x), row = rows().list.find((one) => y >= one.top && y < one.top + one.height);
    const number = data.tasks.findIndex((task) => cycle >= task.start && cycle < task.start + task.cycles);
    return { x, y, row, number, cycle };
  }
  function tipText(spot) {
    const task = data.tasks[spot.number], inside = spot.cycle - task.start;
    const head = spot.number + " " + task.name + " (" + task.type + ")";
    if (spot.row.kind === "pipe") {
      const near = 3 / scale();
      const found = segments(task, spot.row.key).find((one) => inside >= one[0] - near && inside < one[1] + near);
      if (!found) return head + "\n" + data.names[spot.row.core] + " " + spot.row.pipe + ": idle";
      const [start, end, cycles, used, count] = found;
      const nodes = task.nodes[task.of[used]];
      return (count === 1 ? "" : count + " instructions, mostly ") + data.kernels[task.kernel][used] + "\n" + data.names[spot.row.core] + " " + spot.row.pipe +
        ", cycles " + start + " – " + end + " of the task" + (count === 1 ? "" : ", busy " + cycles) + " = " + micros(end - start).toFixed(3) + " µs" +
        (nodes.length ? "\n" + nodes.join(", ") : "") + "\n" + head;
    }
    if (spot.row.kind === "live" && task.live && task.live[spot.row.space]) {
      const [[block, core, start, end], curve] = task.live[spot.row.space];
      const step = Math.min(curve.length - 1, Math.max(0, Math.floor(((inside - start) / Math.max(1, end - start)) * curve.length)));
      return spot.row.space.toUpperCase() + ": " + (curve[step] / 1024).toFixed(1) + " of " + data.sizes[spot.row.space] / 1024 + " KB live (block " + block + " on " + data.names[core] + ")\n" + head;
    }
    return head + "\n" + micros(task.cycles).toFixed(2) + " µs, " + task.cycles + " cycles, " + ((100 * task.cycles) / data.cycles).toFixed(1) + " % of the model\nbound by " + task.bound + " " + Math.round(100 * task.ratio) + " %";
  }

  const pointers = new Map();
  let pinch = 0;
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); pointers.set(event.pointerId, event.clientX); canvas.classList.add("drag"); tip.hidden = true; });
  const release = (event) => { pointers.delete(event.pointerId); pinch = 0; if (!pointers.size) canvas.classList.remove("drag"); };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("pointermove", (event) => {
    if (pointers.has(event.pointerId)) {
      const before = pointers.get(event.pointerId);
      pointers.set(event.pointerId, event.clientX);
      const at = [...pointers.values()];
      if (at.length === 2) {
        const apart = Math.abs(at[0] - at[1]);
        if (pinch && apart) zoom(pinch / apart, toCycle((at[0] + at[1]) / 2 - canvas.getBoundingClientRect().left));
        pinch = apart;
      } else {
        const moved = (before - event.clientX) / scale();
        show(state.from + moved, state.to + moved);
      }
      return;
    }
    const spot = under(event);
    if (!spot || !spot.row || spot.row.kind === "head" || spot.number < 0) { tip.hidden = true; return; }
    tip.textContent = tipText(spot);
    tip.hidden = false;
    tip.style.left = Math.max(4, Math.min(spot.x + 14, view.clientWidth - tip.offsetWidth - 4)) + "px";
    const below = spot.y + 18;
    tip.style.top = (below + tip.offsetHeight > view.clientHeight ? Math.max(2, spot.y - tip.offsetHeight - 10) : below) + "px";
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const spot = under(event);
    zoom(Math.pow(1.0015, event.deltaY || event.deltaX), spot ? spot.cycle : undefined);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => { const spot = under(event); if (spot && spot.number >= 0) choose(spot.number, true); });
  canvas.addEventListener("keydown", (event) => {
    const span = state.to - state.from, step = { ArrowLeft: -0.2, ArrowRight: 0.2 }[event.key];
    if (step) show(state.from + span * step, state.to + span * step);
    else if (event.key === "+" || event.key === "=") zoom(0.6);
    else if (event.key === "-") zoom(1 / 0.6);
    else if (event.key === "0") show(0, data.cycles);
    else return;
    event.preventDefault();
  });
  byId("in").addEventListener("click", () => zoom(0.5));
  byId("out").addEventListener("click", () => zoom(2));
  byId("all").addEventListener("click", () => { show(0, data.cycles); });

  const tasks = byId("task"), cores = byId("cores");
  tasks.append(new Option("whole model", "-1"));
  data.tasks.forEach((task, number) => tasks.append(new Option(number + " " + task.name, String(number))));
  tasks.addEventListener("change", () => { const number = Number(tasks.value); choose(number, true); if (number < 0) show(0, data.cycles); });
  for (const core of data.cores) cores.append(new Option(data.names[core], String(core)));
  if (data.cores.length > 1) cores.append(new Option("all cores", "all"));
  state.cores = cores.value;
  cores.addEventListener("change", () => { state.cores = cores.value; redraw(); });

  // ---- links, roofline, table ----
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest("a[data-task], circle[data-task]") : null;
    if (target) choose(Number(target.dataset.task), true);
  });
  for (const button of document.querySelectorAll("input[name=roof]")) {
    button.addEventListener("change", () => {
      for (const group of document.querySelectorAll(".points")) group.classList.toggle("hidden", !group.classList.contains("by-" + button.value));
    });
  }
  const table = byId("table"), body = table.tBodies[0];
  const value = (row, column) => { const cell = row.cells[column]; return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v); };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : head.dataset.kind === "number" && column > 0;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const ordered = [...body.rows].sort((a, b) => { const x = value(a, column), y = value(b, column); return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1); });
      body.append(...ordered);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
  const find = byId("find");
  find.addEventListener("input", () => {
    const word = find.value.toLowerCase();
    let count = 0;
    for (const row of body.rows) { row.hidden = !row.textContent.toLowerCase().includes(word); count += row.hidden ? 0 : 1; }
    byId("found").textContent = word ? count + " of " + body.rows.length : "";
  });

  // report.html#task-12 opens with that task in the timeline and its instructions unfolded.
  function follow() {
    const named = /^#task-(\d+)$/.exec(location.hash);
    if (!named || !data.tasks[named[1]]) return;
    choose(Number(named[1]), true);
    const part = byId("task-" + named[1]);
    if (part) part.open = true;
  }

  readColours();
  follow();
  draw();
  window.addEventListener("hashchange", follow);
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
  document.documentElement.dataset.ready = String(data.tasks.length);
})();
