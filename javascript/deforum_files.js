// Boxes for dropped files. The value of a box is a text with the ids that the server returned for its files.
// The scripts load in any order: each adds its part to window.deforumTab, and deforum.js waits for the others.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.files) return;

  const find = (id) => document.getElementById(id);
  const data = () => find("deforum_place_data")?.dataset || {};
  const boxes = () => JSON.parse(data().boxes || "{}");
  const line = (id) => find(id)?.querySelector("textarea, input:not([type=file])");

  const element = (tag, className, text = "") => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };

  // Images that were dropped into this page, by id; the server does not send them back.
  const thumbnails = {};

  const setStatus = (id, text, bad = false) => {
    const status = find(id).querySelector(".deforum-box-said");
    status.textContent = text;
    status.classList.toggle("deforum-box-bad", bad);
  };

  const show = (id, text) => {
    const box = find(id)?.querySelector(".deforum-box");
    if (!box || box.dataset.shown === text) return;
    box.dataset.shown = text;
    const ids = text.split("\n").filter(Boolean);
    const list = box.querySelector("ul");
    list.replaceChildren(...ids.slice(0, 20).map((one) => element("li", "", one.split("/")[1])));
    if (ids.length > 20) list.append(element("li", "", `and ${ids.length - 20} more`));
    const thumbnail = box.querySelector("img");
    thumbnail.hidden = !(ids.length === 1 && thumbnails[ids[0]]);
    if (!thumbnail.hidden) thumbnail.src = thumbnails[ids[0]];
    box.querySelector("[data-box-clear]").hidden = !ids.length;
  };

  // gradio notices a value only as input that differs from the last, so the same ids get a line break.
  const setValue = (id, ids) => {
    const held = line(id);
    const text = ids.join("\n");
    held.value = text && held.value === text ? `${text}\n` : text;
    held.dispatchEvent(new Event("input", { bubbles: true }));
    show(id, held.value);
  };

  // A WebUI answers with paths; their last two parts are the id.
  const idOf = (answer) => answer.split(/[\\/]/).slice(-2).join("/");

  const fits = (file, { extensions }) => extensions.some((extension) => file.name.toLowerCase().endsWith(extension));

  // Number of the latest upload of each box; answers to earlier uploads are ignored.
  const uploads = {};

  const send = async (id, dropped) => {
    const box = boxes()[id];
    const files = Array.from(dropped).slice(0, box.multiple ? undefined : 1);
    if (!files.length) return;
    const odd = files.find((file) => !fits(file, box));
    if (odd) {
      setStatus(id, `${odd.name} is not accepted here; expected one of: ${box.extensions.join(", ")}.`, true);
      return;
    }
    const upload = (uploads[id] = (uploads[id] || 0) + 1);
    setStatus(id, files.length === 1 ? "Uploading\u2026" : `Uploading ${files.length} files\u2026`);
    const form = new FormData();
    for (const file of files) form.append("files", file);
    try {
      const answer = await fetch(data().upload, { method: "POST", body: form });
      const result = await answer.json().catch(() => null);
      if (upload !== uploads[id]) return;
      if (!answer.ok || !Array.isArray(result)) {
        throw new Error(result?.message || `the server answered with status ${answer.status}.`);
      }
      const ids = result.map(idOf);
      if (files[0].type.startsWith("image/")) thumbnails[ids[0]] = URL.createObjectURL(files[0]);
      setValue(id, ids);
      setStatus(id, "");
    } catch (error) {
      if (upload === uploads[id]) setStatus(id, `Upload failed: ${error.message}`, true);
    }
  };

  const buildBoxes = () => {
    for (const [id, { multiple, extensions }] of Object.entries(boxes())) {
      const field = find(id);
      if (!field || field.querySelector(".deforum-box") || !line(id)) continue;
      const box = element("div", "deforum-box");
      const invitation = `Drop ${multiple ? "files" : "a file"} here or click to browse`;
      const pick = element("label", "deforum-box-pick", invitation);
      const input = element("input", "");
      Object.assign(input, { type: "file", multiple, accept: extensions.join(",") });
      input.setAttribute("aria-label", field.querySelector("[data-testid=block-info], span")?.textContent.trim() || id);
      pick.append(input);
      const clear = element("button", "deforum-button", "Clear");
      Object.assign(clear, { type: "button", hidden: true });
      clear.dataset.boxClear = id;
      clear.setAttribute("aria-label", "Clear");
      const thumbnail = element("img", "deforum-box-still");
      Object.assign(thumbnail, { hidden: true, alt: "" });
      const said = element("p", "deforum-box-said");
      said.setAttribute("role", "status");
      box.append(pick, thumbnail, element("ul", ""), said, clear);
      field.append(box);
      show(id, line(id).value);
    }
  };

  // A file dropped beside the boxes is loaded as settings; otherwise the browser would leave the page to open it.
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
      uploads[id] = (uploads[id] || 0) + 1;
      setValue(id, []);
      setStatus(id, "");
    });
  };

  // Values may also be set by the server.
  const follow = () => {
    buildBoxes();
    for (const id of Object.keys(boxes())) if (line(id)) show(id, line(id).value);
  };

  tab.files = { watch, follow };
})();
