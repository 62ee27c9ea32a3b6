// The page's part of the Deforum tab: what the controls hold, and when the server is asked, which decides what is right
// and what is shown. One of five files in any order: each leaves its part in window.deforumTab, this one waits for all.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.changed) return;

  const TYPING_MS = 350;
  const MOVING_MS = 25;
  const TICK_MS = 1000;
  const PATIENCE_MS = 15000;

  const find = (id) => document.getElementById(id);
  const press = (id) => find(id)?.click();

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
    const { job = "" } = document.querySelector("#deforum_run [data-job]")?.dataset || {};
    // What somebody did something to last stays in sight, though another job goes on.
    picked = job;
    return JSON.stringify({ act, job });
  };

  const theme = () => {
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem("deforum_theme", dark ? "dark" : "light");
  };

  const SHOWN_AFTER = ["resume", "pause", "cancel"];
  const FILLS = ["use", "preset"];
  const send = (what) => (FILLS.includes(what.act) ? filling : acting).send(what);

  const obey = ({ act, job, go: name, preset }) => {
    if (name) tab.marks.go(name);
    else if (act === "reach") find(job)?.scrollIntoView();
    else if (act === "generate") press("deforum_generate");
    else if (preset) send({ act: "preset", name: preset });
    else if (act === "theme") theme();
    else if (act === "undo") undo();
    else if (act === "show") {
      picked = job;
      tick.ask();
      find("deforum_run")?.scrollIntoView({ block: "nearest" });
    } else {
      if (SHOWN_AFTER.includes(act)) picked = job;
      send({ act, job });
    }
  };

  // What the bar at the bottom of a narrow page repeats of the run.
  const repeat = () => {
    const [bar, run] = [document.querySelector("#deforum_interface .deforum-dock"), find("deforum_run")];
    if (!bar || !run) return;
    const set = (part, name, value) => part[name] === value || (part[name] = value);
    set(bar.querySelector("p"), "textContent", run.querySelector(".deforum-line")?.textContent || "");
    set(bar.querySelector(".deforum-bar span").style, "width", run.querySelector(".deforum-bar span")?.style.width || "0%");
    const frame = run.querySelector("img.deforum-frame")?.getAttribute("src") || "";
    const still = bar.querySelector("img");
    set(still, "hidden", !frame);
    if (frame && still.getAttribute("src") !== frame) still.setAttribute("src", frame);
  };

  // ---- presets: what was loaded is said where it was picked, and can be undone ----

  let coming = {};
  let before = null;

  const undo = () => {
    if (!before) return;
    const values = Object.fromEntries(tab.marks.names().map((name, place) => [name, before.values[place]]));
    filling.send({ act: "kept", values, undone: before.title });
  };

  const filled = () => {
    const { preset = "", undone = "", before: values } = coming;
    coming = {};
    const card = preset && document.querySelector(`#deforum_interface [data-preset="${CSS.escape(preset)}"]`);
    const title = card ? card.querySelector("b").textContent : "";
    before = card ? { title, values } : null;
    const said = document.querySelector("#deforum_interface .deforum-preset-said");
    if (!said) return;
    said.hidden = !title && !undone;
    said.querySelector("span").textContent = title ? `${title} is loaded.` : `${undone} is undone.`;
    said.querySelector("button").hidden = !title;
    for (const one of document.querySelectorAll("#deforum_interface [data-preset]")) {
      one.classList.toggle("deforum-chosen", one === card);
      one.setAttribute("aria-pressed", String(one === card));
    }
  };

  const drawIfSeen = () => {
    const plot = find("deforum_plot");
    if (plot && plot.offsetParent !== null) draw.ask();
  };

  // A job that ended is no longer queued, and tells how long the next one will take.
  let ended;
  const lookWhenOneEnded = () => {
    const rows = document.querySelectorAll("#deforum_jobs tr:is(.done, .failed, .cancelled)");
    const now = Array.from(rows, (row) => row.dataset.job);
    if (ended && now.some((job) => !ended.includes(job))) look.ask();
    ended = now;
  };

  Object.assign(tab, {
    changed,
    command: acting.command,
    filling: (values) => {
      const command = filling.command();
      const { act, name, undone } = JSON.parse(command);
      coming = { preset: act === "preset" ? name : "", undone, before: values };
      return command;
    },
    shown,
    state,
    draw: draw.ask,
    values: () => JSON.stringify(held),
    synced: (values) => {
      filling.answered();
      tab.marks.names().forEach((name, place) => (held[name] = values[place]));
      tab.files.follow();
      keep();
      look.ask();
      filled();
    },
    checked: () => {
      look.answered();
      setTimeout(tab.marks.read, 0);
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
      picked = document.querySelector("#deforum_verdict [data-queued]")?.dataset.queued || picked;
      tab.marks.read();
      tick.ask();
    },
  });

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
    if (!tab.marks || !tab.presses || !tab.files || !find("deforum_interface") || !find("deforum_tick")) return false;
    const wanted = find("deforum_own_page") && localStorage.getItem("deforum_theme");
    if (wanted) document.body.classList.toggle("dark", wanted === "dark");
    tab.presses.watch(obey);
    tab.files.watch();
    tab.files.follow();
    document.addEventListener("change", helpShown, true);
    document.addEventListener("input", moved);
    document.addEventListener("toggle", drawIfSeen, true);
    let queued = false;
    new MutationObserver(() => {
      if (queued) return;
      queued = true;
      requestAnimationFrame(() => {
        queued = false;
        tab.files.follow();
        tab.marks.read();
        tab.presses.keepFocus();
        repeat();
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
