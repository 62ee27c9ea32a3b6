// Follows one story with the JavaScript client against the server of argv[2] and tells it as JSON.
import { pathToFileURL } from "node:url";

const [, , module, url, story, worker] = process.argv;
const { Deforum } = await import(pathToFileURL(module).href);
const patient = { patienceMs: 60000, timeoutMs: 30000 };
const job = "batch(1)-0";
const failure = async (promise) => promise.then(() => null, ({ message, status, errors }) => ({ message, status, errors }));

const stories = {
  async run() {
    const deforum = new Deforum(url);
    const small = { W: 64, H: 64, max_frames: 4, prompts: { 0: "a hill" }, animation_mode: "2D" };
    const [{ plan, errors }] = await deforum.validate(small);
    const { job_ids: [id, other] } = await deforum.submit([small, { ...small, max_frames: 900 }]);
    const seen = [];
    for await (const { status, updates } of deforum.watch(id)) seen.push([status, updates]);
    const video = await deforum.download(id);
    const bytes = new Uint8Array(await video.arrayBuffer());
    const cancelled = await deforum.cancel(other);
    const ended = await failure(deforum.wait(other));
    const resumed = (await deforum.resume(other)).status;
    await deforum.cancel(other.replace(/-1$/, ""));
    const listed = [];
    for await (const one of deforum.jobs()) listed.push(one.id);
    const sizes = (await deforum.outputs(id)).filter((file) => file.kind === "video").map((file) => file.size);
    await deforum.forget(id);
    const forgotten = (await failure(deforum.job(id))).status;
    const refused = await failure(deforum.submit({ W: "wide" }));
    return { plan, errors, id, other, seen, type: video.type, size: bytes.length, sizes, cancelled, ended, resumed, listed, forgotten, refused };
  },
  async follow() {
    const seen = [];
    for await (const { updates } of new Deforum(url, { ...patient, timeoutMs: 1500 }).watch(job, { pollMs: 5 })) seen.push(updates);
    return seen;
  },
  async submit() {
    return new Deforum(url, { ...patient, login: "ann:sécret" }).submit({ max_frames: 2 });
  },
  async workers() {
    const deforum = new Deforum(url, patient);
    const states = [(await deforum.drain(worker)).state, (await deforum.undrain(worker)).state];
    return { states, ids: (await deforum.workers()).map((one) => one.id) };
  },
  async tool() {
    return new Deforum(url, patient).runTool("upscale", { video: "a.mp4" }, { options: { deforum_ffmpeg_crf: 20 }, priority: 5, webhookUrl: "https://a.example/" });
  },
  async cancel() {
    return failure(new Deforum(url, patient).cancel(job));
  },
  async resume() {
    return failure(new Deforum(url, patient).resume(job));
  },
  async resumeAtOnce() {
    return failure(new Deforum(url, { ...patient, patienceMs: 0 }).resume(job));
  },
  async health() {
    return failure(new Deforum(url, { ...patient, patienceMs: 300 }).health());
  },
  async stop() {
    const deforum = new Deforum(url, { ...patient, signal: AbortSignal.timeout(200) });
    return failure(deforum.health());
  },
};

process.stdout.write(JSON.stringify(await stories[story]()));
