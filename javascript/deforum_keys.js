// The numbers of the timeline, without a page: easing, values between key frames, snapping, moved keys, undo.
// `schedule/` decides what a text means; while a key is dragged, the same formulas run here until the server has answered.
(() => {
  "use strict";
  const tab = (globalThis.deforumTab ??= {});
  if (tab.keys) return;

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // ---- easing: `schedule/easing.py` has the same formulas ----

  const bounce = (u) => {
    if (u < 4 / 11) return (11 / 4) ** 2 * u ** 2;
    const [middle, lowest] = u < 8 / 11 ? [6 / 11, 0.75] : u < 10 / 11 ? [9 / 11, 0.9375] : [21 / 22, 0.984375];
    return (11 / 4) ** 2 * (u - middle) ** 2 + lowest;
  };

  const bernstein = (s, first, second) => 3 * (1 - s) ** 2 * s * first + 3 * (1 - s) * s ** 2 * second + s ** 3;

  const bezier = (u, x1, y1, x2, y2) => {
    let [low, high] = [0, 1];
    for (let turn = 0; turn < 60; turn += 1) {
      const middle = (low + high) / 2;
      if (bernstein(middle, x1, x2) < u) low = middle;
      else high = middle;
    }
    return bernstein((low + high) / 2, y1, y2);
  };

  // Share of the change of value by the share of the frames.
  const EASINGS = {
    linear: (u) => u,
    hold: (u) => (u < 1 ? 0 : 1),
    ease_in: (u) => u ** 2,
    ease_out: (u) => 1 - (1 - u) ** 2,
    ease_in_out: (u) => (u < 0.5 ? 2 * u ** 2 : 1 - 2 * (1 - u) ** 2),
    bounce,
    elastic: (u) => 1 + 2 ** (-10 * u) * Math.sin((u - 0.075) * ((2 * Math.PI) / 0.3)),
    bezier,
  };

  // Slope at an inner key frame by the lengths of the stretches on both sides and their slopes.
  const SLOPES = {
    cubic: (before, after, rise, next) => (after * rise + before * next) / (before + after),
    monotone: (before, after, rise, next) => {
      if (rise * next <= 0) return 0;
      const [one, two] = [2 * after + before, after + 2 * before];
      return (one + two) / (one / rise + two / next);
    },
  };

  const slopesOf = (points, name, sample) => {
    const key = `slopes_${name}`;
    if (points[key]) return points[key];
    const numbers = points.map((point) => numberAt(point, sample));
    const lengths = points.slice(1).map((point, place) => point.frame - points[place].frame);
    const rises = lengths.map((length, place) => (numbers[place + 1] - numbers[place]) / length);
    const inner = rises
      .slice(1)
      .map((next, place) => SLOPES[name](lengths[place], lengths[place + 1], rises[place], next));
    points[key] = [0, ...inner, 0];
    return points[key];
  };

  // ---- values between key frames ----

  const numberAt = (point, sample) => point.number ?? sample(point.frame) + (point.offset || 0);

  // A point is {frame, number, easing}: number null stands for an expression, easing null for none, else {name, numbers}.
  // The key frames that count, ascending: those within the video, else the next one after it, else the last one.
  const playing = (points, frames) => {
    const inside = points.filter(({ frame }) => frame >= 0 && frame < frames);
    if (inside.length || !points.length) return inside;
    const one = points.find(({ frame }) => frame >= frames) || points[points.length - 1];
    return [{ ...one, frame: 0 }];
  };

  const indexAt = (points, frame) => {
    let [low, high] = [0, points.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (points[middle].frame <= frame) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  // Value at `frame` of points from `playing`. `sample(frame)` is the value that the server found there, for expressions.
  const valueAt = (points, frame, sample) => {
    const at = indexAt(points, frame);
    const [from, to] = [points[at], points[at + 1]];
    const eased = to && to.easing && frame > from.frame;
    if (from.number === null && !eased) return sample(frame) + (from.offset || 0);
    const begin = numberAt(from, sample);
    if (!to || frame <= from.frame) return begin;
    const change = numberAt(to, sample) - begin;
    const share = (frame - from.frame) / (to.frame - from.frame);
    const { name, numbers } = to.easing || { name: "linear" };
    if (!(name in SLOPES)) return begin + change * EASINGS[name](share, ...(numbers || []));
    const length = to.frame - from.frame;
    const ends = slopesOf(points, name, sample).slice(at, at + 2).map((slope) => slope * length);
    const bend = share * (1 - share) ** 2 * ends[0] - share ** 2 * (1 - share) * ends[1];
    return begin + change * share ** 2 * (3 - 2 * share) + bend;
  };

  // ---- rows: {series, detail, points, moved, driven}; a series has values of frames, or the lowest and highest of groups ----

  // Lowest and highest value at a frame.
  const seriesAt = (series, frame) => {
    if (!series || (series.values && series.values.length === 1)) return series ? [series.values[0], series.values[0]] : null;
    const place = clamp(frame, series.first, series.last) - series.first;
    if (series.values) {
      const at = Math.floor(place);
      const value = series.values[at];
      const next = series.values[Math.min(at + 1, series.values.length - 1)];
      const between = value + (next - value) * (place - at);
      return [between, between];
    }
    const column = Math.min(Math.floor(place / series.step), series.low.length - 1);
    return [series.low[column], series.high[column]];
  };

  const covers = (series, frame) => series && frame >= series.first && frame <= series.last;
  const plannedAt = (row, frame) => seriesAt(covers(row.detail, frame) ? row.detail : row.series, frame);
  const sampleOf = (row) => (frame) => {
    const found = plannedAt(row, frame);
    return found ? (found[0] + found[1]) / 2 : 0;
  };

  const valueOf = (row, frame) => {
    if (row.driven || !row.points.length || !row.moved) return sampleOf(row)(frame);
    return valueAt(row.moved, frame, sampleOf(row));
  };

  const plannedBetween = (row, from, to) => {
    const series = covers(row.detail, from) ? row.detail : row.series;
    if (!series.values || series.values.length === 1) return seriesAt(series, from);
    let [low, high] = [Infinity, -Infinity];
    const end = Math.min(Math.ceil(to), series.last);
    for (let frame = Math.max(Math.floor(from), series.first); frame <= end; frame += 1) {
      const value = series.values[frame - series.first];
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  };

  // Lowest and highest value that a row shows, with some room.
  const scaleOf = (row) => {
    const series = row.series || { values: [0] };
    const all = [...(series.values || []), ...(series.low || []), ...(series.high || [])];
    let [low, high] = [Infinity, -Infinity];
    for (const value of all) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (!(high >= low)) [low, high] = [0, 1];
    if (high - low < 1e-9 * Math.max(Math.abs(low), Math.abs(high), 1e-9)) {
      const bounded = row.bounds[0] !== null && row.bounds[1] !== null && row.bounds[1] - row.bounds[0] <= 100;
      const room = Math.max(Math.abs(low) * 0.1, 0.05);
      [low, high] = bounded ? row.bounds : [low - room, high + room];
    }
    const room = (high - low) * 0.16;
    return [low - room, high + room];
  };

  // ---- choosing numbers ----

  // The largest of 1, 2 and 5 times a power of ten that is at most `size`.
  const niceStep = (size) => {
    if (!(size > 0) || !Number.isFinite(size)) return 1;
    const power = 10 ** Math.floor(Math.log10(size) + 1e-9);
    return [5, 2, 1].map((factor) => factor * power).find((step) => step <= size * (1 + 1e-9)) ?? power;
  };

  const decimals = (step) => clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 12);

  // `value` as the text of a schedule, rounded to a multiple of `step`.
  const written = (value, step) => {
    const text = (Math.round(value / step) * step).toFixed(decimals(step));
    const short = text.includes(".") ? text.replace(/\.?0+$/, "") : text;
    return short === "-0" ? "0" : short;
  };

  // The nearest of the ascending `places` within `reach`, else null.
  const nearest = (places, wanted, reach) => {
    let [low, high] = [0, places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    let found = null;
    for (const place of [places[low - 1], places[low]]) {
      const distance = Math.abs(place - wanted);
      if (distance <= reach && (found === null || distance < Math.abs(found - wanted))) found = place;
    }
    return found;
  };

  // ---- moved keys ----

  // The shift nearest to `wanted` at which no chosen frame leaves 0..last or meets one that stays.
  const freeShift = (frames, chosen, wanted, last) => {
    const moving = frames.filter((frame) => chosen.has(frame));
    if (!moving.length) return 0;
    const staying = new Set(frames.filter((frame) => !chosen.has(frame)));
    // A key beyond the video may stay there; it only moves inwards.
    const [low, high] = [Math.min(0, -Math.min(...moving)), Math.max(0, last - Math.max(...moving))];
    const free = (shift) => !moving.some((frame) => staying.has(frame + shift));
    const start = clamp(Math.round(wanted), low, high);
    for (let away = 0; away <= high - low; away += 1) {
      const toZero = start > 0 ? start - away : start + away;
      if (toZero >= low && toZero <= high && free(toZero)) return toZero;
      const outwards = start > 0 ? start + away : start - away;
      if (outwards >= low && outwards <= high && free(outwards)) return outwards;
    }
    return 0;
  };

  // Points with the chosen ones moved by `shift` frames and `rise`, ascending.
  const moved = (points, chosen, shift, rise, step) =>
    points
      .map((point) => {
        if (!chosen.has(point.frame)) return point;
        const next = { ...point, frame: point.frame + shift, was: point.was ?? point.frame };
        if (rise && point.number === null) next.offset = (point.offset || 0) + Number(written(rise, step));
        else if (rise) next.number = Number(written(point.number + rise, step));
        return next;
      })
      .sort((one, other) => one.frame - other.frame);

  // ---- undo: each change is {setting: [before, after]} ----

  const history = () => {
    const done = [];
    const undone = [];
    const step = (from, to, side) => {
      const change = from.pop();
      if (!change) return null;
      to.push(change);
      return Object.fromEntries(Object.entries(change).map(([name, texts]) => [name, texts[side]]));
    };
    return {
      add: (change) => {
        if (!Object.values(change).some(([before, after]) => before !== after)) return;
        done.push(change);
        undone.length = 0;
        if (done.length > 500) done.shift();
      },
      // Both return the values to restore, or null.
      undo: () => step(done, undone, 0),
      redo: () => step(undone, done, 1),
      size: () => [done.length, undone.length],
    };
  };

  // ---- prompts: {frame, text}, ascending; each band reaches to the next ----

  const bands = (prompts, frames) => {
    const inside = prompts.filter(({ frame }) => frame >= 0 && frame < frames);
    const shown = inside.length ? inside : prompts.slice(0, 1);
    return shown.map((prompt, place) => ({
      ...prompt,
      start: place ? prompt.frame : 0,
      end: place + 1 < shown.length ? shown[place + 1].frame : frames,
    }));
  };

  // ---- drawing ----

  // Corners [frame, value] of the curve of `points` from `playing`, over the frames `first` to `last`. A straight stretch has
  // its ends alone, a bent one a corner every `step` frames, at least 1. `range(from, to)` = the lowest and highest value
  // that the server found there, for expressions. `bends`, a WeakMap, keeps bent stretches: a drag changes few of them.
  const curve = (points, first, last, step, sample, range, bends) => {
    const inner = points.map(({ frame }) => frame).filter((frame) => frame > first && frame < last);
    const bounds = [first, ...inner, last];
    const corners = [];
    for (let place = 0; place + 1 < bounds.length; place += 1) {
      const [start, end] = [bounds[place], bounds[place + 1]];
      const at = indexAt(points, start);
      const [from, to] = [points[at], points[at + 1]];
      const eased = Boolean(to?.easing) && start >= from.frame;
      const name = eased ? to.easing.name : "linear";
      const free = from.number === null && !eased;
      if (!free && ["linear", "hold"].includes(name)) {
        corners.push([start, valueAt(points, start, sample)]);
        if (name === "hold" && end - 1 > start) corners.push([end - 1, corners[corners.length - 1][1]]);
        continue;
      }
      const given = [start, end, step, to, points[at - 1], points[at + 2]];
      let kept = bends.get(from);
      if (!kept || kept.given.some((one, number) => one !== given[number])) {
        kept = { given, corners: bent(points, start, end, step, sample, free && step > 1 ? range : null, from.offset || 0) };
        bends.set(from, kept);
      }
      for (const corner of kept.corners) corners.push(corner);
    }
    corners.push([last, valueAt(points, last, sample)]);
    return corners;
  };

  const bent = (points, start, end, step, sample, range, offset) => {
    const corners = [];
    for (let frame = start; frame < end; frame = step > 1 ? frame + step : Math.floor(frame) + 1) {
      if (!range) {
        corners.push([frame, valueAt(points, frame, sample)]);
        continue;
      }
      const [low, high] = range(frame, Math.min(frame + step, end - 1));
      corners.push([frame, low + offset]);
      if (high !== low) corners.push([frame, high + offset]);
    }
    return corners;
  };

  tab.keys = {
    EASINGS, SLOPES, bands, clamp, curve, freeShift, history, indexAt, moved, nearest, niceStep, plannedBetween, playing,
    sampleOf, scaleOf, valueAt, valueOf, written,
  };
})();
