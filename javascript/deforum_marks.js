// Hidden controls, problems at their controls, and links to a control.
// The scripts load in any order: each adds its part to window.deforumTab, and deforum.js waits for the others.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.marks) return;

  const find = (id) => document.getElementById(id);
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  let marks = { hidden: [], problems: {} };

  const hide = () => {
    let style = find("deforum_hidden_fields");
    if (!style) {
      style = document.createElement("style");
      style.id = "deforum_hidden_fields";
      document.head.appendChild(style);
    }
    const rules = marks.hidden.map((name) => `#deforum_field_${name}`).join(",");
    const text = rules ? `${rules}{display:none !important}` : "";
    if (style.textContent !== text) style.textContent = text;
    foldEmpty();
  };

  // A row whose controls are all hidden would leave a gap.
  const gone = (element) => getComputedStyle(element).display === "none";
  const foldEmpty = () => {
    for (const box of all("#deforum_left .deforum-row, #deforum_left .form")) {
      const inside = box.classList.contains("form") ? Array.from(box.children) : all("[id^=deforum_field_]", box);
      box.classList.toggle("deforum-folded", inside.length > 0 && inside.every(gone));
    }
    const idle = idleSections();
    for (const note of all("#deforum_left .deforum-idle")) {
      note.classList.toggle("deforum-folded", !idle.has(note.dataset.section));
    }
    for (const fold of all("#deforum_left button.label-wrap")) {
      const title = fold.querySelector("span")?.textContent.trim();
      fold.closest(".block")?.classList.toggle("deforum-folded", idle.has(title));
    }
  };

  // Titles of the tabs and accordions whose controls are all hidden.
  const idleSections = () => {
    const hidden = new Set(marks.hidden);
    const idle = new Set();
    const busy = new Set();
    for (const [name, titles] of Object.entries(places())) {
      for (const title of titles) (hidden.has(name) ? idle : busy).add(title);
    }
    return new Set([...idle].filter((title) => !busy.has(title)));
  };

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const errorOf = (name, problems) => {
    const box = element("div", "deforum-error");
    box.id = `deforum_error_${name}`;
    box.setAttribute("role", "alert");
    for (const problem of problems) {
      box.append(element("div", "", problem.message));
      if (problem.at === undefined) continue;
      const code = element("code", "deforum-column");
      code.append(problem.before, element("mark", "", problem.at || "\u2420"), problem.after);
      box.append(code);
    }
    return box;
  };

  const markField = (name, problems) => {
    const field = find(`deforum_field_${name}`);
    if (!field) return;
    const text = JSON.stringify(problems);
    if (field.dataset.deforumProblems === text && find(`deforum_error_${name}`)) return;
    find(`deforum_error_${name}`)?.remove();
    field.dataset.deforumProblems = text;
    field.append(errorOf(name, problems));
    field.classList.add("deforum-wrong");
    for (const input of all("input, textarea", field)) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", `deforum_error_${name}`);
    }
  };

  const unmark = (field) => {
    const name = field.id.replace("deforum_field_", "");
    find(`deforum_error_${name}`)?.remove();
    delete field.dataset.deforumProblems;
    field.classList.remove("deforum-wrong");
    for (const input of all("[aria-invalid]", field)) {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
  };

  const tabButtons = () =>
    all("#deforum_left :is(button[role=tab], .tab-nav > button, .overflow-dropdown > button)");

  const markTabs = () => {
    const bad = new Set(Object.keys(marks.problems).flatMap((name) => places()[name] || []));
    for (const button of tabButtons()) {
      button.classList.toggle("deforum-wrong-tab", bad.has(button.textContent.trim()));
    }
  };

  const mark = () => {
    hide();
    for (const field of all(".deforum-wrong")) {
      if (!(field.id.replace("deforum_field_", "") in marks.problems)) unmark(field);
    }
    for (const [name, problems] of Object.entries(marks.problems)) markField(name, problems);
    markTabs();
  };

  const readMarks = () => {
    const text = document.querySelector("#deforum_verdict .deforum-marks")?.dataset.marks;
    if (text) marks = JSON.parse(text);
    mark();
  };

  const places = () => JSON.parse(find("deforum_place_data")?.dataset.places || "{}");

  const names = () => JSON.parse(find("deforum_place_data")?.dataset.names || "[]");

  const open = (title) => {
    const tab = tabButtons().find((button) => button.textContent.trim() === title);
    if (tab) {
      tab.click();
      return;
    }
    for (const fold of all("#deforum_left button.label-wrap")) {
      if (fold.textContent.trim().startsWith(title) && !fold.classList.contains("open")) fold.click();
    }
  };

  const go = (name) => {
    for (const title of places()[name] || []) open(title);
    setTimeout(() => {
      const field = find(`deforum_field_${name}`);
      field?.scrollIntoView({ block: "center" });
      field?.querySelector("input, textarea, button")?.focus();
      readMarks();
    }, 200);
  };

  tab.marks = { read: readMarks, go, names };
})();
