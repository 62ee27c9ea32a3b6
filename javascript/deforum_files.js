// Boxes that files are dropped into. What a box holds is a line of text with the ids that the server gave for the files.
// One of five files in any order: each leaves its part in window.deforumTab, and deforum.js waits for the others.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.files) return;

  const find = (id) => document.getElementById(id);
  const data = () => find("deforum_place_data")?.dataset || {};
  const boxes = () => JSON.parse(data().boxes || "{}");
  const line = (id) => find(id)?.querySelector("textarea, input:not([type=file])");

  const part = (tag, className, text = "") => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };

  // Pictures that were dropped into this page, by their ids; the server does not send them back.
  const stills = {};

  const say = (id, text, bad = false) => {
    const told = find(id).querySelector(".deforum-box-said");
    told.textContent = text;
    told.classList.toggle("deforum-box-bad", bad);
  };

  const show = (id, text) => {
    const box = find(id)?.querySelector(".deforum-box");
    if (!box || box.dataset.shown === text) return;
    box.dataset.shown = text;
    const ids = text.split("\n").filter(Boolean);
    const list = box.querySelector("ul");
    list.replaceChildren(...ids.slice(0, 20).map((one) => part("li", "", one.split("/")[1])));
    if (ids.length > 20) list.append(part("li", "", `and ${ids.length - 20} more`));
    const still = box.querySelector("img");
    still.hidden = !(ids.length === 1 && stills[ids[0]]);
    if (!still.hidden) still.src = stills[ids[0]];
    box.querySelector("[data-box-clear]").hidden = !ids.length;
  };

  // gradio learns of a value only as if it had been typed; the same files again are another text for it.
  const hold = (id, ids) => {
    const held = line(id);
    const text = ids.join("\n");
    held.value = text && held.value === text ? `${text}\n` : text;
    held.dispatchEvent(new Event("input", { bubbles: true }));
    show(id, held.value);
  };

  // A WebUI answers with paths, whose last two parts are the id.
  const idOf = (answer) => answer.split(/[\\/]/).slice(-2).join("/");

  const fits = (file, { endings }) => endings.some((ending) => file.name.toLowerCase().endsWith(ending));

  // A box does not wait for the answer to its last files: what was dropped last counts, whichever answer comes first.
  const turns = {};

  const send = async (id, dropped) => {
    const box = boxes()[id];
    const files = Array.from(dropped).slice(0, box.several ? undefined : 1);
    if (!files.length) return;
    const odd = files.find((file) => !fits(file, box));
    if (odd) {
      say(id, `${odd.name} has no room here; allowed are ${box.endings.join(", ")}.`, true);
      return;
    }
    const turn = (turns[id] = (turns[id] || 0) + 1);
    say(id, files.length === 1 ? "Uploading ..." : `Uploading ${files.length} files ...`);
    const form = new FormData();
    for (const file of files) form.append("files", file);
    try {
      const answer = await fetch(data().upload, { method: "POST", body: form });
      const told = await answer.json().catch(() => null);
      if (turn !== turns[id]) return;
      if (!answer.ok || !Array.isArray(told)) throw new Error(told?.message || `The server answered ${answer.status}.`);
      const ids = told.map(idOf);
      if (files[0].type.startsWith("image/")) stills[ids[0]] = URL.createObjectURL(files[0]);
      hold(id, ids);
      say(id, "");
    } catch (error) {
      if (turn === turns[id]) say(id, `The upload failed: ${error.message}`, true);
    }
  };

  const dress = () => {
    for (const [id, { several, endings }] of Object.entries(boxes())) {
      const field = find(id);
      if (!field || field.querySelector(".deforum-box") || !line(id)) continue;
      const box = part("div", "deforum-box");
      const pick = part("label", "deforum-box-pick", several ? "Drop files here, or click" : "Drop a file here, or click");
      const input = part("input", "");
      Object.assign(input, { type: "file", multiple: several, accept: endings.join(",") });
      input.setAttribute("aria-label", field.querySelector("[data-testid=block-info], span")?.textContent.trim() || id);
      pick.append(input);
      const clear = part("button", "deforum-button", "Clear");
      Object.assign(clear, { type: "button", hidden: true });
      clear.dataset.boxClear = id;
      clear.setAttribute("aria-label", "Clear");
      const still = part("img", "deforum-box-still");
      Object.assign(still, { hidden: true, alt: "" });
      const said = part("p", "deforum-box-said");
      said.setAttribute("role", "status");
      box.append(pick, still, part("ul", ""), said, clear);
      field.append(box);
      show(id, line(id).value);
    }
  };

  // A file that is dropped beside all boxes is taken for settings: the browser would leave the page for it.
  const boxOf = (event) => {
    const inside = event.target.closest?.(".deforum-files:has(> .deforum-box)")?.id;
    const files = event.dataTransfer?.types?.includes("Files") && event.target.closest?.("#deforum_interface");
    return inside || (files ? "deforum_drop" : undefined);
  };

  const watch = () => {
    document.addEventListener("change", (event) => {
      if (event.target.type !== "file" || !boxOf(event)) return;
      send(boxOf(event), event.target.files).finally(() => (event.target.value = ""));
    });
    document.addEventListener("dragover", (event) => {
      if (boxOf(event)) event.preventDefault();
    });
    document.addEventListener("drop", (event) => {
      if (!boxOf(event)) return;
      event.preventDefault();
      send(boxOf(event), event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => {
      if (boxOf(event) && event.clipboardData.files.length) send(boxOf(event), event.clipboardData.files);
    });
    document.addEventListener("click", (event) => {
      const id = event.target.dataset?.boxClear;
      if (!id) return;
      turns[id] = (turns[id] || 0) + 1;
      hold(id, []);
      say(id, "");
    });
  };

  // A control may also be filled by the server.
  const follow = () => {
    dress();
    for (const id of Object.keys(boxes())) if (line(id)) show(id, line(id).value);
  };

  tab.files = { watch, follow };
})();
