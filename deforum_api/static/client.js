/**
 * The JavaScript client of the HTTP API, for web pages and for Node 18 or newer. It needs nothing else.
 *
 *   import { Deforum } from "http://127.0.0.1:7860/deforum_api/client.js";
 *
 *   const deforum = new Deforum();
 *   const { job_ids: [id] } = await deforum.submit({ prompts: { 0: "a lake at dawn" }, max_frames: 24 });
 *   for await (const job of deforum.watch(id)) console.log(job.phase, job.frame, "of", job.max_frames);
 *   video.src = deforum.fileUrl(id);
 *
 * Requests are sent again while the server is away, busy or has not loaded Deforum yet, and a submission is queued once
 * however often it is sent.
 */

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 8000;
const PAGE_JOBS = 200;
const END_POLL_MS = 200;
const BUSY = [429, 502, 503, 504];
const NOT_HERE =
  "There is no Deforum API at this address (HTTP 404). A WebUI must be started with --deforum-api, and answers this until it has loaded Deforum.";

/** The server said no, or did not answer: `status` is the HTTP status, or 0; `errors` has an entry per wrong setting. */
export class DeforumError extends Error {
  constructor(message, { status = 0, errors = [], retryAfterMs = 0, job = null, passing = status === 0 } = {}) {
    super(message);
    this.name = "DeforumError";
    this.status = status;
    this.errors = errors;
    this.retryAfterMs = retryAfterMs;
    this.job = job;
    this.passing = passing; // whether the same request may be answered later
    this.tries = 1;
  }
}

/** A Deforum server. */
export class Deforum {
  /**
   * @param {string} [url] address of the server; unless given, the one that this module came from
   * @param {object} [options]
   * @param {string} [options.login] "user:password" where the server asks for one
   * @param {number} [options.patienceMs] for how long a request is repeated while the server is away or busy
   * @param {number} [options.timeoutMs] the longest silence within one answer
   * @param {AbortSignal} [options.signal] ends every request and every watch
   */
  constructor(url = ownAddress(), { login = "", patienceMs = 120000, timeoutMs = 60000, signal = null } = {}) {
    this.url = String(url).replace(/\/+$/, "");
    this.patienceMs = patienceMs;
    this.timeoutMs = timeoutMs;
    this.signal = signal;
    this.headers = login ? { Authorization: `Basic ${base64(login)}` } : {};
  }

  /**
   * Queue one job, or a list of them; resolves to `batch_id`, `job_ids` and `warnings`.
   * @param {object|object[]} settings
   * @param {object} [more] `options`: options_overrides; `key`: names this submission, sent twice it is queued once;
   *   `priority`: jobs of a higher one are taken first; `webhookUrl`: address that is notified of each job's end
   */
  submit(settings, { options = null, key = newKey(), priority = 0, webhookUrl = "" } = {}) {
    const body = { ...batch(settings, options), ...terms(priority, webhookUrl) };
    return this.#json("POST", "/batches", { body, headers: { "Idempotency-Key": key } });
  }

  /**
   * Queue a tool for an existing video or images; resolves to `batch_id`, `job_ids` (one) and `warnings`.
   * @param {string} tool interpolate, upscale, vid2depth or stitch
   * @param {object} given its arguments, as `tools` describes them; paths are the server's
   * @param {object} [more] as for `submit`
   */
  runTool(tool, given, { options = null, key = newKey(), priority = 0, webhookUrl = "" } = {}) {
    const body = { ...given, ...(options && { options_overrides: options }), ...terms(priority, webhookUrl) };
    const headers = { "Idempotency-Key": key };
    return this.#json("POST", `/tools/${encodeURIComponent(tool)}`, { body, headers });
  }

  /** Every tool with the JSON schema of its arguments. */
  tools() {
    return this.#json("GET", "/tools");
  }

  /** Check without queueing; resolves to one answer per job: `errors`, `warnings`, `settings`, `plan`. */
  async validate(settings, { options = null, series = false } = {}) {
    const path = `/validate${series ? "?series=true" : ""}`;
    return (await this.#json("POST", path, { body: batch(settings, options) })).jobs;
  }

  /** The record of a job. */
  job(id) {
    return this.#json("GET", jobPath(id));
  }

  /** The records of all jobs, page by page; without what was submitted unless `summary` is false. */
  async *jobs({ status = "", summary = true } = {}) {
    let cursor = "";
    do {
      const query = new URLSearchParams({ limit: PAGE_JOBS, summary, ...(status && { status }), ...(cursor && { cursor }) });
      const { answer, blob } = await this.#whole("GET", `/jobs?${query}`);
      yield* Object.values(await parsed(blob));
      cursor = answer.headers.get("X-Next-Cursor");
    } while (cursor);
  }

  /**
   * The record of a job now and after every change, the last time when it has ended.
   *
   * It follows the server's events. A stream that breaks is taken up behind the last record that was seen; where there
   * are no events, the server is asked every `pollMs` milliseconds.
   */
  async *watch(id, { events = true, pollMs = 1000 } = {}) {
    let seen = -1;
    for (;;) {
      // The record first: after a crash a server may count from an older update, which its events would leave out.
      const now = await this.job(id);
      if (now.updates !== seen) yield now;
      if (now.status !== "ACCEPTED") return;
      seen = now.updates;
      if (events) {
        const stream = this.#events(id, seen);
        let next;
        while (!(next = await stream.next()).done) {
          const job = next.value;
          if (job.updates !== seen) yield job;
          seen = job.updates;
          if (job.status !== "ACCEPTED") {
            await stream.return();
            return;
          }
        }
        events = next.value;
      }
      await this.#sleep(pollMs);
    }
  }

  /** The record of the job once it has SUCCEEDED; rejects with its message, and `job`, if it ends otherwise. */
  async wait(id, options = {}) {
    let last = null;
    for await (const job of this.watch(id, options)) last = job;
    if (last.status !== "SUCCEEDED") {
      throw new DeforumError(`${id} ${last.status}: ${last.message ?? "no reason was given."}`, { job: last });
    }
    return last;
  }

  /** End a job, or what is unfinished of a batch; resolves to the ids of the jobs that end by it. */
  async cancel(id) {
    if (id.endsWith(")")) return (await this.#json("DELETE", `/batches/${encodeURIComponent(id)}`)).ids;
    try {
      await this.#json("DELETE", jobPath(id));
    } catch (error) {
      // The first of several tries may have been carried out, with only its answer lost.
      const lost = error.status === 400 && error.tries > 1 && (await this.job(id)).status === "CANCELLED";
      if (!lost) throw error;
    }
    return [id];
  }

  /**
   * Let a FAILED or CANCELLED job go on from its last saved frame; resolves to its record. A job that was cancelled
   * just before is waited for until it has ended.
   */
  async resume(id) {
    const deadline = Date.now() + this.patienceMs;
    for (;;) {
      try {
        return await this.#json("POST", `${jobPath(id)}/resume`);
      } catch (error) {
        const job = error.status === 409 ? await this.job(id) : null;
        const ends = job?.cancelling || job?.status === "FAILED" || job?.status === "CANCELLED";
        // The first of several tries may have been carried out, with only its answer lost.
        if (!ends && error.tries > 1 && ["ACCEPTED", "SUCCEEDED"].includes(job?.status)) return job;
        if (!ends || Date.now() + END_POLL_MS > deadline) throw error;
      }
      await this.#sleep(END_POLL_MS);
    }
  }

  /** Take a finished job off the server's records; its files stay. */
  async forget(id) {
    try {
      await this.#json("DELETE", `${jobPath(id)}?purge=true`);
    } catch (error) {
      // The first of several tries may have been carried out, with only its answer lost.
      if (error.status !== 404 || error.tries === 1) throw error;
    }
  }

  /** The files of a job: `kind`, `name`, `size` and `link` of each. */
  outputs(id) {
    return this.#json("GET", `${jobPath(id)}/outputs`);
  }

  /** A file of a job as a Blob: a `kind` of `outputs` with one file per job, such as "video", or "preview", "camera" or "frames/12". */
  async download(id, kind = "video") {
    return (await this.#whole("GET", `${jobPath(id)}/${kind}`)).blob;
  }

  /** The address of a file, for `src` and `href`. */
  fileUrl(id, kind = "video") {
    return `${this.url}/deforum_api${jobPath(id)}/${kind}`;
  }

  /** Every worker: `id`, `node`, `device`, `memory`, `model`, `job`, `state` and `since`. */
  workers() {
    return this.#json("GET", "/workers");
  }

  /** Let a worker finish its job and take no other one; resolves to its state. */
  drain(workerId) {
    return this.#json("POST", `/workers/${encodeURIComponent(workerId)}/drain`);
  }

  /** Let a worker take jobs again; resolves to its state. */
  undrain(workerId) {
    return this.#json("POST", `/workers/${encodeURIComponent(workerId)}/undrain`);
  }

  /** Every setting with its default. */
  defaults() {
    return this.#json("GET", "/settings/defaults");
  }

  /** JSON schema of all settings. */
  schema() {
    return this.#json("GET", "/settings/schema");
  }

  /** How the server is. */
  health() {
    return this.#json("GET", "/health");
  }

  async #json(method, path, more = {}) {
    return parsed((await this.#whole(method, path, more)).blob);
  }

  /** The answer and its whole body, asked for until it comes. */
  #whole(method, path, more = {}) {
    return this.#repeat(async () => {
      const silence = new Silence(this.timeoutMs, this.signal);
      try {
        const answer = await this.#ask(method, path, { ...more, silence });
        const parts = [];
        for await (const part of pieces(answer.body)) {
          silence.broken();
          parts.push(part);
        }
        return { answer, blob: new Blob(parts, { type: answer.headers.get("Content-Type") ?? "" }) };
      } finally {
        silence.end();
      }
    });
  }

  async #repeat(attempt) {
    const deadline = Date.now() + this.patienceMs;
    let pauseMs = FIRST_PAUSE_MS;
    for (let tries = 1; ; tries++) {
      try {
        return await attempt();
      } catch (error) {
        this.signal?.throwIfAborted();
        const told = error instanceof DeforumError ? error : new DeforumError(`${this.url} does not answer (${error.message}).`);
        told.tries = tries;
        const waitMs = Math.max(pauseMs * (0.75 + Math.random() / 2), Math.min(told.retryAfterMs, LONGEST_PAUSE_MS));
        if (!told.passing || Date.now() + waitMs > deadline) throw told;
        await this.#sleep(waitMs);
        pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      }
    }
  }

  async #ask(method, path, { body, headers = {}, silence }) {
    const answer = await fetch(`${this.url}/deforum_api${path}`, {
      method,
      headers: { ...this.headers, ...(body && { "Content-Type": "application/json" }), ...headers },
      body: body && JSON.stringify(body),
      signal: silence.signal,
    });
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }

  /** Yields the records of one event stream; returns whether it is worth while to open another one. */
  async *#events(id, seen) {
    const silence = new Silence(this.timeoutMs, this.signal);
    let heard = false;
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(seen) };
      const answer = await this.#ask("GET", `${jobPath(id)}/events`, { headers, silence });
      if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream")) return false;
      let text = "";
      for await (const chunk of pieces(answer.body.pipeThrough(new TextDecoderStream()))) {
        heard = true;
        silence.broken();
        const blocks = (text + chunk).split(/\r?\n\r?\n/);
        text = blocks.pop();
        yield* blocks.flatMap(records);
      }
      return true;
    } catch (error) {
      this.signal?.throwIfAborted();
      if (error instanceof DeforumError) return error.passing && error.status !== 404;
      return heard || !silence.over;
    } finally {
      silence.end();
    }
  }

  #sleep(ms) {
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(this.signal.reason);
      };
      const timer = setTimeout(() => {
        this.signal?.removeEventListener("abort", stop);
        resolve();
      }, ms);
      if (this.signal?.aborted) stop();
      this.signal?.addEventListener("abort", stop, { once: true });
    });
  }
}

/** Ends a request when nothing has come for so long, or when the caller says so. */
class Silence {
  constructor(ms, outer) {
    this.ms = ms;
    this.over = false;
    this.abort = new AbortController();
    this.signal = this.abort.signal;
    if (outer?.aborted) this.abort.abort(outer.reason);
    outer?.addEventListener("abort", () => this.abort.abort(outer.reason), { once: true, signal: this.signal });
    this.broken();
  }

  broken() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.over = true;
      this.abort.abort(new Error("nothing came for too long"));
    }, this.ms);
    this.timer.unref?.();
  }

  end() {
    clearTimeout(this.timer);
    this.abort.abort();
  }
}

const jobPath = (id) => `/jobs/${encodeURIComponent(id)}`;

const batch = (settings, options) => ({ deforum_settings: settings, ...(options && { options_overrides: options }) });

// Only what differs from its default: older servers know none of it.
const terms = (priority, webhookUrl) => ({ ...(priority && { priority }), ...(webhookUrl && { webhook_url: webhookUrl }) });

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

// Not randomUUID, which pages without https on other machines do not have.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function ownAddress() {
  const here = new URL(import.meta.url);
  return here.protocol.startsWith("http") ? new URL("..", here).href : "http://127.0.0.1:7860";
}

async function refusal(answer) {
  const told = await answer.json().catch(() => ({}));
  const foreign = answer.status === 404 && !Array.isArray(told?.errors);
  const message = foreign ? NOT_HERE : (told?.message ?? `The server answered with HTTP status ${answer.status}.`);
  const retryAfterMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  return new DeforumError(message, {
    status: answer.status,
    errors: told?.errors ?? [],
    retryAfterMs,
    passing: foreign || BUSY.includes(answer.status),
  });
}

async function parsed(blob) {
  try {
    return JSON.parse(await blob.text());
  } catch {
    throw new DeforumError("The answer is not JSON; is this the address of a Deforum server?");
  }
}

// Browsers differ in whether a body can be iterated; all of them have readers.
async function* pieces(body) {
  if (!body) return;
  const reader = body.getReader();
  try {
    for (let read; !(read = await reader.read()).done; ) yield read.value;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function records(block) {
  const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length ? [JSON.parse(lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n"))] : [];
}
