// The 3D view of the camera: path, frustums, key poses to drag, and the newest frame as a surface of its depth; flights
// with keys, pointer and gamepad are recorded. Whatever is changed becomes the text of camera_path, which the server
// plans and sends back. Axes as in docs/conventions.md: right, down, forward; key poses are right, up, forward.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.camera) return;

  const HIT_PX = 22;
  const NEAR = 0.02;
  const FAR = 500;
  const FLY_SPEED = 0.6; // scene units a second
  const TURN_SPEED = 50; // degrees a second
  const DEAD_ZONE = 0.15;
  const SMOOTH_S = 0.25;
  const KEYS_A_SECOND = 2;
  const RAD = Math.PI / 180;

  // ---- vectors, and matrices of three columns ----

  const add = (a, b, s = 1) => a.map((value, place) => value + s * b[place]);
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const along = (m, v) => [0, 1, 2].map((row) => m[0][row] * v[0] + m[1][row] * v[1] + m[2][row] * v[2]);
  const into = (m, v) => m.map((column) => dot(column, v));
  const product = (a, b) => b.map((column) => along(a, column));
  const about = (axis, degrees) => {
    const [c, s] = [Math.cos(degrees * RAD), Math.sin(degrees * RAD)];
    if (axis === "x") return [[1, 0, 0], [0, c, s], [0, -s, c]];
    if (axis === "y") return [[c, 0, -s], [0, 1, 0], [s, 0, c]];
    return [[c, s, 0], [-s, c, 0], [0, 0, 1]];
  };
  // As camera.pose: Rx · Ry · Rz, and its angles again.
  const turned = ([tilt, pan, roll]) => product(product(about("x", tilt), about("y", pan)), about("z", roll));
  const anglesOf = (m) => {
    const across = Math.hypot(m[2][1], m[2][2]);
    const pan = Math.atan2(m[2][0], across);
    if (across < 1e-9) return [Math.atan2(m[1][2], m[1][1]) / RAD, pan / RAD, 0];
    return [Math.atan2(-m[2][1], m[2][2]) / RAD, pan / RAD, Math.atan2(-m[1][0], m[0][0]) / RAD];
  };
  const ofQuaternion = ([w, x, y, z]) => [
    [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
    [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  ];
  const at = (key) => [key[1], -key[2], key[3]];

  // ---- state, which outlives the figure that the server replaces ----

  let scene = null;
  let keys = [];
  let chosen = -1;
  let frame = 0;
  let view = null; // { yaw, pitch, distance, target }
  let flight = null; // { place, yaw, pitch, frames, last }
  let parts = null; // the elements, and the drawing
  let sent = ""; // the text of the last change, until it has been planned
  let arrived = false; // the settings have it
  let past = [];
  let future = [];
  const held = new Set();

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // ---- drawing ----

  const VERTEX = `attribute vec3 place; attribute vec4 color; attribute vec2 spot; uniform mat4 all; varying vec4 tint;
    varying vec2 where; void main() { gl_Position = all * vec4(place, 1.0); tint = color; where = spot; gl_PointSize = 9.0; }`;
  const FRAGMENT = `precision mediump float; varying vec4 tint; varying vec2 where; uniform sampler2D picture;
    void main() { gl_FragColor = where.x < 0.0 ? tint : vec4(texture2D(picture, where).rgb, 1.0); }`;

  const makeDrawing = (canvas) => {
    const gl = canvas.getContext("webgl", { antialias: true, alpha: true, preserveDrawingBuffer: true });
    if (!gl) return null;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    for (const [name, size, offset] of [["place", 3, 0], ["color", 4, 12], ["spot", 2, 28]]) {
      const number = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(number);
      gl.vertexAttribPointer(number, size, gl.FLOAT, false, 36, offset);
    }
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    // The page takes the picture's colors as multiplied by its alpha.
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return { gl, all: gl.getUniformLocation(program, "all"), surface: new Float32Array(), picture: "" };
  };

  const loadPicture = (drawing, text) => {
    if (drawing.picture === text) return;
    drawing.picture = text;
    const image = new Image();
    image.onload = () => {
      const { gl } = drawing;
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, image);
      for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
      redraw();
    };
    image.src = `data:image/jpeg;base64,${text}`;
  };

  // Two triangles for each cell of the depth map, unless they would span an edge of the depth.
  const surfaceOf = ({ width, height, near, far, depth, frame: number }) => {
    const levels = Uint8Array.from(atob(depth), (letter) => letter.charCodeAt(0));
    const { m, place, fov } = poseAt(number);
    const tangent = Math.tan((fov * RAD) / 2);
    const point = (column, row) => {
      const z = near + ((far - near) * levels[row * width + column]) / 255;
      const [x, y] = [(column + 0.5) / width, (row + 0.5) / height];
      const seen = [(2 * x - 1) * tangent * scene.aspect * z, (2 * y - 1) * tangent * z, z];
      return { z, data: [...add(place, along(m, seen)), 0, 0, 0, 1, x, y] };
    };
    const points = Array.from(levels, (_, place) => point(place % width, Math.floor(place / width)));
    const made = [];
    for (let row = 0; row + 1 < height; row++) {
      for (let column = 0; column + 1 < width; column++) {
        const first = row * width + column;
        const corners = [first, first + 1, first + width, first + width + 1].map((place) => points[place]);
        const depths = corners.map(({ z }) => z);
        if (Math.max(...depths) - Math.min(...depths) > 0.15 * (far - near)) continue;
        for (const place of [0, 1, 2, 1, 3, 2]) made.push(...corners[place].data);
      }
    }
    return new Float32Array(made);
  };

  // The pose of the path at any frame: the nearest of those that the server sent.
  const poseAt = (number) => {
    const row = scene.poses.reduce((best, one) => (Math.abs(one[0] - number) < Math.abs(best[0] - number) ? one : best));
    return { place: row.slice(1, 4), m: ofQuaternion(row.slice(4, 8)), fov: row[8] };
  };

  const eye = () => {
    if (flight) {
      const m = product(about("y", flight.yaw), about("x", flight.pitch));
      return { place: flight.place, m, fov: poseAt(frame).fov };
    }
    const m = product(about("y", view.yaw), about("x", view.pitch));
    return { place: add(view.target, m[2], -view.distance), m, fov: 50 };
  };

  const lens = ({ fov }) => {
    const { canvas } = parts;
    const y = 1 / Math.tan((fov * RAD) / 2);
    return [(y * canvas.height) / canvas.width, y];
  };

  const clip = (look) => {
    const [x, y] = lens(look);
    const r = into(look.m, look.place);
    const [a, b] = [(FAR + NEAR) / (FAR - NEAR), (-2 * FAR * NEAR) / (FAR - NEAR)];
    const rows = look.m.map((column, number) => [...column, -r[number]]);
    const out = [rows[0].map((v) => v * x), rows[1].map((v) => -v * y), rows[2].map((v, k) => v * a + (k === 3 ? b : 0)), rows[2]];
    return new Float32Array([0, 1, 2, 3].flatMap((column) => out.map((row) => row[column])));
  };

  const onScreen = (point, look = eye()) => {
    const seen = into(look.m, add(point, look.place, -1));
    if (seen[2] < NEAR) return null;
    const [x, y] = lens(look);
    const box = parts.canvas.getBoundingClientRect();
    return [(((x * seen[0]) / seen[2] + 1) / 2) * box.width, (((y * seen[1]) / seen[2] + 1) / 2) * box.height, seen[2]];
  };

  const colors = () => {
    const dark = document.body.classList.contains("dark") || Boolean(document.querySelector(".dark #deforum_interface"));
    return {
      grid: dark ? [1, 1, 1, 0.13] : [0, 0, 0, 0.13],
      way: dark ? [1, 0.6, 0.35, 1] : [0.76, 0.28, 0.05, 1],
      cone: dark ? [0.5, 0.75, 1, 0.8] : [0.05, 0.35, 0.65, 0.85],
      key: dark ? [0.75, 0.72, 1, 1] : [0.26, 0.22, 0.79, 1],
      chosen: dark ? [1, 1, 0.4, 1] : [0.85, 0.1, 0.2, 1],
      now: dark ? [0.4, 0.9, 0.6, 1] : [0.05, 0.5, 0.25, 1],
    };
  };

  const coneLines = ({ place, m, fov }, reach) => {
    const half = Math.tan((Math.min(fov, 150) * RAD) / 2) * reach;
    const corner = (x, y) => add(place, along(m, [x * half * scene.aspect, y * half, reach]));
    const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
    const roof = [corner(-0.3, -1.15), corner(0, -1.5), corner(0.3, -1.15)];
    return [
      ...corners.flatMap((one, number) => [place, one, one, corners[(number + 1) % 4]]),
      ...[roof[0], roof[1], roof[1], roof[2]],
    ];
  };

  const paint = () => {
    if (!parts || !scene) return;
    const { canvas, drawing } = parts;
    const { gl } = drawing;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const box = canvas.getBoundingClientRect();
    if (!box.width) return;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    const tints = colors();
    const data = [];
    const put = (points, tint) => {
      for (const point of points) data.push(...point, ...tint, -1, -1);
    };
    const size = extent();
    const step = 10 ** Math.floor(Math.log10(size));
    const floor = Math.max(...scene.poses.map((row) => row[2])) + size * 0.25;
    const [cx, cz] = [0, 2].map((axis) => Math.round(view.target[axis] / step) * step);
    // Cell by cell, as some drivers drop a line that begins behind the viewer.
    for (let line = -10; line <= 10; line++) {
      for (let cell = -10; cell < 10; cell++) {
        const [a, b, c] = [line * step, cell * step, (cell + 1) * step];
        put([[cx + a, floor, cz + b], [cx + a, floor, cz + c], [cx + b, floor, cz + a], [cx + c, floor, cz + a]], tints.grid);
      }
    }
    const places = scene.poses.map((row) => row.slice(1, 4));
    for (let number = 1; number < places.length; number++) put([places[number - 1], places[number]], tints.way);
    const reach = size / 9;
    keys.forEach((key, number) => {
      const fov = key[7] || poseAt(key[0]).fov;
      const tint = number === chosen ? tints.chosen : tints.cone;
      put(coneLines({ place: at(key), m: turned(key.slice(4, 7)), fov }, reach), tint);
    });
    if (!flight) put(coneLines(poseAt(frame), reach * 1.3), tints.now);
    const lines = data.length / 9;
    if (!flight) keys.forEach((key, number) => put([at(key)], number === chosen ? tints.chosen : tints.key));
    const points = data.length / 9 - lines;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(drawing.all, false, clip(eye()));
    if (drawing.surface.length) {
      gl.bufferData(gl.ARRAY_BUFFER, drawing.surface, gl.DYNAMIC_DRAW);
      gl.drawArrays(gl.TRIANGLES, 0, drawing.surface.length / 9);
    }
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(data), gl.DYNAMIC_DRAW);
    gl.drawArrays(gl.LINES, 0, lines);
    gl.drawArrays(gl.POINTS, lines, points);
    canvas.dataset.painted = String(Number(canvas.dataset.painted || 0) + 1);
  };

  let queued = false;
  const redraw = () => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      paint();
    });
  };

  const extent = () => {
    const places = [...scene.poses.map((row) => row.slice(1, 4)), ...keys.map(at)];
    const sizes = [0, 1, 2].map((axis) => Math.max(...places.map((p) => p[axis])) - Math.min(...places.map((p) => p[axis])));
    return Math.max(...sizes, 0.5);
  };

  // Path, key poses and surface in one look.
  const overview = () => {
    const { surface } = parts.drawing;
    const places = [...scene.poses.map((row) => row.slice(1, 4)), ...keys.map(at)];
    for (let start = 0; start < surface.length; start += 9) places.push(surface.slice(start, start + 3));
    const [low, high] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
    for (const place of places) {
      for (const axis of [0, 1, 2]) {
        low[axis] = Math.min(low[axis], place[axis]);
        high[axis] = Math.max(high[axis], place[axis]);
      }
    }
    const reach = Math.hypot(...add(high, low, -1)) / 2;
    view = { yaw: -35, pitch: -28, distance: reach * 1.8 + 0.4, target: low.map((value, axis) => (value + high[axis]) / 2) };
  };

  // ---- the text of camera_path ----

  const written = (number) => String(Math.round(number * 1e4) / 1e4 + 0);
  const textOf = (all) =>
    all
      .map(([number, ...values]) => {
        const [x, y, z, tilt, pan, roll, fov] = values;
        const named = { tilt, pan, roll, fov };
        const more = Object.entries(named).filter(([, value]) => value && written(value) !== "0");
        return `${number}: pose(${[x, y, z].map(written).join(", ")}${more.map(([name, value]) => `, ${name}=${written(value)}`).join("")})`;
      })
      .join(", ");

  const write = () => {
    sent = textOf(keys);
    arrived = false;
    tab.set({ camera_path: sent });
  };

  const copied = () => keys.map((key) => [...key]);
  const remember = (before = copied()) => {
    past.push(before);
    if (past.length > 200) past.shift();
    future = [];
  };
  const travel = (from, to) => {
    const state = from.pop();
    if (!state) return;
    to.push(copied());
    keys = state;
    chosen = Math.min(chosen, keys.length - 1);
    write();
    show();
  };
  const undo = () => travel(past, future);
  const redo = () => travel(future, past);

  // ---- dragging ----

  let drag = null;
  const local = (event) => {
    const box = parts.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  const hit = ([x, y]) => {
    let best = -1;
    let nearest = HIT_PX;
    keys.forEach((key, number) => {
      const seen = onScreen(at(key));
      const away = seen ? Math.hypot(seen[0] - x, seen[1] - y) : Infinity;
      if (away < nearest) [best, nearest] = [number, away];
    });
    return best;
  };

  const pointers = new Map();
  const down = (event) => {
    parts.canvas.focus({ preventScroll: true });
    parts.canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, local(event));
    if (pointers.size > 1) {
      drag = null;
      return;
    }
    const place = local(event);
    const number = flight ? -1 : hit(place);
    if (number >= 0) [chosen, frame] = [number, keys[number][0]];
    drag = { number, from: place, before: copied(), turns: event.shiftKey || parts.turn.getAttribute("aria-pressed") === "true", moved: false };
    show();
  };

  const pinch = (event) => {
    const apart = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    const before = apart();
    pointers.set(event.pointerId, local(event));
    if (view && !flight) view.distance *= Math.min(2, Math.max(0.5, before / Math.max(apart(), 1)));
    redraw();
  };

  const dragged = (event) => {
    if (!pointers.has(event.pointerId)) return;
    if (pointers.size > 1) {
      pinch(event);
      return;
    }
    const place = local(event);
    pointers.set(event.pointerId, place);
    if (!drag) return;
    const [dx, dy] = [place[0] - drag.from[0], place[1] - drag.from[1]];
    if (!drag.moved && Math.hypot(dx, dy) < 3) return;
    drag.moved = true;
    drag.from = place;
    if (flight) {
      flight.yaw += dx * 0.15;
      flight.pitch = Math.max(-89, Math.min(89, flight.pitch - dy * 0.15));
    } else if (drag.number >= 0) moveKey(keys[drag.number], dx, dy);
    else {
      view.yaw += dx * 0.4;
      view.pitch = Math.max(-89, Math.min(89, view.pitch - dy * 0.4));
    }
    redraw();
  };

  const moveKey = (key, dx, dy) => {
    if (drag.turns) {
      key[5] += dx * 0.3;
      key[4] -= dy * 0.3;
      return;
    }
    const look = eye();
    const [, , depth] = onScreen(at(key), look) || [0, 0, 1];
    const size = (2 * depth * Math.tan((look.fov * RAD) / 2)) / parts.canvas.getBoundingClientRect().height;
    const moved = add(add(at(key), look.m[0], dx * size), look.m[1], dy * size);
    [key[1], key[2], key[3]] = [moved[0], -moved[1], moved[2]];
  };

  const up = (event) => {
    pointers.delete(event.pointerId);
    if (drag && drag.number >= 0 && drag.moved) {
      remember(drag.before);
      write();
    }
    drag = null;
    show();
  };

  const wheel = (event) => {
    event.preventDefault();
    view.distance = Math.max(0.05, Math.min(FAR / 3, view.distance * Math.exp(event.deltaY * 0.001)));
    redraw();
  };

  // ---- flying ----

  const start = (records) => {
    const { place, m } = poseAt(frame);
    const yaw = Math.atan2(m[2][0], m[2][2]) / RAD;
    const pitch = -Math.asin(Math.max(-1, Math.min(1, m[2][1]))) / RAD;
    flight = { place: [...place], yaw, pitch, from: [yaw, pitch], records, samples: [], last: performance.now(), begun: 0 };
    held.clear();
    parts.canvas.focus({ preventScroll: true });
    show();
    requestAnimationFrame(fly);
  };

  const stick = (pad, number) => {
    const value = pad?.axes[number] || 0;
    return Math.abs(value) < DEAD_ZONE ? 0 : value;
  };
  const pressed = (...codes) => (codes.some((code) => held.has(code)) ? 1 : 0);

  const fly = (now) => {
    if (!flight || !parts?.canvas.isConnected) {
      if (flight) stop();
      return;
    }
    const pad = Array.from(navigator.getGamepads?.() || []).find(Boolean);
    const seconds = Math.min(0.1, Math.max(0, (now - flight.last) / 1000));
    flight.last = now;
    const speed = FLY_SPEED * (held.has("ShiftLeft") ? 3 : 1) * seconds;
    flight.yaw += (pressed("ArrowRight") - pressed("ArrowLeft") + stick(pad, 2)) * TURN_SPEED * seconds;
    const pitch = flight.pitch + (pressed("ArrowUp") - pressed("ArrowDown") - stick(pad, 3)) * TURN_SPEED * seconds;
    flight.pitch = Math.max(-89, Math.min(89, pitch));
    const m = product(about("y", flight.yaw), about("x", flight.pitch));
    const lift = pressed("KeyQ") - pressed("KeyE") + (pad?.buttons[6]?.value || 0) - (pad?.buttons[7]?.value || 0);
    const wish = [pressed("KeyD") - pressed("KeyA") + stick(pad, 0), lift, pressed("KeyW") - pressed("KeyS") - stick(pad, 1)];
    flight.place = add(flight.place, along(m, wish), speed);
    // A recording begins with the first move.
    if (flight.records && !flight.begun && (flight.yaw !== flight.from[0] || flight.pitch !== flight.from[1] || wish.some(Boolean))) {
      flight.begun = now;
    }
    if (flight.begun) {
      const passed = (now - flight.begun) / 1000;
      flight.samples.push([passed, ...flight.place, flight.yaw, flight.pitch]);
      frame = Math.min(scene.frames - 1, Math.floor(passed * scene.fps));
      parts.slider.value = String(frame);
      parts.count.textContent = `Recording: frame ${frame} of ${scene.frames - 1}`;
      if (passed * scene.fps >= scene.frames - 1) {
        stop();
        return;
      }
    }
    paint();
    requestAnimationFrame(fly);
  };

  // Stops flying; a recorded flight is smoothed and becomes key poses.
  const stop = () => {
    const { records, samples } = flight;
    flight = null;
    held.clear();
    if (records && samples.length > 3) {
      remember();
      keys = keysOf(samples);
      chosen = -1;
      write();
    }
    show();
  };

  // A Gaussian mean over time removes the shake of the hand; a few keys a second keep the way.
  const smoothed = (samples, second) => {
    const sums = [0, 0, 0, 0, 0];
    let weights = 0;
    for (const [time, ...values] of samples) {
      const weight = Math.exp(-0.5 * ((time - second) / SMOOTH_S) ** 2);
      weights += weight;
      values.forEach((value, place) => (sums[place] += weight * value));
    }
    return sums.map((sum) => sum / weights);
  };

  const keysOf = (samples) => {
    const last = Math.min(scene.frames - 1, Math.round(samples.at(-1)[0] * scene.fps));
    const step = Math.max(1, Math.round(scene.fps / KEYS_A_SECOND));
    const numbers = [];
    for (let number = 0; number < last; number += step) numbers.push(number);
    if (last - numbers.at(-1) < step / 2 && numbers.length > 1) numbers.pop();
    return [...numbers, last].map((number) => {
      const [x, y, z, yaw, pitch] = smoothed(samples, number / scene.fps);
      return [number, x, -y, z, ...anglesOf(product(about("y", yaw), about("x", pitch)))];
    });
  };

  // ---- keys and buttons ----

  const FLYING = ["KeyW", "KeyA", "KeyS", "KeyD", "KeyQ", "KeyE", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "ShiftLeft"];
  const NUDGES = { ArrowLeft: [1, -1], ArrowRight: [1, 1], ArrowDown: [2, -1], ArrowUp: [2, 1], PageDown: [3, -1], PageUp: [3, 1] };

  const keyDown = (event) => {
    const taken = () => event.preventDefault();
    if (flight) {
      if (event.code === "Escape") stop();
      else if (FLYING.includes(event.code)) held.add(event.code);
      else return;
      taken();
      return;
    }
    if (event.ctrlKey || event.metaKey) {
      if (event.code === "KeyZ") (event.shiftKey ? redo : undo)();
      else if (event.code === "KeyY") redo();
      else return;
      taken();
    } else if (NUDGES[event.code] && chosen >= 0) {
      remember();
      const [place, sign] = NUDGES[event.code];
      keys[chosen][place] += sign * (event.shiftKey ? 0.2 : 0.02);
      write();
      show();
      taken();
    } else if (event.key === "[" || event.key === "]") {
      if (chosen < 0) chosen = event.key === "]" ? -1 : 0;
      chosen = (chosen + (event.key === "]" ? 1 : keys.length - 1)) % keys.length;
      frame = keys[chosen][0];
      show();
      taken();
    } else if ((event.code === "Delete" || event.code === "Backspace") && chosen >= 0 && keys.length > 1) {
      removeKey();
      taken();
    } else if (event.code === "KeyK") {
      addKey();
      taken();
    }
  };

  const addKey = () => {
    remember();
    const { place, m } = poseAt(frame);
    keys = keys.filter((key) => key[0] !== frame);
    keys.push([frame, place[0], -place[1], place[2], ...anglesOf(m)]);
    keys.sort((a, b) => a[0] - b[0]);
    chosen = keys.findIndex((key) => key[0] === frame);
    write();
    show();
  };

  const removeKey = () => {
    if (chosen < 0 || keys.length < 2) return;
    remember();
    keys.splice(chosen, 1);
    chosen = -1;
    write();
    show();
  };

  // ---- the camera file: the server writes it, with one pose for each frame ----

  const PATIENCE_MS = 15000;
  const FORMATS = { glb: "GLB", json: "JSON", zip: "COLMAP" };
  let asked = 0; // time of the request, 0 = answered
  let number = 0;
  let said = "";
  const askFile = () => {
    if (asked && Date.now() - asked < PATIENCE_MS) return;
    asked = Date.now();
    document.getElementById("deforum_camera_file")?.click();
  };
  const request = () => {
    number += 1;
    return JSON.stringify({ number, values: JSON.parse(tab.values()), ending: parts.format.value });
  };
  const answered = (text) => {
    asked = 0;
    let answer = {};
    try {
      answer = JSON.parse(text);
    } catch {
      // The event was refused; its message is on the page.
    }
    if (answer.number !== number) return; // no answer: the text is that of an earlier one
    if (answer.content) {
      const bytes = Uint8Array.from(atob(answer.content), (letter) => letter.charCodeAt(0));
      const link = element("a", "");
      link.href = URL.createObjectURL(new Blob([bytes], { type: answer.type }));
      link.download = answer.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
    said = answer.said || "";
    show();
  };

  const HINTS = {
    view: "Drag to look around, scroll or pinch to zoom. Drag a camera to move it; with Turn or Shift it turns.",
    record: "Recording begins with your first move and ends with the video. W A S D, E Q, arrows, dragging or a gamepad; Escape ends.",
    fly: "W A S D move, E Q up and down, arrows or dragging turn, or a gamepad. Escape ends.",
  };

  const show = () => {
    if (!parts || !scene) return;
    const busy = Boolean(flight);
    parts.fly.setAttribute("aria-pressed", String(busy && !flight.records));
    parts.record.setAttribute("aria-pressed", String(busy && flight.records));
    parts.fly.textContent = busy && !flight.records ? "Stop" : "Fly";
    parts.record.textContent = busy && flight.records ? "Stop" : "Record";
    for (const name of ["turn", "add", "remove", "undo", "redo", "format", "save", "slider"]) parts[name].disabled = busy;
    parts.remove.disabled = busy || chosen < 0 || keys.length < 2;
    parts.undo.disabled = busy || !past.length;
    parts.redo.disabled = busy || !future.length;
    parts.hint.textContent = said || HINTS[busy ? (flight.records ? "record" : "fly") : "view"];
    said = "";
    parts.slider.max = String(scene.frames - 1);
    frame = Math.min(frame, scene.frames - 1);
    parts.slider.value = String(frame);
    if (!busy) parts.count.textContent = `Frame ${frame} of ${scene.frames - 1}`;
    parts.canvas.dataset.keys = textOf(keys);
    redraw();
  };

  const makeParts = () => {
    const canvas = element("canvas", "deforum-view");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Camera path in 3D. [ and ] choose a pose, arrows and Page keys move it, K adds one, Delete removes it.");
    const drawing = makeDrawing(canvas);
    if (!drawing) return null;
    const button = (text, act, label) => {
      const made = element("button", "deforum-small", text);
      made.type = "button";
      if (label) made.title = label;
      made.addEventListener("click", act);
      return made;
    };
    const slider = element("input", "");
    Object.assign(slider, { type: "range", min: "0" });
    slider.setAttribute("aria-label", "Frame");
    slider.addEventListener("input", (event) => {
      event.stopPropagation();
      frame = Number(slider.value);
      show();
    });
    const flown = (records) => () => (flight ? stop() : start(records));
    const turn = button("Turn", () => turn.setAttribute("aria-pressed", String(turn.getAttribute("aria-pressed") !== "true")), "Dragging turns cameras instead of moving them");
    turn.setAttribute("aria-pressed", "false");
    const made = {
      canvas,
      drawing,
      slider,
      turn,
      count: element("span", "deforum-count"),
      hint: element("p", "deforum-hint"),
      fly: button("Fly", flown(false), "Fly through the scene"),
      record: button("Record", flown(true), "Fly and record for the length of the video"),
      add: button("Add pose", addKey, "Add a pose at this frame"),
      remove: button("Remove", removeKey, "Remove the chosen pose"),
      undo: button("Undo", undo),
      redo: button("Redo", redo),
      all: button("Overview", () => (overview(), redraw())),
      format: element("select", ""),
      save: button("Camera file", askFile, "Download the camera of these settings, one pose per frame"),
    };
    made.format.setAttribute("aria-label", "Format of the camera file");
    for (const [ending, name] of Object.entries(FORMATS)) made.format.append(new Option(name, ending));
    const bar = element("div", "deforum-view-bar");
    const files = element("span", "deforum-view-files");
    files.append(made.format, made.save);
    bar.append(made.all, made.turn, made.add, made.remove, made.undo, made.redo, made.fly, made.record, files);
    const time = element("div", "deforum-view-time");
    time.append(slider, made.count);
    made.box = element("div", "deforum-view-box");
    made.box.append(bar, canvas, time, made.hint);
    canvas.addEventListener("pointerdown", down);
    canvas.addEventListener("pointermove", dragged);
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("wheel", wheel, { passive: false });
    canvas.addEventListener("keydown", keyDown);
    canvas.addEventListener("keyup", (event) => held.delete(event.code));
    canvas.addEventListener("blur", () => held.clear());
    new ResizeObserver(redraw).observe(canvas);
    const themes = new MutationObserver(redraw); // dark or light
    for (const root of [document.documentElement, document.body]) themes.observe(root, { attributeFilter: ["class"] });
    return made;
  };

  // ---- the figure that the server sends ----

  const attach = () => {
    const figure = document.getElementById("deforum_camera_view");
    if (parts && parts.box.hidden === Boolean(figure)) parts.box.hidden = !figure; // the other modes have no camera
    if (!figure || figure.dataset.attached) return;
    figure.dataset.attached = "yes";
    parts ??= makeParts();
    if (!parts) return; // no WebGL: the plots from above and from the side remain
    scene = JSON.parse(figure.dataset.scene);
    if (!drag && !flight) {
      const told = textOf(scene.keys);
      // Until the last change has been planned, answers are about a text before it; another text may overtake it.
      const set = JSON.parse(tab.values()).camera_path === sent;
      if (told === sent || (arrived && !set)) sent = "";
      arrived = Boolean(sent) && (arrived || set);
      if (!sent && told !== textOf(keys)) {
        [past, future] = [[], []];
        keys = scene.keys.map((key) => [...key]);
        chosen = Math.min(chosen, keys.length - 1);
      }
    }
    parts.drawing.surface = scene.surface ? surfaceOf(scene.surface) : new Float32Array();
    if (scene.surface) loadPicture(parts.drawing, scene.surface.image);
    if (!view) overview();
    // Beside the plots, which each answer replaces: the view keeps its focus and its picture.
    const plots = document.getElementById("deforum_plot");
    if (parts.box.parentElement !== plots.parentElement) plots.after(parts.box);
    show();
  };

  // Where the key poses are in the canvas, in pixels.
  const shownAt = () => keys.map((key) => onScreen(at(key)));
  tab.camera = { places: shownAt, request, answered };
  new MutationObserver(attach).observe(document.documentElement, { childList: true, subtree: true });
})();
