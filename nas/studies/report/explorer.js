// The explorer of the report: trials in a plane, limits that filter, one architecture drawn by block. All that it knows
// lies in the page, as data (see explorer.py). Names are texts of others: they are shown by textContent, never as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const byId = (name) => document.getElementById(`explorer-${name}`);
  const trials = data.trials, count = trials.digest.length;
  const axis = Object.fromEntries(data.axes.map((one) => [one.name, one]));
  const NEAR = 14, DRAWN = 5000, PAD = { left: 62, right: 14, top: 14, bottom: 44 };
  const state = { x: data.first.x, y: data.first.y, hidden: new Set(), bound: {}, hovered: -1, selected: -1, light: false };
  const columns = Object.fromEntries(data.axes.map((one) => [one.name, Float64Array.from(trials.values[one.name])]));
  const layer = document.createElement("canvas");
  let sorted = [], visible = [], front = [], spots = [], view = null;

  const element = (tag, text = "", attributes = {}) => {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const shown = (name, value) => {
    const scaled = value * axis[name].scale;
    const digits = scaled !== 0 && Math.abs(scaled) < 1000 ? Number(scaled.toPrecision(4)) : Math.round(scaled);
    return `${digits.toLocaleString("en")} ${axis[name].unit}`.trim();
  };
  const values = (name) => columns[name];
  // Less of a cost is better; of a metric, what it says itself.
  const better = (name, one, other) => (axis[name].more ? one > other : one < other);
  const extent = (column) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of column) [low, high] = [Math.min(low, value), Math.max(high, value)];
    return [low, high];
  };
  const spreads = Object.fromEntries(data.axes.map((one) => [one.name, extent(values(one.name))]));
  const spread = (name) => spreads[name];

  // All trials, the better across first, of equals the better upwards. This is what takes time where there are many, so
  // it is done for a plane, not for every move of a slider.
  const sort = () => {
    const [x, y] = [values(state.x), values(state.y)];
    const signs = [state.x, state.y].map((name) => (axis[name].more ? -1 : 1));
    sorted = Uint32Array.from(x, (_, i) => i).sort((a, b) => signs[0] * (x[a] - x[b]) || signs[1] * (y[a] - y[b]));
  };

  // What is within the limits and of a strategy that is shown, and the front of that in the plane.
  const filter = () => {
    const bounds = Object.entries(state.bound).map(([name, bound]) => ({ own: values(name), bound, more: axis[name].more }));
    const kept = (i) => bounds.every(({ own, bound, more }) => (more ? own[i] >= bound : own[i] <= bound));
    visible = sorted.filter((i) => !state.hidden.has(trials.strategy[i]) && kept(i));
    const y = values(state.y);
    front = [];
    for (const i of visible) if (!front.length || better(state.y, y[i], y[front.at(-1)])) front.push(i);
  };

  // Of many, the front, those with a role, and an even sample of the others.
  const drawn = () => {
    if (visible.length <= DRAWN) return visible;
    const sample = Array.from({ length: DRAWN }, (_, at) => visible[Math.floor((at * visible.length) / DRAWN)]);
    return [...new Set([...sample, ...front, ...visible.filter((i) => trials.role[i])])];
  };

  const colours = () => {
    if (state.light) return { ink: "#1f2933", muted: "#616e7c", line: "#dfe3e8", paper: "#ffffff", marks: ["#2563a8", "#9aa5b1"], star: "#d1661f" };
    const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
    return { ink: of("--ink"), muted: of("--muted"), line: of("--line"), paper: of("--paper"), marks: [of("--blue"), of("--grey")], star: of("--orange") };
  };

  const ticks = (low, high) => {
    const raw = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
    const made = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) made.push(Number(at.toPrecision(8)));
    return made;
  };

  const scale = (name, from, to) => {
    const [low, high] = spread(name).map((value) => value * axis[name].scale), edge = (high - low || Math.abs(high) || 1) * 0.04;
    const [least, most] = [low - edge, high + edge];
    return { at: (value) => from + ((value * axis[name].scale - least) / (most - least)) * (to - from), least, most };
  };

  // The plane with everything but what the pointer moves: that is put onto a copy.
  const draw = () => {
    const canvas = byId("plane"), dots = window.devicePixelRatio || 1, width = canvas.getBoundingClientRect().width;
    const height = Math.max(260, Math.min(420, width * 0.62)), pen = layer.getContext("2d"), ink = colours();
    canvas.style.height = `${height}px`;
    [canvas.width, canvas.height] = [layer.width, layer.height] = [width * dots, height * dots];
    pen.scale(dots, dots);
    pen.fillStyle = ink.paper;
    pen.fillRect(0, 0, width, height);
    view = { x: scale(state.x, PAD.left, width - PAD.right), y: scale(state.y, height - PAD.bottom, PAD.top) };
    frame(pen, ink, width, height);
    spots = Array.from(drawn(), (i) => [...point(i), i]);
    pen.globalAlpha = 0.75;
    for (const [left, top, i] of spots) {
      pen.fillStyle = data.strategies[trials.strategy[i]] === data.own ? ink.marks[0] : ink.marks[1];
      pen.beginPath();
      pen.arc(left, top, 3, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    line(pen, ink);
    for (const [left, top, i] of spots) if (trials.role[i]) ring(pen, left, top, 6, ink.star);
    mark();
  };

  const mark = () => {
    const pen = byId("plane").getContext("2d"), dots = window.devicePixelRatio || 1, ink = colours();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.drawImage(layer, 0, 0);
    pen.scale(dots, dots);
    for (const i of [state.selected, state.hovered]) if (i >= 0) ring(pen, ...point(i), 9, ink.ink);
  };

  const point = (i) => [view.x.at(values(state.x)[i]), view.y.at(values(state.y)[i])];

  const frame = (pen, ink, width, height) => {
    pen.font = "12px system-ui, sans-serif";
    pen.strokeStyle = ink.line;
    pen.fillStyle = ink.muted;
    pen.textAlign = "center";
    for (const at of ticks(view.x.least, view.x.most)) {
      const left = view.x.at(at / axis[state.x].scale);
      segment(pen, left, PAD.top, left, height - PAD.bottom);
      pen.fillText(at.toLocaleString("en"), left, height - PAD.bottom + 16);
    }
    pen.textAlign = "right";
    for (const at of ticks(view.y.least, view.y.most)) {
      const top = view.y.at(at / axis[state.y].scale);
      segment(pen, PAD.left, top, width - PAD.right, top);
      pen.fillText(at.toLocaleString("en"), PAD.left - 6, top + 4);
    }
    pen.fillStyle = ink.ink;
    pen.textAlign = "center";
    name(pen, axis[state.x].label, (PAD.left + width - PAD.right) / 2, height - 8, width);
    pen.save();
    pen.rotate(-Math.PI / 2);
    name(pen, axis[state.y].label, (PAD.bottom - height - PAD.top) / 2, 14, height, -height);
    pen.restore();
    const bound = state.bound[state.x];
    if (bound !== undefined) {
      pen.strokeStyle = ink.star;
      segment(pen, view.x.at(bound), PAD.top, view.x.at(bound), height - PAD.bottom);
    }
  };

  // The name of an axis in its middle; a long one as far inside of the canvas as it must be, and a very long one narrower.
  const name = (pen, text, middle, line, length, begins = 0) => {
    const half = Math.min(pen.measureText(text).width, length - 8) / 2;
    const inside = Math.max(begins + 4 + half, Math.min(begins + length - 4 - half, middle));
    pen.fillText(text, inside, line, length - 8);
  };

  const segment = (pen, x1, y1, x2, y2) => {
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
    pen.stroke();
  };

  const ring = (pen, left, top, radius, colour) => {
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(left, top, radius, 0, 2 * Math.PI);
    pen.stroke();
    pen.lineWidth = 1;
  };

  const line = (pen, ink) => {
    pen.strokeStyle = ink.ink;
    pen.beginPath();
    for (const i of front) pen.lineTo(...point(i));
    pen.stroke();
  };

  const nearest = (event) => {
    const box = byId("plane").getBoundingClientRect(), left = event.clientX - box.left, top = event.clientY - box.top;
    let [found, least] = [-1, NEAR ** 2];
    for (const [x, y, i] of spots) {
      const distance = (x - left) ** 2 + (y - top) ** 2;
      if (distance < least) [found, least] = [i, distance];
    }
    return found;
  };

  const named = (i) => `${data.strategies[trials.strategy[i]]} ${trials.number[i]}${trials.role[i] ? `, ${trials.role[i]}` : ""}`;

  const hover = (i, event) => {
    const tip = byId("tip");
    tip.hidden = i < 0;
    if (i !== state.hovered) {
      state.hovered = i;
      mark();
    }
    if (i < 0) return;
    tip.textContent = `${named(i)}: ${[state.y, state.x].map((name) => `${axis[name].title} ${shown(name, values(name)[i])}`).join(", ")}`;
    const box = byId("plane").getBoundingClientRect(), left = event.clientX - box.left;
    tip.style.left = `${Math.max(0, Math.min(left + 12, box.width - tip.offsetWidth))}px`;
    tip.style.top = `${event.clientY - box.top + 14}px`;
  };

  const select = (i) => {
    state.selected = i;
    byId("architecture").disabled = i < 0;
    const panel = byId("selected");
    panel.replaceChildren();
    if (i < 0) return;
    panel.append(element("h3", named(i)), element("p", trials.digest[i], { class: "mono" }), costs(i), blocks(i));
    for (const row of byId("front").rows) row.classList.toggle("chosen", row.dataset.trial === String(i));
    mark();
  };

  const costs = (i) => {
    const table = element("table"), body = table.createTBody();
    for (const one of data.axes) {
      const row = body.insertRow(), share = one.cost && one.base ? `${((100 * values(one.name)[i]) / one.base).toFixed(1)} % of the base` : "";
      row.append(element("th", one.title, { scope: "row" }), element("td", shown(one.name, values(one.name)[i])), element("td", share));
    }
    return table;
  };

  // A row for each dimension, a bar for each block; a choice of the whole model has one bar.
  const blocks = (i) => {
    const drawn = element("div", "", { class: "blocks" });
    for (const dimension of new Set(data.choices.map((choice) => choice.dimension))) {
      const row = element("div", "", { class: "bars" });
      for (const choice of data.choices.filter((one) => one.dimension === dimension)) {
        const at = trials.chosen[choice.name][i], cell = element("div", "", { class: "cell", title: `${choice.name}: ${choice.values[at]}` });
        const whole = element("div", "", { class: "whole" }), bar = element("div", "", { class: "bar" });
        bar.style.height = `${100 * choice.shares[at]}%`;
        whole.append(bar);
        cell.append(element("span", choice.values[at]), whole, element("span", choice.block, { class: "block" }));
        row.append(cell);
      }
      drawn.append(element("h4", dimension.replaceAll("_", " ")), row);
    }
    return drawn;
  };

  const frontTable = () => {
    const body = byId("front").tBodies[0];
    body.replaceChildren();
    for (const i of front.slice(0, 200)) {
      const row = body.insertRow(), button = element("button", named(i), { type: "button" });
      row.dataset.trial = i;
      button.addEventListener("click", () => select(i));
      row.insertCell().append(button);
      for (const one of data.axes) row.append(element("td", shown(one.name, values(one.name)[i])));
      row.classList.toggle("chosen", i === state.selected);
    }
  };

  const strategiesTable = () => {
    const body = byId("strategies-table").tBodies[0], y = values(state.y);
    const tally = data.strategies.map((name) => ({ name, own: 0, share: 0, best: -1 }));
    for (const i of visible) {
      const one = tally[trials.strategy[i]];
      one.own++;
      if (one.best < 0 || better(state.y, y[i], y[one.best])) one.best = i;
    }
    for (const i of front) tally[trials.strategy[i]].share++;
    body.replaceChildren();
    for (const { name, own, share, best } of tally) {
      const cells = best < 0 ? ["–", "–"] : [shown(state.y, y[best]), shown(state.x, values(state.x)[best])];
      const told = [own, share, ...cells].map((text) => element("td", text.toLocaleString("en")));
      body.insertRow().append(element("th", name, { scope: "row" }), ...told);
    }
    byId("best").textContent = `best ${axis[state.y].title}`;
    byId("of-best").textContent = `its ${axis[state.x].title}`;
  };

  const summary = () => {
    const [within, all] = [visible.length, count].map((number) => number.toLocaleString("en"));
    const sampled = visible.length > DRAWN ? ` Drawn are the front and an even sample of ${DRAWN.toLocaleString("en")}.` : "";
    byId("count").textContent = `${within} of ${all} architectures are within these limits, ${front.length} of them on the front.${sampled}`;
  };

  const update = () => {
    filter();
    frontTable();
    strategiesTable();
    summary();
    draw();
  };

  const download = (name, type, text) => {
    const url = URL.createObjectURL(new Blob([text], { type })), link = element("a", "", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    URL.revokeObjectURL(url);
  };

  // A text is quoted, and one that a spreadsheet would take for a formula gets an apostrophe.
  const cell = (value) => (typeof value === "number" ? String(value) : `"${`${value}`.replace(/^(\s*[=+\-@\t\r])/, "'$1").replaceAll('"', '""')}"`);
  const csv = () => {
    const head = ["strategy", "number", "digest", ...data.choices.map((one) => one.name), ...data.axes.map((one) => one.name)];
    const rows = Array.from(visible.slice().sort(), (i) => [
      data.strategies[trials.strategy[i]], trials.number[i], trials.digest[i],
      ...data.choices.map((one) => Number(one.values[trials.chosen[one.name][i]])), ...data.axes.map((one) => values(one.name)[i]),
    ]);
    return [head, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  };

  // As `nas export --architecture` writes it; values stand as Python writes them, since the digest is made of them.
  const architecture = (i) => {
    const chosen = data.choices.map((one) => `${JSON.stringify(one.name)}: ${one.values[trials.chosen[one.name][i]]}`);
    const known = data.axes.filter((one) => one.cost).map((one) => [one.name, values(one.name)[i]]);
    const rest = { ...data.file, strategy: data.strategies[trials.strategy[i]], digest: trials.digest[i], costs: Object.fromEntries(known) };
    return `${JSON.stringify(rest, null, 1).slice(0, -2)},\n "architecture": {\n  ${chosen.join(",\n  ")}\n }\n}\n`;
  };

  const options = (name) => {
    for (const one of data.axes) byId(name).append(element("option", one.label, { value: one.name }));
    byId(name).value = state[name];
    byId(name).addEventListener("change", (event) => {
      state[name] = event.target.value;
      sort();
      update();
    });
  };

  const slider = (one) => {
    const [low, high] = spread(one.name), steps = 200, limit = one.more ? one.least : one.most;
    const label = element("label", `${one.title} ${one.more ? "at least" : "at most"} `), told = element("output");
    const input = element("input", "", { type: "range", min: 0, max: steps });
    const loose = one.more ? 0 : steps;
    const set = (place) => {
      const bound = low + ((high - low) * place) / steps;
      told.textContent = Number(place) === loose ? "any" : shown(one.name, bound);
      if (Number(place) === loose) delete state.bound[one.name];
      else state.bound[one.name] = bound;
    };
    // The study's own limit is where the slider begins, rounded outwards.
    const begin = limit === null || high === low ? loose : ((limit - low) / (high - low)) * steps;
    input.value = Math.max(0, Math.min(steps, one.more ? Math.floor(begin) : Math.ceil(begin)));
    set(input.value);
    input.addEventListener("input", () => {
      set(input.value);
      update();
    });
    label.append(told, input);
    return label;
  };

  const tick = (name, place) => {
    const label = element("label"), input = element("input", "", { type: "checkbox" });
    input.checked = true;
    input.addEventListener("change", () => {
      state.hidden[input.checked ? "delete" : "add"](place);
      update();
    });
    label.append(input, ` ${name}`);
    return label;
  };

  // Arrow keys walk along the front; Home and End go to its ends.
  const walk = (event) => {
    const at = front.indexOf(state.selected), last = front.length - 1;
    const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    select(front[Math.max(0, Math.min(last, to))]);
  };

  const begin = () => {
    options("x");
    options("y");
    byId("strategies").append(...data.strategies.map(tick));
    byId("limits").append(...data.axes.map(slider));
    for (const one of data.axes) byId("front").tHead.rows[0].append(element("th", one.title, { scope: "col" }));
    const plane = byId("plane");
    plane.addEventListener("mousemove", (event) => hover(nearest(event), event));
    plane.addEventListener("mouseleave", (event) => hover(-1, event));
    plane.addEventListener("click", (event) => nearest(event) >= 0 && select(nearest(event)));
    plane.addEventListener("keydown", walk);
    byId("csv").addEventListener("click", () => download("trials.csv", "text/csv", csv()));
    byId("architecture").addEventListener("click", () => download(`${trials.digest[state.selected]}.json`, "application/json", architecture(state.selected)));
    byId("section").hidden = false;
    sort();
    update();
    select(trials.role.indexOf("winner"));
    new ResizeObserver(draw).observe(plane.parentElement);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    for (const [name, light] of [["beforeprint", true], ["afterprint", false]]) {
      window.addEventListener(name, () => {
        state.light = light;
        draw();
      });
    }
  };

  if (count) begin();
})();
