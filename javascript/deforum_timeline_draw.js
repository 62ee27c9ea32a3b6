// The pictures of the timeline: ruler, waveform, prompts, curves, key frames, overview, and the camera move at the playhead.
// deforum_timeline.js decides what is painted and when.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.timelineDrawing) return;

  const [RULER_PX, WAVE_PX, BAND_PX] = [26, 40, 40];
  // Okabe and Ito's palette, which color-blind people can distinguish, for light and for dark backgrounds.
  const COLORS = {
    light: ["#0072b2", "#c2540a", "#00785a", "#a8447f", "#8a6100", "#2b6cb0"],
    dark: ["#56b4e9", "#ff9d4d", "#3ddba4", "#f0a8d0", "#f5c542", "#9cc9ff"],
  };

  // `shown` is the timeline as it is at each moment: its data, view, selection and drag, and the places of frames.
  tab.timelineDrawing = (shown) => {
    const { keys } = tab;
    const { xOf, frameOf, yOf, framesPer, heightOfKey, width, last, sizes } = shown;

    const headHeight = () => RULER_PX + (shown.data?.ruler.peaks?.length ? WAVE_PX : 0) + BAND_PX;
    const bandTop = () => headHeight() - BAND_PX;

    let palette = {};
    const readPalette = () => {
      const style = getComputedStyle(shown.root);
      const color = (name) => style.getPropertyValue(`--tl-${name}`).trim();
      palette = Object.fromEntries(
        ["ink", "faint", "line", "bar", "ground", "accent", "band", "play"].map((name) => [name, color(name)]),
      );
      palette.rows = COLORS[document.body.classList.contains("dark") ? "dark" : "light"];
      palette.font = style.fontFamily;
      signs = new Map();
    };

    const fitted = (canvas, across, height) => {
      const scale = window.devicePixelRatio || 1;
      const [w, h] = [Math.round(across * scale), Math.round(height * scale)];
      if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
      }
      const context = canvas.getContext("2d");
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, across, height);
      return context;
    };

    const seconds = (frame) => `${keys.written(frame / shown.data.fps, frame / shown.data.fps < 10 ? 0.1 : 1)} s`;

    // Frames with a line, thinned to at least `apart` pixels: bars and beats where the sound has them, else round numbers.
    const lines = (apart) => {
      const { beats, bars } = shown.data.ruler;
      const inView = (frame) => frame >= shown.view.first - 1 && frame <= shown.view.last + 1;
      const thinned = (places) => {
        const near = places.filter(inView);
        const gap = near.length > 1 ? (xOf(near[near.length - 1]) - xOf(near[0])) / (near.length - 1) : apart;
        const every = 2 ** Math.max(0, Math.ceil(Math.log2(apart / Math.max(gap, 1e-6))));
        const start = places.indexOf(near[0]);
        return near.filter((_, place) => (start + place) % every === 0);
      };
      if (beats.length) return { strong: thinned(bars), weak: beats.length > 4000 ? [] : fine(beats.filter(inView), apart / 3) };
      const step = Math.max(1, keys.niceStep(framesPer(apart) * 2));
      const places = [];
      for (let at = Math.ceil(shown.view.first / step) * step; at <= Math.min(shown.view.last, shown.data.frames); at += step) places.push(at);
      return { strong: places, weak: [] };
    };
    const fine = (places, apart) =>
      places.length < 2 || (xOf(places[places.length - 1]) - xOf(places[0])) / (places.length - 1) >= apart ? places : [];

    const paintGrid = (context, top, bottom, grid) => {
      for (const [places, color] of [[grid.weak, palette.line], [grid.strong, palette.bar]]) {
        context.strokeStyle = color;
        context.lineWidth = 1;
        context.beginPath();
        for (const frame of places) {
          const x = Math.round(xOf(frame)) + 0.5;
          context.moveTo(x, top);
          context.lineTo(x, bottom);
        }
        context.stroke();
      }
      const end = xOf(shown.data.frames);
      if (end < width()) {
        context.fillStyle = palette.line;
        context.fillRect(end, top, width() - end, bottom - top);
      }
    };

    const rowColor = (row) => palette.rows[row.place % palette.rows.length];

    const paintRow = (row, grid) => {
      const context = fitted(row.canvas, width(), row.height);
      paintGround(context, row, grid);
      if (!row.series && !row.points.length) return;
      const color = rowColor(row);
      paintCurve(context, row, color);
      paintNumbers(context, row);
      if (!row.driven) paintKeys(context, row, color);
    };

    // Grid and scale. A dragged row keeps them as a bitmap.
    const paintGround = (context, row, grid) => {
      const signature = shown.drag?.kind === "keys" && row.touched ? [...row.scale, width(), row.height].join() : "";
      if (signature && row.ground?.signature === signature) {
        context.drawImage(row.ground.canvas, 0, 0, width(), row.height);
        return;
      }
      paintGrid(context, 0, row.height, grid);
      if (row.series || row.points.length) paintScale(context, row);
      row.ground = null;
      if (!signature) return;
      const canvas = Object.assign(document.createElement("canvas"), { width: row.canvas.width, height: row.canvas.height });
      canvas.getContext("2d").drawImage(row.canvas, 0, 0);
      row.ground = { signature, canvas };
    };

    const scaleLines = (row) => {
      const step = keys.niceStep((row.scale[1] - row.scale[0]) / 2.2);
      const values = [];
      for (let value = Math.ceil(row.scale[0] / step) * step; value <= row.scale[1]; value += step) values.push(value);
      return values.map((value) => [yOf(row, value), keys.written(value, step)]).filter(([y]) => y >= 14 && y <= row.height - 4);
    };

    const paintScale = (context, row) => {
      context.strokeStyle = palette.line;
      context.beginPath();
      for (const [y] of scaleLines(row)) {
        context.moveTo(0, Math.round(y) + 0.5);
        context.lineTo(width(), Math.round(y) + 0.5);
      }
      context.stroke();
    };

    // Above the curve, each on a patch of the ground's color.
    const paintNumbers = (context, row) => {
      context.font = `10px ${palette.font}`;
      context.textBaseline = "middle";
      context.textAlign = "right";
      for (const [y, text] of scaleLines(row)) {
        const across = context.measureText(text).width;
        context.fillStyle = palette.ground;
        context.fillRect(width() - across - 6, y - 12, across + 4, 12);
        context.fillStyle = palette.faint;
        context.fillText(text, width() - 4, y - 6);
      }
    };

    const paintCurve = (context, row, color) => {
      const [from, to] = [Math.max(shown.view.first, 0), Math.min(shown.view.last, last())];
      if (to < from) return;
      const columns = Math.max(1, Math.round(xOf(to) - xOf(from)));
      const moving = row.touched && !row.driven && row.moved.length > 0;
      let points = [];
      if (moving) {
        const step = Math.max(1, (to - from) / columns);
        const ends = step > 1 ? [from, to] : [Math.floor(from), Math.ceil(to)];
        points = keys.curve(row.moved, ...ends, step, keys.sampleOf(row), (a, b) => keys.plannedBetween(row, a, b), row.bends);
      } else if (to - from <= columns) {
        for (let frame = Math.floor(from); frame <= Math.ceil(to); frame += 1) points.push([frame, keys.valueOf(row, frame)]);
      } else {
        for (let column = 0; column < columns; column += 1) {
          const frame = frameOf(xOf(from) + column);
          const [low, high] = keys.plannedBetween(row, frame, frameOf(xOf(from) + column + 1));
          points.push([frame, low]);
          if (high !== low) points.push([frame, high]);
        }
      }
      // The value of the last frame lasts to the end.
      if (to === last()) points.push([to + 1, points[points.length - 1][1]]);
      context.beginPath();
      points.forEach(([frame, value], place) => context[place ? "lineTo" : "moveTo"](xOf(frame), yOf(row, value)));
      context.strokeStyle = color;
      context.lineWidth = 1.75;
      context.lineJoin = moving ? "bevel" : "round";
      context.stroke();
      if (moving) return;
      const base = keys.clamp(yOf(row, 0), 0, row.height);
      context.lineTo(xOf(points[points.length - 1][0]), base);
      context.lineTo(xOf(points[0][0]), base);
      context.globalAlpha = 0.13;
      context.fillStyle = color;
      context.fill();
      context.globalAlpha = 1;
    };

    const paintKeys = (context, row, color) => {
      const dense = row.points.length > width() / 5;
      const own = shown.chosen.get(row.name);
      for (const point of row.points) {
        if (point.frame < shown.view.first - 2 || point.frame > shown.view.last + 2 || point.frame >= shown.data.frames) continue;
        const on = own?.has(point.frame) || false;
        const shape = point.number === null ? "diamond" : point.easing?.name === "hold" ? "square" : "circle";
        const sign = signOf(shape, color, on, (dense && !on ? 2.5 : 5) + (on ? 1 : 0));
        context.drawImage(sign, xOf(point.frame) - SIGN_PX / 2, heightOfKey(row, point) - SIGN_PX / 2, SIGN_PX, SIGN_PX);
      }
    };

    // The signs of key frames are drawn once and copied.
    const SIGN_PX = 20;
    let signs = new Map();
    const signOf = (shape, color, on, size) => {
      const name = [shape, color, on, size, window.devicePixelRatio].join();
      if (!signs.has(name)) {
        const canvas = document.createElement("canvas");
        paintSign(fitted(canvas, SIGN_PX, SIGN_PX), shape, color, on, size);
        signs.set(name, canvas);
      }
      return signs.get(name);
    };
    const paintSign = (context, shape, color, on, size) => {
      context.translate(SIGN_PX / 2, SIGN_PX / 2);
      context.beginPath();
      if (shape === "diamond") {
        context.moveTo(0, -size - 1);
        context.lineTo(size + 1, 0);
        context.lineTo(0, size + 1);
        context.lineTo(-size - 1, 0);
        context.closePath();
      } else if (shape === "square") context.rect(-size, -size, 2 * size, 2 * size);
      else context.arc(0, 0, size, 0, 2 * Math.PI);
      context.fillStyle = on ? palette.accent : shape === "diamond" ? palette.ground : color;
      context.fill();
      context.lineWidth = 2;
      context.strokeStyle = on || shape !== "diamond" ? palette.ground : color;
      context.stroke();
      if (on) {
        context.lineWidth = 1.5;
        context.strokeStyle = palette.accent;
        context.stroke();
      }
    };

    const paintHead = (grid = lines(70)) => {
      const height = headHeight();
      const context = fitted(shown.parts.head, width(), height);
      paintGrid(context, RULER_PX - 7, height, grid);
      context.font = `11px ${palette.font}`;
      context.textBaseline = "middle";
      context.textAlign = "left";
      const { beats, bars } = shown.data.ruler;
      const marks = beats.length ? grid.strong : grid.strong.filter((frame) => frame < shown.data.frames);
      for (const frame of marks) {
        const x = xOf(frame);
        if (x > width() - 30) continue;
        context.fillStyle = palette.ink;
        const text = beats.length ? `${bars.indexOf(frame) + 1}` : String(frame);
        context.fillText(text, x + 4, 9);
        const after = context.measureText(text).width;
        context.fillStyle = palette.faint;
        if (framesToPx(grid.strong) > after + 52) context.fillText(seconds(frame), x + 9 + after, 9);
      }
      paintWave(context);
      paintBands(context);
      paintEnd(context, height);
      paintMotion();
    };
    const framesToPx = (places) => (places.length > 1 ? xOf(places[1]) - xOf(places[0]) : 100);

    const paintWave = (context) => {
      const { peaks } = shown.data.ruler;
      if (!peaks?.length) return;
      const middle = RULER_PX + WAVE_PX / 2;
      const place = (x) => (frameOf(x) / shown.data.frames) * (peaks.length - 1);
      // The loudest of the peaks in a pixel; between two peaks, as between two pixels, the level runs straight.
      const level = (x) => {
        const [from, to] = [place(x), place(x + 1)].map((one) => keys.clamp(one, 0, peaks.length - 1));
        const first = Math.floor(from);
        if (to - from < 1) return peaks[first] + ((peaks[first + 1] ?? peaks[first]) - peaks[first]) * (from - first);
        return Math.max(...peaks.slice(first, Math.ceil(to)));
      };
      const [start, end] = [Math.max(0, xOf(0)), Math.min(width(), xOf(shown.data.frames))];
      const halves = [];
      for (let x = start; x <= end; x += 1) halves.push(Math.max(0.5, (level(x) * (WAVE_PX - 6)) / 2));
      context.fillStyle = palette.accent;
      context.globalAlpha = 0.45;
      context.beginPath();
      halves.forEach((half, x) => context.lineTo(start + x, middle - half));
      for (let x = halves.length - 1; x >= 0; x -= 1) context.lineTo(start + x, middle + halves[x]);
      context.fill();
      context.globalAlpha = 1;
    };

    const paintBands = (context) => {
      const top = bandTop() + 3;
      const tall = BAND_PX - 6;
      context.font = `12px ${palette.font}`;
      keys.bands(shown.prompts, shown.data.frames).forEach(({ frame, text, start, end }, place) => {
        const [x, to] = [Math.max(xOf(start), -5), Math.min(xOf(end), width() + 5)];
        if (to < 0 || x > width()) return;
        const color = palette.rows[place % palette.rows.length];
        const on = shown.band === frame;
        const box = new Path2D();
        box.roundRect(x + 1, top, Math.max(2, to - x - 2), tall, 5);
        context.globalAlpha = on ? 0.42 : 0.24;
        context.fillStyle = color;
        context.fill(box);
        context.globalAlpha = 1;
        if (on) {
          context.strokeStyle = palette.accent;
          context.lineWidth = 2;
          context.stroke(box);
        }
        context.fillStyle = color;
        context.fillRect(x + 1, top + 4, 3, tall - 8);
        context.save();
        context.clip(box);
        context.fillStyle = palette.ink;
        wrapped(context, text.split("--neg")[0].trim() || "(empty)", to - x - 18).forEach((line, number) =>
          context.fillText(line, x + 10, top + 10 + number * 15),
        );
        context.restore();
      });
    };

    // At most two lines of text, the second one cut.
    const wrapped = (context, text, room) => {
      if (room < 14) return [];
      const fit = (part) => {
        let [low, high] = [0, part.length];
        while (low < high) {
          const middle = (low + high + 1) >> 1;
          if (context.measureText(part.slice(0, middle)).width <= room) low = middle;
          else high = middle - 1;
        }
        return low;
      };
      const first = fit(text);
      if (first >= text.length) return [text];
      const space = text.lastIndexOf(" ", first);
      const cut = space > first / 2 ? space : first;
      const rest = text.slice(cut).trim();
      const second = fit(rest);
      return [text.slice(0, cut), second >= rest.length ? rest : `${rest.slice(0, Math.max(0, second - 1))}\u2026`];
    };

    const paintEnd = (context, height) => {
      const x = xOf(shown.data.frames);
      if (x > width() + 5 || !shown.data.length_acts) return;
      context.fillStyle = palette.ink;
      context.fillRect(Math.round(x) - 1, 4, 2, height - 4);
      context.beginPath();
      context.moveTo(x, 3);
      context.lineTo(x - 9, 3);
      context.lineTo(x, 15);
      context.fill();
    };

    const paintMap = () => {
      const [across, height] = sizes.get(shown.parts.map);
      const context = fitted(shown.parts.map, across, height);
      const at = (frame) => (frame / shown.data.frames) * across;
      context.fillStyle = palette.line;
      context.fillRect(0, height / 2 - 1, across, 2);
      keys.bands(shown.prompts, shown.data.frames).forEach(({ start, end }, place) => {
        context.fillStyle = palette.rows[place % palette.rows.length];
        context.globalAlpha = 0.5;
        context.fillRect(at(start) + 0.5, height / 2 - 3, Math.max(1, at(end) - at(start) - 1), 6);
      });
      context.globalAlpha = 1;
      context.strokeStyle = palette.accent;
      context.lineWidth = 2;
      const box = new Path2D();
      box.roundRect(at(shown.view.first) + 1, 1, Math.max(6, at(shown.view.last) - at(shown.view.first) - 2), height - 2, 4);
      context.stroke(box);
      context.fillStyle = palette.play;
      context.fillRect(at(shown.playhead) - 1, 0, 2, height);
    };

    // ---- the camera move at the playhead ----

    // Dots in the view of the camera; each drifts as the frame's camera move carries it.
    const DOTS = 120;
    const dots = Array.from({ length: DOTS }, (_, place) => ({
      x: ((place * 0.7548776662) % 1) * 2 - 1,
      y: ((place * 0.5698402909) % 1) * 2 - 1,
      z: 0.5 + ((place * 0.3819660113) % 1) * 1.5,
    }));

    const moveAt = (frame) => {
      const { frames, moves, fov_deg: fov } = shown.data.motion;
      let place = frames.findIndex((one) => one >= frame);
      if (place < 0) place = frames.length - 1;
      return { move: moves[place], fov: fov?.[place] };
    };

    // Where a camera move takes a dot; null = behind the camera.
    const carried = ({ x, y, z }, { move, fov }, back = false) => {
      if (shown.data.motion.kind === "2D") {
        const m = back ? inverse(move) : move;
        const w = m[6] * x + m[7] * y + m[8];
        return { x: (m[0] * x + m[1] * y + m[2]) / w, y: (m[3] * x + m[4] * y + m[5]) / w, z };
      }
      const half = Math.tan((Math.min(Math.abs(fov), 170) * Math.PI) / 360) * Math.sign(fov || 1);
      const wide = half * shown.data.motion.aspect;
      let point = [x * wide * z, y * half * z, z];
      if (back) {
        const [a, b, c] = [point[0] - move[3], point[1] - move[7], point[2] - move[11]];
        point = [0, 1, 2].map((axis) => move[axis] * a + move[4 + axis] * b + move[8 + axis] * c);
      } else {
        const [a, b, c] = point;
        point = [0, 4, 8].map((row) => move[row] * a + move[row + 1] * b + move[row + 2] * c + move[row + 3]);
      }
      if (point[2] < 0.05) return null;
      return { x: point[0] / (wide * point[2]), y: point[1] / (half * point[2]), z: point[2] };
    };

    const inverse = ([a, b, c, d, e, f, g, h, i]) => {
      const m = [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d];
      const size = a * m[0] + b * m[3] + c * m[6] || 1;
      return m.map((one) => one / size);
    };

    const driftDots = (frames) => {
      if (!shown.data || shown.data.motion.kind === "none") return;
      const turns = Math.min(Math.round(Math.abs(frames)), 10);
      const here = moveAt(shown.playhead);
      for (let turn = 0; turn < turns; turn += 1) {
        dots.forEach((dot, place) => {
          const next = carried(dot, here, frames < 0);
          if (next && Math.abs(next.x) < 1.15 && Math.abs(next.y) < 1.15 && next.z < 3 && next.z > 0.2) Object.assign(dot, next);
          else {
            // It comes back somewhere else in the view.
            const turnOf = (place + turn + Math.round(shown.playhead)) * 0.6180339887;
            Object.assign(dot, { x: (turnOf % 1) * 2 - 1, y: ((turnOf * 7.31) % 1) * 2 - 1, z: 0.5 + ((turnOf * 3.7) % 1) * 2 });
          }
        });
      }
    };

    const paintMotion = () => {
      const canvas = shown.parts.motion;
      const [across, tall] = sizes.get(canvas);
      if (!across) return;
      const context = fitted(canvas, across, tall);
      const { kind } = shown.data.motion;
      if (kind === "none") {
        context.fillStyle = palette.faint;
        context.font = `11px ${palette.font}`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText("no camera move", across / 2, tall / 2);
        return;
      }
      const here = moveAt(Math.round(shown.playhead));
      const reach = Math.max(1, shown.data.fps * 0.3);
      context.strokeStyle = palette.accent;
      context.fillStyle = palette.accent;
      context.lineCap = "round";
      for (const dot of dots) {
        const next = carried(dot, here);
        const [x, y] = [((dot.x + 1) / 2) * across, ((dot.y + 1) / 2) * tall];
        const near = keys.clamp(1.6 / dot.z, 0.5, 2.4);
        context.globalAlpha = keys.clamp(1.1 / dot.z, 0.25, 0.95);
        context.beginPath();
        context.arc(x, y, near * 0.8, 0, 2 * Math.PI);
        context.fill();
        if (!next) continue;
        const [dx, dy] = [((next.x - dot.x) / 2) * across * reach, ((next.y - dot.y) / 2) * tall * reach];
        const long = Math.hypot(dx, dy);
        const cut = long > across * 0.3 ? (across * 0.3) / long : 1;
        context.lineWidth = near * 0.8;
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(x + dx * cut, y + dy * cut);
        context.stroke();
      }
      context.globalAlpha = 1;
    };

    return {
      accent: () => palette.accent,
      bandTop,
      color: rowColor,
      drift: driftDots,
      grid: () => lines(70),
      head: paintHead,
      headHeight,
      map: paintMap,
      motion: paintMotion,
      readPalette,
      row: paintRow,
      seconds,
    };
  };
})();
