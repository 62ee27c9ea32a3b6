// Runs javascript/deforum_keys.js without a page: reads a question as JSON, prints the answer as JSON.
import { readFileSync } from "node:fs";

const [script] = process.argv.slice(2);
const question = JSON.parse(readFileSync(0, "utf-8"));
(0, eval)(readFileSync(script, "utf-8"));
const { keys } = globalThis.deforumTab;

const answers = {
  // The values of each schedule at every frame.
  series: ({ schedules }) =>
    schedules.map(({ points, frames, values }) => {
      const playing = keys.playing(points, frames);
      return values.map((_, frame) => keys.valueAt(playing, frame, (at) => values[at]));
    }),
  // The corners of each schedule's curve, drawn again with the same memory after a key has moved.
  curves: ({ schedules }) =>
    schedules.map(({ points, frames, values, step }) => {
      const bends = new WeakMap();
      const sample = (at) => values[Math.round(at)];
      const range = (from, to) => {
        const within = values.slice(Math.floor(from), Math.ceil(to) + 1);
        return [Math.min(...within), Math.max(...within)];
      };
      const drawn = (list) => {
        const playing = keys.playing(list, frames);
        return [keys.curve(playing, 0, frames - 1, step, sample, range, bends), values.map((_, at) => keys.valueAt(playing, at, sample))];
      };
      const first = drawn(points);
      const chosen = points[points.length >> 1].frame;
      const shift = keys.freeShift(points.map(({ frame }) => frame), new Set([chosen]), 2, frames - 1);
      return [first, drawn(keys.moved(points, new Set([chosen]), shift, 0.5, 0.01))];
    }),
  call: ({ name, calls }) => calls.map((values) => keys[name](...values)),
  shift: ({ cases }) => cases.map(([frames, chosen, wanted, last]) => keys.freeShift(frames, new Set(chosen), wanted, last)),
  moved: ({ points, chosen, shift, rise, step }) => keys.moved(points, new Set(chosen), shift, rise, step),
  // The texts after each step of undo and redo.
  history: ({ walks, start }) =>
    walks.map((steps) => {
      const past = keys.history();
      let texts = { ...start };
      return steps.map((step) => {
        if (typeof step === "object") {
          const change = Object.entries(step).map(([name, text]) => [name, [texts[name], text]]);
          past.add(Object.fromEntries(change));
          texts = { ...texts, ...step };
        } else texts = { ...texts, ...(past[step]() || {}) };
        return texts;
      });
    }),
};
console.log(JSON.stringify(answers[question.ask](question)));
