// The timeline: key frames and prompts under the pointer, which become edits of the texts. deforum_timeline_draw.js paints
// it; while something is dragged, deforum_keys.js computes the curve. It waits for these two and for deforum.js.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.timeline) return;

  const PATIENCE_MS = 15000;
  const PAD_PX = 10;
  const [MOUSE_PX, TOUCH_PX, STILL_PX] = [8, 18, 4];
  const LEAST_SPAN = 4;
  const ROWS_KEPT = "deforum_timeline_rows";

  const find = (id) => document.getElementById(id);
  const make = (tag, className = "", content = "") => {
    const made = document.createElement(tag);
    made.className = className;
    if (content) made.textContent = content;
    return made;
  };

  // Changes the data of a text node: the tab reads its marks again when children change.
  const setText = (element, text) => {
    if (!element.firstChild) element.append(document.createTextNode(text));
    if (element.firstChild.data !== text) element.firstChild.data = text;
  };
  const setHidden = (element, hidden) => element.hidden === hidden || (element.hidden = hidden);

  let keys = null; // deforum_keys.js
  let past = null; // undo
  let drawing = null; // deforum_timeline_draw.js
  let root = null;
  let parts = {};
  let data = null;
  let rows = [];
  let prompts = [];
  let view = { first: 0, last: 120 };
  let playhead = 0;
  let chosen = new Map(); // schedule -> frames of its selected keys
  let band = null; // frame of the selected prompt
  let drag = null;
  let clipboard = [];
  let snapping = true;
  let several = false;
  let playing = null;
  let shownRows = null;
  const known = {}; // texts as last seen, by setting
  const pointers = new Map();

  const last = () => data.frames - 1;
  const visible = () => Boolean(root && root.offsetParent !== null);
  const narrow = () => root.classList.contains("deforum-tl-narrow");

  // ---- requests: one at a time, each with at most one change ----

  const asking = { sent: 0, number: 0, change: null, again: false, values: "", range: "" };
  const waiting = []; // changes that the server has not applied yet

  const ask = () => {
    if (!visible()) return;
    // An event of gradio takes the page longer than several updates of a drag.
    if (drag?.moved || (asking.sent && Date.now() - asking.sent < PATIENCE_MS)) {
      asking.again = true;
      return;
    }
    asking.sent = Date.now();
    asking.again = false;
    root.setAttribute("aria-busy", "true");
    find("deforum_ask_timeline")?.click();
  };

  const request = () => {
    asking.number += 1;
    asking.change = waiting[0];
    asking.values = tab.values();
    asking.range = rangeInView();
    return JSON.stringify({
      number: asking.number,
      values: JSON.parse(asking.values),
      rows: shownRows || [],
      first: Math.floor(view.first),
      last: Math.ceil(view.last),
      edits: asking.change?.edits || {},
    });
  };

  const answered = (text) => {
    asking.sent = 0;
    let answer = {};
    try {
      answer = JSON.parse(text);
    } catch {
      // The event was refused; the next change asks again.
    }
    const change = answer.number === asking.number ? asking.change : null;
    asking.change = null;
    if (change) waiting.shift();
    if (change && !answer.refused) {
      remember(answer.texts);
      change.done?.();
    } else if (change) {
      waiting.length = 0;
    }
    say(answer.refused || answer.problem || "");
    if (waiting.length || asking.again) {
      ask();
      return;
    }
    if (answer.frames && (!drag || !drag.moved)) show(answer);
    root.setAttribute("aria-busy", "false");
  };

  const refresh = () => {
    if (visible() && tab.values() !== asking.values) ask();
  };

  const send = (edits, done) => {
    const used = Object.fromEntries(Object.entries(edits).filter(([, list]) => list.length));
    if (!Object.keys(used).length) return;
    waiting.push({ edits: used, done });
    ask();
  };

  // ---- texts of the settings ----

  const write = (name, value) => {
    const input = document.querySelector(`#deforum_field_${name} :is(textarea, input:not([type=range]))`);
    known[name] = value;
    tab.changed(name, value, true);
    if (!input) {
      tab.set({ [name]: value });
      return;
    }
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), "value").set.call(input, value);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  const remember = (texts) => {
    past.add(Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, [known[name], text]])));
    for (const [name, text] of Object.entries(texts)) write(name, text);
    showButtons();
  };

  const restore = (texts) => {
    if (!texts || drag) return;
    for (const [name, text] of Object.entries(texts)) write(name, text);
    clearSelection();
    showButtons();
    ask();
  };

  // A text that someone typed becomes a step of undo; a preset, which changes many settings, begins a new history.
  const noteTyped = (texts) => {
    const typed = Object.entries(texts).filter(([name, text]) => name in known && known[name] !== text);
    if (typed.length === 1) past.add({ [typed[0][0]]: [known[typed[0][0]], typed[0][1]] });
    else if (typed.length) past = keys.history();
    Object.assign(known, texts);
  };

  // ---- data of the server ----

  const show = (answer) => {
    const longer = data && data.frames !== answer.frames;
    const whole = !data || (view.first <= 0 && view.last >= data.frames);
    data = answer;
    noteTyped({
      ...Object.fromEntries(data.rows.map((row) => [row.name, row.text])),
      prompts: data.prompts.text,
      ...(data.length_acts ? { max_frames: data.frames } : {}),
    });
    prompts = data.prompts.bands;
    if (band !== null && !prompts.some(({ frame }) => frame === band)) band = null;
    rows = data.rows.map((row, place) => ({
      ...rows.find(({ name }) => name === row.name),
      ...row,
      detail: row.detail,
      place,
    }));
    for (const row of rows) {
      row.scale = keys.scaleOf(row);
      const left = [...(chosen.get(row.name) || [])].filter((at) => row.points.some(({ frame }) => frame === at));
      if (left.length) chosen.set(row.name, new Set(left));
      else chosen.delete(row.name);
    }
    if (whole || longer) view = { first: 0, last: data.frames };
    playhead = keys.clamp(playhead, 0, last());
    layRows();
    parts.head.style.height = `${drawing.headHeight()}px`;
    measure();
    const starts = prompts.map(({ frame }) => frame).join(", ");
    const bars = data.ruler.bars.filter((frame) => frame < data.frames).length;
    parts.head.setAttribute("aria-label", `Prompts at frames ${starts}${bars ? `; ${bars} bars` : ""}`);
    showMenus();
    showChoice();
    draw();
  };

  const stepOf = (row) => keys.niceStep((row.scale[1] - row.scale[0]) / 150);
  const textOf = (row, value) => keys.written(value, keys.niceStep((row.scale[1] - row.scale[0]) / 1500));

  // ---- places ----

  // Sizes are read when the page changes, not while something is dragged: each reading may lay out the whole page.
  let [wide, gutter, tall, scrolled] = [0, 0, 0, 0];
  const width = () => wide;
  const sizes = new Map(); // of the overview and the preview of the motion
  const measure = () => {
    wide = parts.head.clientWidth;
    gutter = parts.head.offsetLeft;
    tall = parts.lanes.clientHeight;
    scrolled = parts.lanes.scrollTop;
    for (const canvas of [parts.map, parts.motion]) sizes.set(canvas, [canvas.clientWidth, canvas.clientHeight]);
    for (const row of rows) {
      if (!row.canvas) continue;
      row.height = row.canvas.clientHeight;
      row.top = row.line.offsetTop + row.canvas.offsetTop;
    }
    parts.play.style.height = `${parts.lanes.scrollHeight}px`;
  };
  // Rows that are scrolled out of the lanes are drawn when they come into sight.
  const inSight = (row) => row.canvas && row.top < scrolled + tall && row.top + row.height > scrolled;
  const xOf = (frame) => PAD_PX + ((frame - view.first) / (view.last - view.first)) * (width() - 2 * PAD_PX);
  const frameOf = (x) => view.first + ((x - PAD_PX) / (width() - 2 * PAD_PX)) * (view.last - view.first);
  const framesPer = (pixels) => (pixels / (width() - 2 * PAD_PX)) * (view.last - view.first);
  const yOf = (row, value) => row.height - ((value - row.scale[0]) / (row.scale[1] - row.scale[0])) * row.height;
  const rangeInView = () => `${Math.floor(view.first)}-${Math.ceil(view.last)}`;

  const heightOfKey = (row, point) =>
    keys.clamp(yOf(row, point.number ?? keys.sampleOf(row)(point.frame) + (point.offset || 0)), 6, row.height - 6);

  let rangeTimer = 0;
  const look = (first, span) => {
    const whole = data.frames;
    const wide = keys.clamp(span, Math.min(LEAST_SPAN, whole), whole);
    const start = keys.clamp(first, 0, whole - wide);
    view = { first: start, last: start + wide };
    draw();
    clearTimeout(rangeTimer);
    // The server sends more detail of long videos.
    if (rows.some(({ series }) => series?.step)) rangeTimer = setTimeout(() => rangeInView() !== asking.range && ask(), 250);
  };
  const zoom = (factor, x = xOf(playhead)) => {
    const at = frameOf(keys.clamp(x, 0, width()));
    const span = keys.clamp((view.last - view.first) * factor, Math.min(LEAST_SPAN, data.frames), data.frames);
    look(at - ((at - view.first) / (view.last - view.first)) * span, span);
  };

  // Frames that a drag is drawn to, ascending: beats, key frames and prompts of the others, the playhead.
  const magnets = () => {
    const own = new Set();
    if (drag?.rows) for (const { picked } of drag.rows) for (const frame of picked) own.add(frame);
    const places = new Set([0, playhead, data.frames, ...data.ruler.beats.map(Math.round)]);
    for (const row of rows) for (const { frame } of row.points) if (!chosen.get(row.name)?.has(frame)) places.add(frame);
    for (const { frame } of prompts) if (drag?.frame !== frame) places.add(frame);
    return [...places].sort((one, other) => one - other);
  };
  const snapped = (frame, free) => {
    if (!snapping || free) return Math.round(frame);
    return keys.nearest(drag?.magnets || magnets(), frame, framesPer(drag?.touch ? 10 : 7)) ?? Math.round(frame);
  };

  // ---- selection ----

  const clearSelection = () => {
    chosen = new Map();
    band = null;
    showChoice();
    draw();
  };
  const isChosen = (row, frame) => chosen.get(row.name)?.has(frame) || false;
  const choose = (row, frame, add) => {
    if (!add) chosen = new Map();
    band = null;
    const frames = new Set(chosen.get(row.name) || []);
    if (add && frames.has(frame)) frames.delete(frame);
    else frames.add(frame);
    if (frames.size) chosen.set(row.name, frames);
    else chosen.delete(row.name);
  };
  const picked = () =>
    rows.flatMap((row) => row.points.filter(({ frame }) => isChosen(row, frame)).map((point) => ({ row, point })));

  // ---- edits ----

  const editOf = (was, point, row) => {
    const edit = { at: was.frame };
    if (point.frame !== was.frame) edit.to = point.frame;
    if (point.number === null && point.offset) edit.offset = point.offset;
    else if (point.number !== was.number) edit.value = keys.written(point.number, row.step);
    return edit;
  };

  const restart = (row, points) => {
    row.points = points;
    row.moved = keys.playing(points, data.frames);
  };

  const addKey = (row, frame, value = null) => {
    if (!row || row.driven || row.problem) return;
    const at = keys.clamp(Math.round(frame), 0, last());
    if (row.points.some((point) => point.frame === at)) {
      choose(row, at, false);
      showChoice();
      draw();
      return;
    }
    const text = value ?? textOf(row, keys.valueOf(row, at));
    choose(row, at, false);
    const point = { frame: at, key: String(at), value: text, number: Number(text), easing: null };
    restart(row, [...row.points, point].sort((one, other) => one.frame - other.frame));
    send({ [row.name]: [{ add: at, value: text }] });
    showChoice();
    draw();
  };

  const removeChosen = () => {
    if (band !== null) {
      if (prompts.length > 1) send({ prompts: [{ at: band, remove: true }] });
      band = null;
    } else {
      const edits = {};
      for (const row of rows) {
        const gone = chosen.get(row.name);
        if (!gone || row.driven) continue;
        const left = row.points.filter(({ frame }) => !gone.has(frame));
        // A schedule keeps at least one key.
        if (!left.length) left.push(row.points[0]);
        edits[row.name] = row.points.filter((point) => !left.includes(point)).map(({ frame }) => ({ at: frame, remove: true }));
        restart(row, left);
      }
      send(edits);
      chosen = new Map();
    }
    showChoice();
    draw();
  };

  const copyChosen = () => {
    const found = picked();
    if (!found.length) return;
    const start = Math.min(...found.map(({ point }) => point.frame));
    clipboard = found.map(({ row, point }) => ({
      name: row.name,
      after: point.frame - start,
      value: point.value,
      easing: point.easing?.text || "",
    }));
    showButtons();
  };

  const paste = (frame = Math.round(playhead)) => {
    const edits = {};
    const next = new Map();
    for (const { name, after, value, easing } of clipboard) {
      const at = frame + after;
      if (at > last() || !rows.some((row) => row.name === name && !row.driven)) continue;
      (edits[name] ??= []).push({ add: at, value, easing });
      if (!next.has(name)) next.set(name, new Set());
      next.get(name).add(at);
    }
    send(edits, () => {
      chosen = next;
    });
  };

  const setChosen = (edit) => {
    const edits = {};
    for (const { row, point } of picked()) if (!row.driven) (edits[row.name] ??= []).push({ at: point.frame, ...edit });
    send(edits);
  };

  // Arrow keys and the numbers below the toolbar.
  const nudge = (shift, rise) => {
    if (band !== null) {
      movePrompt(band, band + shift);
      return;
    }
    const edits = {};
    for (const row of rows) {
      const frames = chosen.get(row.name);
      if (!frames || row.driven) continue;
      row.step = stepOf(row);
      const free = keys.freeShift(row.points.map(({ frame }) => frame), frames, shift, last());
      const after = keys.moved(row.points, frames, free, rise * row.step, row.step);
      edits[row.name] = after.filter(({ was }) => was !== undefined).map((point) => editOf(row.points.find(({ frame }) => frame === point.was), point, row));
      commit(row, after);
    }
    send(edits);
    showChoice();
    draw();
  };

  // The moved points become the row's, until the server has answered.
  const commit = (row, points) => {
    chosen.set(row.name, new Set(points.filter(({ was }) => was !== undefined).map(({ frame }) => frame)));
    restart(row, points.map(({ was: _, ...point }) => point));
  };

  const movePrompt = (from, to) => {
    const at = promptShift(from, to);
    if (at === from) return;
    prompts = prompts
      .map((prompt) => (prompt.frame === from ? { ...prompt, frame: at } : prompt))
      .sort((one, other) => one.frame - other.frame);
    if (band === from) band = at;
    send({ prompts: [{ at: from, to: at }] });
    showChoice();
    draw();
  };
  const promptShift = (from, to) => {
    const frames = prompts.map(({ frame }) => frame);
    return from + keys.freeShift(frames, new Set([from]), to - from, last());
  };

  const splitPrompt = (frame = Math.round(playhead)) => {
    const found = keys.bands(prompts, data.frames).find(({ start, end }) => frame > start && frame < end);
    if (!found || prompts.some((prompt) => prompt.frame === frame)) {
      say("Move the playhead into a prompt to split it there.");
      return;
    }
    prompts = [...prompts, { frame, text: found.text }].sort((one, other) => one.frame - other.frame);
    send({ prompts: [{ add: frame, value: found.text }] });
    chosen = new Map();
    band = frame;
    showChoice();
    draw();
  };

  const setLength = (frames) => {
    if (frames === data.frames) return;
    past.add({ max_frames: [data.frames, frames] });
    write("max_frames", frames);
    showButtons();
    ask();
  };

  // ---- drawing: every canvas once per animation frame, and only what changed ----

  let dirty = new Set();
  let queued = 0;
  const draw = (what = null) => {
    if (!data || !root) return;
    for (const one of what ? [what].flat() : [...rows, "head", "map"]) dirty.add(one);
    if (!queued) queued = requestAnimationFrame(paint);
  };

  const paint = () => {
    if (drag?.event) {
      const event = drag.event;
      drag.event = null;
      MOVES[drag.kind](event);
    }
    queued = 0;
    if (!drag && !visible()) return;
    const now = dirty;
    dirty = new Set(rows.filter((row) => now.has(row) && !inSight(row)));
    placePlayhead();
    const grid = drawing.grid();
    for (const row of rows) if (now.has(row) && inSight(row)) drawing.row(row, grid);
    if (now.has("head")) drawing.head(grid);
    if (now.has("map")) drawing.map();
  };

  // ---- playhead and motion ----

  const placePlayhead = () => {
    const x = xOf(playhead);
    const inside = x >= -1 && x <= width() + 1;
    parts.play.style.display = inside ? "" : "none";
    const left = gutter + x;
    parts.play.style.transform = `translateX(${left.toFixed(1)}px)`;
    setText(parts.time, `${Math.round(playhead)} / ${last()}  \u00b7  ${(playhead / data.fps).toFixed(2)} s`);
    // New text is laid out: a drag of keys changes it ten times a second.
    const now = performance.now();
    clearTimeout(numbering);
    if (drag?.kind === "keys" && now - numbered < 100) {
      numbering = setTimeout(() => draw([]), 100);
      return;
    }
    numbered = now;
    for (const row of rows) if (row.series && inSight(row)) setText(row.now, textOf(row, keys.valueOf(row, Math.round(playhead))));
  };
  let [numbered, numbering] = [0, 0];

  const goTo = (frame, follow = true) => {
    const next = keys.clamp(frame, 0, last());
    drawing.drift(next - playhead);
    playhead = next;
    if (follow && (next < view.first || next > view.last)) look(next - (view.last - view.first) / 2, view.last - view.first);
    seekVideo();
    placePlayhead();
    drawing.motion();
    draw("map");
  };

  // The shown video follows, if it is one of these frames: a motion preview or the finished video.
  const seekVideo = () => {
    const video = document.querySelector("#deforum_run video");
    if (!video || Math.abs(video.duration - data.frames / data.fps) > 0.3 || playing) return;
    video.pause();
    video.currentTime = Math.min((Math.round(playhead) + 0.5) / data.fps, video.duration);
  };

  const togglePlay = () => {
    if (playing) cancelAnimationFrame(playing.frame);
    const was = playing;
    playing = null;
    if (!was) {
      if (playhead >= last()) playhead = 0;
      playing = { since: performance.now(), from: playhead };
      const step = (now) => {
        if (!playing || !visible()) return;
        const at = playing.from + ((now - playing.since) / 1000) * data.fps;
        goTo(at >= data.frames ? last() : at);
        if (at >= data.frames) togglePlay();
        else playing.frame = requestAnimationFrame(step);
      };
      playing.frame = requestAnimationFrame(step);
    }
    parts.playButton.textContent = playing ? "\u275a\u275a" : "\u25b6";
    parts.playButton.setAttribute("aria-label", playing ? "Stop" : "Play");
  };

  // ---- pointer ----

  const placeIn = (event, canvas) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const rowAt = (event) => rows.find((row) => row.canvas && row.canvas === event.target);
  const keyAt = (row, { x, y }, touch) => {
    const reach = touch ? TOUCH_PX : MOUSE_PX;
    let found = null;
    for (const point of row.driven ? [] : row.points) {
      if (point.frame >= data.frames) continue;
      const away = Math.hypot(xOf(point.frame) - x, heightOfKey(row, point) - y);
      if (away <= reach && (!found || away < found.away)) found = { point, away };
    }
    return found?.point;
  };
  // What is at a place of the head: "end", "ruler", the edge of a prompt, or its band.
  const headAt = ({ x, y }, touch) => {
    const reach = touch ? TOUCH_PX : MOUSE_PX;
    if (data.length_acts && Math.abs(xOf(data.frames) - x) <= reach && y < drawing.bandTop()) return { kind: "end" };
    if (y < drawing.bandTop()) return { kind: "ruler" };
    const found = keys.bands(prompts, data.frames);
    const edge = found.slice(1).find(({ start }) => Math.abs(xOf(start) - x) <= reach * 0.8);
    if (edge) return { kind: "edge", frame: edge.frame };
    const inside = found.find(({ start, end }) => x >= xOf(start) && x < xOf(end));
    return inside ? { kind: "band", frame: inside.frame, first: inside.start === 0 } : { kind: "ruler" };
  };

  const pressed = (event) => {
    if (!data || event.button > 0 || event.target.closest("button, input, select")) return;
    const canvas = event.target;
    const row = rowAt(event);
    if (!row && canvas !== parts.head && canvas !== parts.map) return;
    parts.lanes.focus({ preventScroll: true });
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    canvas.setPointerCapture?.(event.pointerId);
    if (pointers.size === 2) {
      beginPinch();
      return;
    }
    const touch = event.pointerType === "touch";
    const at = placeIn(event, canvas);
    const start = { canvas, touch, x: event.clientX, y: event.clientY, at, moved: false, pointer: event.pointerId };
    if (canvas === parts.map) {
      drag = { ...start, kind: "map" };
      lookAtMap(at.x);
    } else if (canvas === parts.head) pressHead(event, start);
    else pressRow(event, row, start);
    movedAt = Date.now();
    if (drag) drag.magnets = magnets();
  };

  const pressHead = (event, start) => {
    const found = headAt(start.at, start.touch);
    if (found.kind === "ruler") {
      drag = { ...start, kind: "playhead" };
      goTo(snapped(frameOf(start.at.x), event.altKey));
    } else if (found.kind === "end") drag = { ...start, kind: "end", frames: data.frames };
    else {
      chosen = new Map();
      band = found.frame;
      drag = { ...start, kind: found.kind, frame: found.frame, before: prompts, fixed: found.first };
      showChoice();
      draw();
    }
  };

  const pressRow = (event, row, start) => {
    const point = keyAt(row, start.at, start.touch);
    const add = event.shiftKey || event.ctrlKey || event.metaKey || several;
    if (!point) {
      drag = { ...start, kind: start.touch && !several ? "pan" : "box", add, view: { ...view }, row, scrolled };
      return;
    }
    if (add || !isChosen(row, point.frame)) choose(row, point.frame, add);
    if (isChosen(row, point.frame)) {
      const taken = rows
        .filter(({ name, driven }) => chosen.has(name) && !driven)
        .map((one) => ({ row: one, before: one.points, picked: new Set(chosen.get(one.name)) }));
      for (const { row: one } of taken) {
        one.step = stepOf(one);
        one.scaleBefore = one.scale;
      }
      drag = { ...start, kind: "keys", rows: taken, grabbed: { row, point }, copy: event.altKey };
    }
    showChoice();
    draw();
  };

  const movedPointer = (event) => {
    if (!data) return;
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pinch) {
      movePinch();
      return;
    }
    if (!drag) {
      hover(event);
      return;
    }
    if (event.pointerId !== drag.pointer) return;
    if (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < STILL_PX) return;
    drag.moved = true;
    drag.event = { clientX: event.clientX, clientY: event.clientY, shiftKey: event.shiftKey, altKey: event.altKey };
    movedAt = Date.now();
    if (!queued) queued = requestAnimationFrame(paint);
  };

  // Events of gradio wait while something moves, see deforum.js.
  let movedAt = 0;
  const dragging = () => Boolean(drag) && Date.now() - movedAt < 400;

  const dragX = (event) => drag.at.x + event.clientX - drag.x;
  const MOVES = {
    map: (event) => lookAtMap(dragX(event)),
    playhead: (event) => goTo(snapped(frameOf(dragX(event)), event.altKey), false),
    end: (event) => {
      drag.frames = Math.max(1, endAt(dragX(event), event.altKey));
      say(`${drag.frames} frames, ${(drag.frames / data.fps).toFixed(2)} s`);
      parts.play.style.setProperty("--tl-end", "0");
      drawing.head();
      const x = xOf(drag.frames);
      const context = parts.head.getContext("2d");
      context.fillStyle = drawing.accent();
      context.fillRect(x - 1.5, 0, 3, drawing.headHeight());
    },
    edge: (event) => shiftPrompts(event),
    band: (event) => shiftPrompts(event),
    pan: (event) => look(drag.view.first - framesPer(event.clientX - drag.x), drag.view.last - drag.view.first),
    box: (event) => moveBox(event),
    keys: (event) => moveKeys(event),
  };

  const endAt = (x, free) => {
    const wanted = frameOf(x);
    const beyond = data.ruler.beats.map(Math.round);
    const near = snapping && !free ? keys.nearest(beyond.length ? beyond : drag.magnets, wanted, framesPer(8)) : null;
    return near ?? Math.round(wanted);
  };

  const shiftPrompts = (event) => {
    const wanted = drag.frame + framesPer(event.clientX - drag.x);
    const found = keys.bands(drag.before, data.frames);
    const place = found.findIndex(({ frame }) => frame === drag.frame);
    if (place < 0 || (drag.kind === "band" && drag.fixed)) return;
    const low = place ? found[place - 1].start + 1 : 0;
    const next = found[place + 1];
    const high = drag.kind === "edge" ? (next ? next.start - 1 : last()) : next ? (found[place + 2]?.start ?? data.frames) - 1 - (next.start - drag.frame) : last();
    const at = keys.clamp(snapped(wanted, event.altKey), low, high);
    const shift = at - drag.frame;
    // A moved band keeps its length: the next one begins later by as much.
    const shifted = new Map([[drag.frame, at]]);
    if (drag.kind === "band" && next) shifted.set(next.frame, next.frame + shift);
    drag.shifted = shifted;
    prompts = drag.before.map((prompt) => (shifted.has(prompt.frame) ? { ...prompt, frame: shifted.get(prompt.frame) } : prompt));
    band = at;
    say(`prompt at frame ${at}, ${drawing.seconds(at)}`);
    draw("head");
  };

  const moveKeys = (event) => {
    const { grabbed } = drag;
    let [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (event.shiftKey) [dx, dy] = Math.abs(dx) > Math.abs(dy) ? [dx, 0] : [0, dy];
    if (Math.abs(dy) < 5) dy = 0;
    if (Math.abs(dx) < 5) dx = 0;
    const wanted = dx ? snapped(grabbed.point.frame + framesPer(dx), event.altKey && !drag.copy) - grabbed.point.frame : 0;
    // All rows move by the same number of frames: the least that is free in each.
    let shift = wanted;
    for (const { before, picked: frames } of drag.rows) {
      const free = keys.freeShift(before.map(({ frame }) => frame), frames, shift, last());
      if (Math.abs(free) < Math.abs(shift) || free * shift < 0) shift = free;
    }
    for (const { row, before, picked: frames } of drag.rows) {
      const rise = (-dy / row.height) * (row.scaleBefore[1] - row.scaleBefore[0]);
      const points = keys.moved(before, frames, shift, dy ? rise : 0, row.step);
      row.points = points;
      row.moved = keys.playing(points, data.frames);
      if (!row.touched) row.bends = new WeakMap();
      row.touched = true;
      chosen.set(row.name, new Set([...frames].map((frame) => frame + shift)));
      const numbers = points.filter(({ number }) => number !== null).map(({ number }) => number);
      row.scale = [Math.min(row.scaleBefore[0], ...numbers), Math.max(row.scaleBefore[1], ...numbers)];
      draw(row);
    }
    drag.shift = shift;
    showChoice();
  };

  const moveBox = (event) => {
    // In the lanes, as they are scrolled.
    const left = gutter + drag.at.x;
    const top = drag.row.top + drag.at.y;
    const across = event.clientX - drag.x;
    const down = event.clientY - drag.y + scrolled - drag.scrolled;
    const [x, y] = [Math.min(left, left + across), Math.min(top, top + down)];
    const [w, h] = [Math.abs(across), Math.abs(down)];
    Object.assign(parts.box.style, {
      display: "block",
      left: `${x}px`,
      top: `${y}px`,
      width: `${w}px`,
      height: `${h}px`,
    });
    if (!drag.add) chosen = new Map();
    band = null;
    for (const row of rows) {
      const inside = (row.driven ? [] : row.points).filter((point) => {
        const [px, py] = [gutter + xOf(point.frame), row.top + heightOfKey(row, point)];
        return px >= x && px <= x + w && py >= y && py <= y + h;
      });
      if (inside.length) chosen.set(row.name, new Set([...(chosen.get(row.name) || []), ...inside.map(({ frame }) => frame)]));
    }
    showChoice();
    draw();
  };

  const released = (event) => {
    pointers.delete(event.pointerId);
    if (pinch) {
      if (!pointers.size) pinch = null;
      drag = null;
      return;
    }
    if (!drag || event.pointerId !== drag.pointer) return;
    if (drag.event) MOVES[drag.kind](drag.event);
    for (const { row } of drag.rows || []) row.ground = null;
    const done = drag;
    drag = null;
    parts.box.style.display = "none";
    if (event.type === "pointercancel") {
      undoDrag(done);
      return;
    }
    if (!done.moved && ["box", "pan"].includes(done.kind)) {
      if (!done.add) clearSelection();
      goTo(Math.round(frameOf(done.at.x)));
    }
    if (!done.moved) return;
    if (done.kind === "end") setLength(done.frames);
    if (done.shifted) {
      const edits = [...done.shifted].filter(([from, to]) => from !== to).map(([at, to]) => ({ at, to }));
      prompts.sort((one, other) => one.frame - other.frame);
      send({ prompts: edits });
    }
    if (done.kind === "keys") dropKeys(done);
    showChoice();
    draw();
    if (!waiting.length) ask();
  };

  const dropKeys = (done) => {
    const edits = {};
    for (const { row, before } of done.rows) {
      const changed = row.points.filter(({ was }) => was !== undefined);
      const find = (was) => before.find(({ frame }) => frame === was);
      edits[row.name] = done.copy
        ? changed
            .filter(({ frame, was }) => frame !== was)
            .map((point) => ({ add: point.frame, value: find(point.was).value, easing: point.easing?.text || "" }))
        : changed.map((point) => editOf(find(point.was), point, row)).filter((edit) => Object.keys(edit).length > 1);
      commit(row, row.points);
      row.scale = row.scaleBefore;
    }
    send(edits);
  };

  const undoDrag = (done) => {
    for (const { row, before, picked: frames } of done.rows || []) {
      restart(row, before);
      row.touched = false;
      row.scale = row.scaleBefore;
      chosen.set(row.name, frames);
    }
    if (done.before) prompts = done.before;
    showChoice();
    draw();
    if (asking.again) ask();
  };

  const doubleClicked = (event) => {
    if (!data) return;
    const row = rowAt(event);
    const at = placeIn(event, event.target);
    if (row && !keyAt(row, at, false)) addKey(row, snapped(frameOf(at.x), event.altKey));
    else if (row) parts.value.focus();
    else if (event.target === parts.head && at.y >= drawing.bandTop()) parts.prompt.focus();
  };

  const hover = (event) => {
    const row = rowAt(event);
    let cursor = "";
    if (row) cursor = keyAt(row, placeIn(event, row.canvas), false) ? "grab" : "crosshair";
    else if (event.target === parts.head) {
      cursor = { end: "ew-resize", edge: "col-resize", band: "grab", ruler: "pointer" }[headAt(placeIn(event, parts.head), false).kind];
    }
    if (event.target instanceof HTMLCanvasElement) event.target.style.cursor = cursor;
  };

  let pinch = null;
  const spread = () => {
    const [one, other] = [...pointers.values()];
    return { x: (one.x + other.x) / 2 - parts.head.getBoundingClientRect().left, gap: Math.max(20, Math.abs(one.x - other.x)) };
  };
  const beginPinch = () => {
    if (drag) undoDrag(drag);
    drag = null;
    const { x, gap } = spread();
    pinch = { at: frameOf(x), gap, span: view.last - view.first };
  };
  const movePinch = () => {
    if (pointers.size < 2) return;
    const { x, gap } = spread();
    const span = (pinch.span * pinch.gap) / gap;
    look(pinch.at - ((x - PAD_PX) / (width() - 2 * PAD_PX)) * span, span);
  };

  const lookAtMap = (x) => {
    const span = view.last - view.first;
    if (span >= data.frames) goTo((x / parts.map.clientWidth) * data.frames, false);
    else look((x / parts.map.clientWidth) * data.frames - span / 2, span);
  };

  const wheeled = (event) => {
    if (!data) return;
    const across = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.0025), placeIn(event, parts.head).x);
    else if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) look(view.first + framesPer(across), view.last - view.first);
    else return;
    event.preventDefault();
  };

  // ---- keyboard ----

  const stepToKey = (way) => {
    const places = new Set(rows.flatMap((row) => row.points.map((point) => point.frame)));
    const ordered = [...places].filter((frame) => (way > 0 ? frame > playhead : frame < playhead) && frame <= last());
    if (!ordered.length) return;
    const at = way > 0 ? Math.min(...ordered) : Math.max(...ordered);
    chosen = new Map();
    band = null;
    for (const row of rows) if (row.points.some(({ frame }) => frame === at)) chosen.set(row.name, new Set([at]));
    goTo(at);
    showChoice();
    draw();
  };

  const selectAll = () => {
    chosen = new Map(rows.filter(({ driven }) => !driven).map((row) => [row.name, new Set(row.points.map(({ frame }) => frame))]));
    band = null;
    showChoice();
    draw();
  };

  const anything = () => chosen.size > 0 || band !== null;
  const KEYS = {
    ArrowLeft: (far) => (anything() ? nudge(-far, 0) : goTo(Math.round(playhead) - far)),
    ArrowRight: (far) => (anything() ? nudge(far, 0) : goTo(Math.round(playhead) + far)),
    ArrowUp: (far) => nudge(0, far),
    ArrowDown: (far) => nudge(0, -far),
    Home: () => goTo(0),
    End: () => goTo(last()),
    ",": () => stepToKey(-1),
    ".": () => stepToKey(1),
    " ": () => togglePlay(),
    Delete: () => removeChosen(),
    Backspace: () => removeChosen(),
    Escape: () => (drag ? cancelDrag() : clearSelection()),
    Enter: () => (band !== null ? parts.prompt : parts.value).focus(),
    k: () => addKey(activeRow(), playhead),
    s: () => splitPrompt(),
    "+": () => zoom(0.7),
    "=": () => zoom(0.7),
    "-": () => zoom(1 / 0.7),
    0: () => look(0, data.frames),
  };
  const COMMANDS = {
    z: (shift) => restore(shift ? past.redo() : past.undo()),
    y: () => restore(past.redo()),
    c: () => copyChosen(),
    v: () => paste(),
    x: () => {
      copyChosen();
      removeChosen();
    },
    a: () => selectAll(),
  };

  const cancelDrag = () => {
    const done = drag;
    drag = null;
    parts.box.style.display = "none";
    undoDrag(done);
  };

  const keyed = (event) => {
    if (!data || event.target.closest("input, select, textarea")) return;
    const pressedButton = event.target.closest("button");
    if (pressedButton && [" ", "Enter"].includes(event.key)) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const command = event.ctrlKey || event.metaKey;
    const action = (command ? COMMANDS : KEYS)[name];
    if (!action || event.altKey) return;
    event.preventDefault();
    action(command ? event.shiftKey : event.shiftKey ? 10 : 1);
  };

  // ---- the page ----

  const button = (text, title, act, className = "") => {
    const made = make("button", `deforum-button ${className}`, text);
    Object.assign(made, { type: "button", title });
    made.setAttribute("aria-label", title.split(" (")[0]);
    made.addEventListener("click", act);
    return made;
  };

  const labelled = (text, control) => {
    const label = make("label", "deforum-tl-field");
    control.setAttribute("aria-label", text);
    label.append(make("span", "", text), control);
    return label;
  };

  const build = () => {
    root.dataset.timeline = "built";
    const bar = make("div", "deforum-tl-bar");
    bar.setAttribute("role", "toolbar");
    bar.setAttribute("aria-label", "Timeline");
    parts.playButton = button("\u25b6", "Play (space)", () => togglePlay());
    parts.time = make("output", "deforum-tl-time");
    parts.undo = button("\u21b6", "Undo (Ctrl+Z)", () => restore(past.undo()));
    parts.redo = button("\u21b7", "Redo (Ctrl+Shift+Z)", () => restore(past.redo()));
    parts.snap = button("Snap", "Snap to beats, key frames and prompts (hold Alt to move freely)", () => {
      snapping = !snapping;
      showButtons();
    });
    parts.several = button("Select", "Select several: drag a box, tap keys one by one", () => {
      several = !several;
      showButtons();
    });
    parts.rowMenu = make("select", "deforum-tl-rows");
    parts.rowMenu.setAttribute("aria-label", "Add a schedule");
    parts.rowMenu.addEventListener("change", () => {
      addRow(parts.rowMenu.value);
      parts.rowMenu.value = "";
    });
    const zooming = make("span", "deforum-tl-group");
    zooming.append(
      button("\u2212", "Zoom out (-)", () => zoom(1 / 0.6)),
      button("Fit", "Show the whole video (0)", () => look(0, data.frames)),
      button("+", "Zoom in (+)", () => zoom(0.6)),
    );
    const history = make("span", "deforum-tl-group");
    history.append(parts.undo, parts.redo);
    parts.addButton = button("Add key", "Add a key frame at the playhead (K)", () => addKey(activeRow(), playhead));
    parts.split = button("Split prompt", "Split the prompt at the playhead (S)", () => splitPrompt());
    parts.copy = button("Copy", "Copy the key frames (Ctrl+C)", copyChosen);
    parts.paste = button("Paste", "Paste the key frames at the playhead (Ctrl+V)", () => paste());
    parts.remove = button("Delete", "Delete what is selected (Delete)", removeChosen);
    const editing = make("span", "deforum-tl-group");
    editing.append(parts.addButton, parts.split, parts.copy, parts.paste, parts.remove);
    bar.append(parts.playButton, parts.time, history, editing, parts.snap, parts.several, zooming, parts.rowMenu);

    parts.lanes = make("div", "deforum-tl-lanes");
    parts.lanes.tabIndex = 0;
    parts.lanes.setAttribute("role", "application");
    parts.lanes.setAttribute("aria-label", "Timeline. Comma and period step through key frames, arrow keys move them.");
    parts.headLine = make("div", "deforum-tl-line deforum-tl-top");
    const corner = make("div", "deforum-tl-gutter");
    parts.motion = make("canvas", "deforum-tl-motion");
    parts.motion.title = "The camera move at the playhead";
    corner.append(parts.motion);
    parts.head = make("canvas", "deforum-tl-head");
    parts.head.setAttribute("role", "img");
    parts.headLine.append(corner, parts.head);
    parts.box = make("div", "deforum-tl-box");
    parts.play = make("div", "deforum-tl-play");
    parts.lanes.append(parts.headLine, parts.play, parts.box);
    parts.map = make("canvas", "deforum-tl-map");

    root.append(bar, choiceBar(), parts.lanes, parts.map);
    for (const [type, act] of [
      ["pointerdown", pressed],
      ["pointermove", movedPointer],
      ["pointerup", released],
      ["pointercancel", released],
      ["dblclick", doubleClicked],
      ["keydown", keyed],
    ]) root.addEventListener(type, act);
    parts.lanes.addEventListener("scroll", () => {
      scrolled = parts.lanes.scrollTop;
      draw([]);
    });
    parts.lanes.addEventListener("wheel", wheeled, { passive: false });
    // A touch that grabs something must not scroll the page.
    root.addEventListener("touchstart", (event) => drag && drag.kind !== "pan" && event.preventDefault(), { passive: false });
    root.addEventListener("touchmove", (event) => drag && drag.kind !== "pan" && event.preventDefault(), { passive: false });
    new ResizeObserver(() => {
      root.classList.toggle("deforum-tl-narrow", root.clientWidth < 700);
      measure();
      drawing.readPalette();
      draw();
    }).observe(root);
    new MutationObserver(() => {
      drawing.readPalette();
      for (const row of rows) colorLabel(row);
      draw();
    }).observe(document.body, { attributeFilter: ["class"] });
    drawing.readPalette();
    showButtons();
    showChoice();
  };

  // The numbers of what is selected.
  const choiceBar = () => {
    const bar = make("div", "deforum-tl-choice");
    parts.about = make("output", "deforum-tl-about");
    parts.about.setAttribute("aria-live", "polite");
    parts.frame = Object.assign(make("input"), { type: "number", step: 1 });
    parts.frame.addEventListener("change", () => {
      const found = picked();
      const from = band ?? found[0]?.point.frame;
      if (from !== undefined && parts.frame.value !== "") nudge(Math.round(Number(parts.frame.value)) - from, 0);
    });
    parts.value = Object.assign(make("input", "deforum-tl-value"), { type: "text", spellcheck: false });
    parts.value.addEventListener("change", () => parts.value.value.trim() && setChosen({ value: parts.value.value.trim() }));
    parts.easing = make("select");
    parts.easing.addEventListener("change", () => {
      const name = parts.easing.value;
      setChosen({ easing: name === "bezier" ? "bezier(0.42, 0, 0.58, 1)" : name });
    });
    parts.points = Object.assign(make("input", "deforum-tl-value"), { type: "text", spellcheck: false });
    parts.points.addEventListener("change", () => setChosen({ easing: `bezier(${parts.points.value})` }));
    parts.prompt = Object.assign(make("input", "deforum-tl-prompt"), { type: "text" });
    parts.prompt.addEventListener("change", () => {
      if (band !== null) send({ prompts: [{ at: band, value: parts.prompt.value }] });
    });
    for (const input of [parts.frame, parts.value, parts.points, parts.prompt]) {
      input.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === "Escape") parts.lanes.focus({ preventScroll: true });
      });
    }
    parts.fields = {
      frame: labelled("Frame", parts.frame),
      value: labelled("Value", parts.value),
      easing: labelled("Easing", parts.easing),
      points: labelled("x1, y1, x2, y2", parts.points),
      prompt: labelled("Prompt", parts.prompt),
    };
    parts.number = button("To number", "Replace the formula by its value at this frame", () => {
      const edits = {};
      for (const { row, point } of picked()) {
        if (point.number !== null) continue;
        (edits[row.name] ??= []).push({ at: point.frame, value: textOf(row, keys.valueOf(row, point.frame)) });
      }
      send(edits);
    });
    bar.append(parts.about, ...Object.values(parts.fields), parts.number);
    return bar;
  };

  const activeRow = () => rows.find(({ name }) => chosen.has(name)) || rows.find(({ name }) => name === parts.active) || rows[0];

  const say = (text) => {
    if (!root) return;
    parts.said = text;
    showChoice();
  };

  const showButtons = () => {
    const [done, undone] = past.size();
    parts.undo.disabled = !done;
    parts.redo.disabled = !undone;
    parts.snap.setAttribute("aria-pressed", String(snapping));
    parts.several.setAttribute("aria-pressed", String(several));
    parts.paste.disabled = !clipboard.length;
  };

  const set = (input, value) => {
    if (document.activeElement !== input && input.value !== String(value)) input.value = value;
  };

  const showChoice = () => {
    if (!parts.fields || !data) return;
    const found = picked();
    const one = found[0];
    const prompt = band === null ? null : prompts.find(({ frame }) => frame === band);
    const shown = { frame: Boolean(one || prompt), value: Boolean(one), easing: Boolean(one), points: one?.point.easing?.name === "bezier", prompt: Boolean(prompt) };
    for (const [name, field] of Object.entries(parts.fields)) setHidden(field, !shown[name]);
    setHidden(parts.number, !found.some(({ point }) => point.number === null));
    parts.remove.disabled = !one && !(prompt && prompts.length > 1);
    parts.copy.disabled = !one;
    if (prompt) {
      set(parts.frame, prompt.frame);
      set(parts.prompt, prompt.text);
    } else if (one) {
      const { point, row } = one;
      set(parts.frame, point.frame);
      const text = point.number === null ? point.value : keys.written(point.number, row.step ? Math.min(row.step, 1e-4) : 1e-6);
      set(parts.value, text);
      set(parts.easing, point.easing?.name || "");
      set(parts.points, (point.easing?.numbers || []).join(", "));
    }
    const about = prompt
      ? `Prompt ${prompts.indexOf(prompt) + 1} of ${prompts.length}`
      : found.length > 1
        ? `${found.length} key frames`
        : one
          ? `${one.row.label}${one.point.key === String(one.point.frame) ? "" : `, ${one.point.key}`}`
          : "";
    setText(parts.about, parts.said || about || `${narrow() ? "Double-tap" : "Double-click"} a row to add a key frame, drag it, or drag the edge of a prompt.`);
    parts.about.classList.toggle("deforum-tl-said", Boolean(parts.said));
    parts.said = "";
  };

  const showMenus = () => {
    const signature = JSON.stringify([data.easings, data.schedules, rows.map(({ name }) => name)]);
    if (parts.menus === signature) return;
    parts.menus = signature;
    const option = (value, text) => Object.assign(make("option", "", text), { value });
    parts.easing.replaceChildren(
      option("", "none"),
      ...data.easings.map((name) => option(name, name.replaceAll("_", " "))),
    );
    const group = (label, list) => {
      const made = make("optgroup");
      made.label = label;
      made.append(...list.map(({ name, label: text }) => option(name, text)));
      return made;
    };
    const free = data.schedules.filter(({ name }) => !rows.some((row) => row.name === name));
    parts.rowMenu.replaceChildren(
      option("", "Add a row\u2026"),
      group("In effect", free.filter(({ acts }) => acts)),
      group("Without effect now", free.filter(({ acts }) => !acts)),
    );
  };

  const keepRows = (names) => {
    shownRows = names;
    try {
      sessionStorage.setItem(ROWS_KEPT, JSON.stringify(names));
    } catch {
      // The storage is full; the rows last as long as the page.
    }
    ask();
  };
  const addRow = (name) => name && keepRows([...rows.map((row) => row.name), name]);
  const hideRow = (name) => keepRows(rows.map((row) => row.name).filter((one) => one !== name));

  const colorLabel = (row) => row.line?.style.setProperty("--tl-color", drawing.color(row));

  const layRows = () => {
    for (const line of parts.lanes.querySelectorAll(".deforum-tl-row")) {
      if (!rows.some((row) => row.line === line)) line.remove();
    }
    for (const row of rows) {
      if (!row.line) {
        row.line = make("div", "deforum-tl-line deforum-tl-row");
        row.line.dataset.schedule = row.name;
        const gutter = make("div", "deforum-tl-gutter");
        const name = make("span", "deforum-tl-name", row.label);
        row.title = name;
        row.now = make("span", "deforum-tl-now");
        gutter.append(name, row.now, button("\u00d7", `Hide ${row.label}`, () => hideRow(row.name), "deforum-tl-hide"));
        row.canvas = make("canvas", "deforum-tl-curve");
        row.note = make("p", "deforum-tl-note");
        row.line.append(gutter, row.canvas, row.note);
      }
      if (row.line.parentNode !== parts.lanes || row.line.dataset.place !== String(row.place)) {
        row.line.dataset.place = String(row.place);
        parts.lanes.insertBefore(row.line, parts.play);
      }
      row.note.textContent = row.problem || (row.driven ? "These values come from the Parseq manifest." : "");
      row.note.hidden = !row.note.textContent;
      row.title.title = `${row.name}: ${row.text}`;
      row.moved = keys.playing(row.points, data.frames);
      row.touched = false;
      colorLabel(row);
    }
  };

  // The drawing reads everything from here, as it is at each moment.
  const shown = {
    get data() {
      return data;
    },
    get prompts() {
      return prompts;
    },
    get view() {
      return view;
    },
    get playhead() {
      return playhead;
    },
    get chosen() {
      return chosen;
    },
    get band() {
      return band;
    },
    get drag() {
      return drag;
    },
    get root() {
      return root;
    },
    get parts() {
      return parts;
    },
    frameOf,
    framesPer,
    heightOfKey,
    last,
    sizes,
    width,
    xOf,
    yOf,
  };

  const mount = () => {
    if (!keys) {
      if (!tab.keys || !tab.timelineDrawing || !tab.values || !tab.changed) return;
      keys = tab.keys;
      drawing = tab.timelineDrawing(shown);
      past = keys.history();
      try {
        shownRows = JSON.parse(sessionStorage.getItem(ROWS_KEPT) || "null");
      } catch {
        shownRows = null;
      }
    }
    const found = document.querySelector("#deforum_timeline [data-timeline]");
    if (!found || found.offsetParent === null) return;
    if (found !== root) {
      root = found;
      parts = {};
      rows = rows.map(({ line: _, canvas: _canvas, ...row }) => row);
      build();
      ask();
    } else if (!drag && (asking.sent ? Date.now() - asking.sent >= PATIENCE_MS : asking.values !== tab.values())) ask();
  };
  setInterval(mount, 300);

  tab.timeline = { request, answered, refresh, dragging };
})();
