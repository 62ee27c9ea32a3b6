// The page's part of the Deforum tab: waits, asks, marks. What is right and what is shown is decided by the server.
(() => {
  "use strict";
  if (window.deforumTab) return;

  const TYPING_MS = 350;
  const MOVING_MS = 25;
  const TICK_MS = 1000;
  const PATIENCE_MS = 15000;
  const STILL_PX = 4;

  const find = (id) => document.getElementById(id);
  const press = (id) => find(id)?.click();
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  // One question at a time: asked again when the answer is there, if something changed meanwhile, or when none came.
  const asker = (id, shown = "") => {
    let asked = 0;
    let again = false;
    const ask = () => {
      if (asked && Date.now() - asked < PATIENCE_MS) {
        again = true;
        return;
      }
      if (!find(id)) return;
      asked = Date.now();
      again = false;
      find(shown)?.classList.add("deforum-asking");
      press(id);
    };
    const answered = () => {
      asked = 0;
      find(shown)?.classList.remove("deforum-asking");
      if (again) ask();
    };
    const remind = () => {
      if (asked && Date.now() - asked >= PATIENCE_MS) ask();
    };
    return { ask, answered, remind };
  };

  // What was pressed goes out one by one: gradio drops what comes while it waits for an answer.
  const sender = (id) => {
    const waiting = [];
    let sent = 0;
    const next = () => {
      if (!waiting.length || (sent && Date.now() - sent < PATIENCE_MS)) return;
      sent = Date.now();
      press(id);
    };
    return {
      send: (what) => {
        waiting.push(what);
        next();
      },
      command: () => JSON.stringify(waiting.shift() || {}),
      answered: () => {
        sent = 0;
        setTimeout(next, 0);
      },
      remind: next,
    };
  };

  const acting = sender("deforum_act");
  const filling = sender("deforum_fill");
  const look = asker("deforum_look", "deforum_verdict");
  const draw = asker("deforum_draw");
  const tick = asker("deforum_tick");
  let timer = 0;
  let picked = "";
  let marks = { hidden: [], problems: {} };

  // What the controls hold, as far as it differs from the start; gradio tells of each change.
  const held = {};

  // It outlives a reload of the page, in this window; a picture that was dropped does not.
  const KEPT = "deforum_held";
  const keep = () => {
    const { init_image_box: _, ...plain } = held;
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(plain));
    } catch {
      sessionStorage.removeItem(KEPT); // no room
    }
  };

  const changed = (name, value, typed) => {
    held[name] = value;
    keep();
    clearTimeout(timer);
    timer = setTimeout(look.ask, typed ? TYPING_MS : MOVING_MS);
  };

  // gradio tells of a slider some time after it moved; the plan need not wait for that.
  const moved = (event) => {
    const field = event.target.type === "range" && event.target.closest("[id^=deforum_field_]");
    if (field) changed(field.id.replace("deforum_field_", ""), Number(event.target.value), false);
  };

  // ---- marks ----

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

  // A line or a frame around controls that are all hidden would leave a gap.
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

  // Titles of the tabs and accordions of which every control is hidden.
  const idleSections = () => {
    const hidden = new Set(marks.hidden);
    const idle = new Set();
    const busy = new Set();
    for (const [name, titles] of Object.entries(places())) {
      for (const title of titles) (hidden.has(name) ? idle : busy).add(title);
    }
    return new Set([...idle].filter((title) => !busy.has(title)));
  };

  const part = (tag, className, text) => {
    const made = document.createElement(tag);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const errorOf = (name, problems) => {
    const box = part("div", "deforum-error");
    box.id = `deforum_error_${name}`;
    box.setAttribute("role", "alert");
    for (const problem of problems) {
      box.append(part("div", "", problem.message));
      if (problem.at === undefined) continue;
      const code = part("code", "deforum-column");
      code.append(problem.before, part("mark", "", problem.at || "\u2420"), problem.after);
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

  // ---- the way to a setting ----

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

  // ---- what the server asks of the page ----

  const version = (id) => document.querySelector(`#${id} [data-version]`)?.dataset.version || "";

  const state = () =>
    JSON.stringify({
      job: picked,
      run: version("deforum_run"),
      jobs: version("deforum_jobs"),
      tools: version("deforum_tools"),
    });

  const shown = (act) => {
    const { job = "", state = "" } = document.querySelector("#deforum_run [data-job]")?.dataset || {};
    // What is paused stays in sight though another job goes on, so that the same button resumes it.
    if (act === "toggle") picked = state === "running" ? job : "";
    return JSON.stringify({ act, job });
  };

  const theme = () => {
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem("deforum_theme", dark ? "dark" : "light");
  };

  const FILLS = ["use", "preset"];
  const send = (what) => (FILLS.includes(what.act) ? filling : acting).send(what);

  const PRESSABLE = ":is([data-act], [data-go], [data-preset])";
  const buttonAt = (event) => event.target.closest?.(`#deforum_interface ${PRESSABLE}`);

  // A list may be drawn anew while somebody is at one of its buttons, which then is gone or has become that of another
  // job. What counts is what the button was when it was gone to.
  const goneTo = (event) => {
    const button = buttonAt(event);
    return button ? { button, was: { ...button.dataset }, x: event.clientX, y: event.clientY } : null;
  };
  const alike = (button, was) => ["act", "job", "go", "preset"].every((key) => button.dataset[key] === was[key]);

  const obey = ({ act, job, go: name, preset }) => {
    if (name) go(name);
    else if (preset) send({ act: "preset", name: preset });
    else if (act === "theme") theme();
    else if (act === "show") {
      picked = job;
      tick.ask();
      find("deforum_run")?.scrollIntoView({ block: "nearest" });
    } else send({ act, job });
  };

  let down = null;
  const pressed = (event) => (down = goneTo(event));

  // A mouse clicks what is under it from beginning to end; a finger what is there at the end.
  const released = (event) => {
    if (event.pointerType !== "mouse" || !down) return;
    const { button, was, x, y } = down;
    const stays = button.isConnected && alike(button, was) && button.contains(event.target);
    if (stays || Math.hypot(event.clientX - x, event.clientY - y) > STILL_PX) return;
    obey(was);
    down.obeyed = true;
  };

  const clicked = (event) => {
    const begun = event.detail ? down : null; // neither the keyboard nor this script
    if (begun) down = null;
    if (begun?.obeyed) return;
    const at = begun?.button.contains(event.target) ? begun : goneTo(event);
    if (at) obey(at.was);
  };

  let focused = null;
  const keepFocus = () => {
    if (!focused) return;
    const { button, was } = focused;
    if (button.isConnected && alike(button, was)) return;
    if (document.activeElement !== button && document.activeElement !== document.body) return;
    const again = all(PRESSABLE, find("deforum_interface")).find((one) => alike(one, was));
    if (again) again.focus({ preventScroll: true });
    else button.blur();
  };

  const drawIfSeen = () => {
    const plot = find("deforum_plot");
    if (plot && plot.offsetParent !== null) draw.ask();
  };

  // A job that ended is no longer queued, and tells how long the next one will take.
  let ended;
  const lookWhenOneEnded = () => {
    const now = all("#deforum_jobs tr:is(.done, .failed, .cancelled)").map((row) => row.dataset.job);
    if (ended && now.some((job) => !ended.includes(job))) look.ask();
    ended = now;
  };

  window.deforumTab = {
    changed,
    command: acting.command,
    filling: filling.command,
    shown,
    state,
    draw: draw.ask,
    values: () => JSON.stringify(held),
    synced: (values) => {
      filling.answered();
      names().forEach((name, place) => (held[name] = values[place]));
      keep();
      look.ask();
    },
    checked: () => {
      look.answered();
      setTimeout(readMarks, 0);
      drawIfSeen();
    },
    drawn: draw.answered,
    ticked: () => {
      tick.answered();
      setTimeout(lookWhenOneEnded, 0);
    },
    acted: tick.ask,
    commanded: () => {
      acting.answered();
      tick.ask();
    },
    started: () => {
      picked = "";
      readMarks();
      tick.ask();
    },
  };

  // ---- start ----

  const restore = () => {
    const kept = sessionStorage.getItem(KEPT);
    if (!kept) return;
    filling.send({ act: "kept", values: JSON.parse(kept) });
  };

  const helpShown = () => {
    const box = document.querySelector("#deforum_field_show_info_on_ui input");
    if (box) find("deforum_interface").classList.toggle("deforum-quiet", !box.checked);
  };

  const start = () => {
    if (!find("deforum_interface") || !find("deforum_tick")) return false;
    const wanted = find("deforum_own_page") && localStorage.getItem("deforum_theme");
    if (wanted) document.body.classList.toggle("dark", wanted === "dark");
    document.addEventListener("click", clicked);
    document.addEventListener("pointerdown", pressed, true);
    document.addEventListener("pointerup", released, true);
    document.addEventListener("focusin", (event) => (focused = goneTo(event)));
    document.addEventListener("focusout", (event) => {
      if (event.target.isConnected) focused = null;
    });
    document.addEventListener("change", helpShown, true);
    document.addEventListener("input", moved);
    document.addEventListener("toggle", drawIfSeen, true);
    let queued = false;
    new MutationObserver(() => {
      if (queued) return;
      queued = true;
      requestAnimationFrame(() => {
        queued = false;
        readMarks();
        keepFocus();
      });
    }).observe(find("deforum_interface"), { childList: true, subtree: true, attributeFilter: ["data-act", "data-job"] });
    find("deforum_plots")?.addEventListener("click", () => setTimeout(drawIfSeen, 100));
    setInterval(() => {
      if (document.hidden || find("deforum_interface")?.offsetParent === null) return;
      tick.ask();
      look.remind();
      draw.remind();
      acting.remind();
      filling.remind();
    }, TICK_MS);
    restore();
    look.ask();
    tick.ask();
    return true;
  };

  const waiting = setInterval(() => {
    if (start()) clearInterval(waiting);
  }, 200);
})();
