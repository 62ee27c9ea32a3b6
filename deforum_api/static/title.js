// The title of the browser's tab tells how far the running job is, for those who look at something else meanwhile.
import { Deforum } from "/deforum_api/client.js";

const NAME = "Deforum";
const EVERY_MS = 1500;
const deforum = new Deforum(location.origin);

const show = (text) => {
  document.title = text ? `${text} · ${NAME}` : NAME;
};

const running = async () => {
  for await (const job of deforum.jobs({ status: "ACCEPTED" })) if (job.phase !== "QUEUED") return job;
  return null;
};

const told = (job) => {
  if (job.status === "SUCCEEDED") return "Film ready";
  if (job.status === "FAILED") return "Failed";
  if (job.status === "CANCELLED" || job.phase === "QUEUED") return "";
  return job.max_frames ? `${Math.floor((100 * job.frame) / job.max_frames)} %` : "";
};

const seen = () => {
  if (!document.hidden) show("");
};

document.addEventListener("visibilitychange", () => {
  if (document.title.startsWith("Film") || document.title.startsWith("Failed")) seen();
});

// It asks now and then rather than holding a stream open: browsers allow few connections to one server for all tabs.
for (;;) {
  try {
    const job = await running();
    if (job) {
      for await (const now of deforum.watch(job.id, { events: false, pollMs: EVERY_MS })) show(told(now));
      seen();
    }
  } catch (error) {
    console.debug("The title cannot follow the jobs:", error);
  }
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
}
