// The values of the tab's controls, and the requests for checks, plots, progress and actions. What is valid and what is
// shown is decided by the server.
// The scripts load in any order: each adds its part to window.deforumTab, and this one waits for those that it calls.
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

  // One request at a time, sent until the page shows the answer to the latest one. gradio drops a press while it waits
  // for the answer to the one before, so a press alone says nothing: a request counts from the moment at which gradio takes
  // its values, and an answer for the request whose number it returns.
  const singleRequest = (id, shown = "") => {
    let wanted = 0;
    let taken = 0;
    let answer = 0;
    let pressed = 0;
    const send = () => {
      if (answer === wanted || (pressed && Date.now() - pressed < PATIENCE_MS) || !find(id)) return;
      pressed = Date.now();
      find(shown)?.classList.add("deforum-asking");
      press(id);
    };
    return {
      ask: () => {
        wanted += 1;
        send();
      },
      take: () => (taken = wanted),
      answered: (number = taken) => {
        pressed = 0;
        answer = number;
        find(shown)?.classList.remove("deforum-asking");
        send();
      },
      remind: send,
      repeat: () => {
        if (answer === wanted) wanted += 1;
        send();
      },
      isIdle: () => !pressed,
    };
  };

  // Number of the request that HTML answers; none if the server refused the request's text.
  const numberOf = (html) => {
    const found = /^<span data-number="(\d+)">/.exec(html);
    return found ? Number(found[1]) : undefined;
  };

  // Commands are sent one by one: gradio drops an event while it waits for the answer to the one before.
  const commandQueue = (id) => {
    const waiting = [];
    let sent = 0;
    const next = () => {
      if (!waiting.length || (sent && Date.now() - sent < PATIENCE_MS)) return;
      sent = Date.now();
      press(id);
    };
    return {
      send: (command) => {
        waiting.push(command);
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

  const acting = commandQueue("deforum_act");
  const filling = commandQueue("deforum_fill");
  const look = singleRequest("deforum_look", "deforum_verdict");
  const draw = singleRequest("deforum_draw");
  const tick = singleRequest("deforum_tick");
  let timer = 0;
  let chosenJob = "";

  const KEPT = "deforum_held";
  const keptValues = () => {
    try {
      return JSON.parse(sessionStorage.getItem(KEPT)) || {};
    } catch {
      return {};
    }
  };

  // Values that differ from the initial ones, by setting; gradio reports each change. They survive a reload of the page in
  // the same window, except a dropped image. They are read before a user can change one, which keeps all of them anew.
  const changedValues = keptValues();
  const isReload = Object.keys(changedValues).length > 0;
  const keep = () => {
    const { init_image_box: _, ...plain } = changedValues;
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(plain));
    } catch {
      sessionStorage.removeItem(KEPT); // the storage is full
    }
  };

  const check = () => {
    clearTimeout(timer);
    timer = 0;
    look.ask();
  };

  // The first move of a slider is checked at once, the others when it rests. gradio also reports values that are known:
  // those of moved sliders and of loaded settings.
  const changed = (name, value, typed) => {
    if (name in changedValues && changedValues[name] === value) return;
    changedValues[name] = value;
    keep();
    if (!typed && !timer && look.isIdle()) {
      check();
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(check, typed ? TYPING_MS : MOVING_MS);
  };

  const takeAll = (values) => {
    tab.marks.names().forEach((name, place) => (changedValues[name] = values[place]));
    keep();
    check();
  };

  // gradio reports a moved slider late; the check need not wait for that.
  const moved = (event) => {
    const field = event.target.type === "range" && event.target.closest("[id^=deforum_field_]");
    if (field) changed(field.id.replace("deforum_field_", ""), Number(event.target.value), false);
  };

  // ---- inputs of the events ----

  const version = (id) => document.querySelector(`#${id} [data-version]`)?.dataset.version || "";

  const state = () => {
    tick.take();
    return JSON.stringify({
      job: chosenJob,
      run: version("deforum_run"),
      jobs: version("deforum_jobs"),
      tools: version("deforum_tools"),
    });
  };

  const shown = (act) => {
    const { job = "" } = document.querySelector("#deforum_run [data-job]")?.dataset || {};
    // The job of the last action stays in view, even if another one runs.
    chosenJob = job;
    return JSON.stringify({ act, job });
  };

  const theme = () => {
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem("deforum_theme", dark ? "dark" : "light");
  };

  const SHOWN_AFTER = ["resume", "pause", "cancel"];
  const FILLS = ["use", "preset"];
  const send = (command) => (FILLS.includes(command.act) ? filling : acting).send(command);

  const perform = ({ act, job, go: name, preset }) => {
    if (name) tab.marks.go(name);
    else if (act === "reach") find(job)?.scrollIntoView();
    else if (act === "generate") press("deforum_generate");
    else if (preset) send({ act: "preset", name: preset });
    else if (act === "theme") theme();
    else if (act === "undo") undo();
    else if (act === "show") {
      chosenJob = job;
      tick.ask();
      find("deforum_run")?.scrollIntoView({ block: "nearest" });
    } else {
      if (SHOWN_AFTER.includes(act)) chosenJob = job;
      send({ act, job });
    }
  };

  // Copies progress and image of the run into the bar at the bottom of a narrow page.
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

  // ---- presets: a status line names the loaded one and offers Undo ----

  let loading = {};
  let before = null;

  const undo = () => {
    if (!before) return;
    const values = Object.fromEntries(tab.marks.names().map((name, place) => [name, before.values[place]]));
    filling.send({ act: "kept", values, undone: before.title });
  };

  const presetLoaded = () => {
    const { preset = "", undone = "", before: values } = loading;
    loading = {};
    const card = preset && document.querySelector(`#deforum_interface [data-preset="${CSS.escape(preset)}"]`);
    const title = card ? card.querySelector("b").textContent : "";
    before = card ? { title, values } : null;
    const said = document.querySelector("#deforum_interface .deforum-preset-said");
    if (!said) return;
    said.hidden = !title && !undone;
    said.querySelector("span").textContent = title ? `Preset "${title}" loaded.` : `Preset "${undone}" undone.`;
    said.querySelector("button").hidden = !title;
    for (const one of document.querySelectorAll("#deforum_interface [data-preset]")) {
      one.classList.toggle("deforum-chosen", one === card);
      one.setAttribute("aria-pressed", String(one === card));
    }
  };

  const plotIfVisible = () => {
    const plot = find("deforum_plot");
    if (plot && plot.offsetParent !== null) draw.ask();
  };

  // Check again when a job has ended: the estimated time depends on finished jobs.
  let ended;
  const checkWhenJobEnded = () => {
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
      loading = { preset: act === "preset" ? name : "", undone, before: values };
      return command;
    },
    shown,
    state,
    draw: draw.ask,
    // Sets controls, also those of tabs that have not been opened, which are not in the page.
    set: (values) => filling.send({ act: "kept", values }),
    values: () => JSON.stringify(changedValues),
    looking: () => JSON.stringify({ number: look.take(), values: changedValues }),
    drawing: () => JSON.stringify({ number: draw.take(), values: changedValues }),
    check: takeAll,
    synced: (values) => {
      filling.answered();
      takeAll(values);
      tab.files.follow();
      presetLoaded();
    },
    checked: (verdict) => {
      look.answered(numberOf(verdict));
      setTimeout(tab.marks.read, 0);
      plotIfVisible();
      tab.timeline?.refresh();
    },
    drawn: (plots) => draw.answered(numberOf(plots)),
    ticked: () => {
      tick.answered();
      setTimeout(checkWhenJobEnded, 0);
    },
    acted: tick.ask,
    commanded: () => {
      acting.answered();
      tick.ask();
    },
    started: () => {
      chosenJob = document.querySelector("#deforum_verdict [data-queued]")?.dataset.queued || chosenJob;
      tab.marks.read();
      tick.ask();
    },
  });

  // ---- start ----

  const restore = () => {
    if (isReload) filling.send({ act: "kept", values: changedValues });
  };

  const toggleHelp = () => {
    const box = document.querySelector("#deforum_field_show_info_on_ui input");
    if (box) find("deforum_interface").classList.toggle("deforum-quiet", !box.checked);
  };

  const start = () => {
    if (!tab.marks || !tab.presses || !tab.files || !find("deforum_interface") || !find("deforum_tick")) return false;
    const wanted = find("deforum_own_page") && localStorage.getItem("deforum_theme");
    if (wanted) document.body.classList.toggle("dark", wanted === "dark");
    tab.presses.watch(perform);
    tab.files.watch();
    tab.files.follow();
    document.addEventListener("change", toggleHelp, true);
    document.addEventListener("input", moved);
    document.addEventListener("toggle", plotIfVisible, true);
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
    find("deforum_plots")?.addEventListener("click", () => setTimeout(plotIfVisible, 100));
    setInterval(() => {
      if (document.hidden || tab.timeline?.dragging() || find("deforum_interface")?.offsetParent === null) return;
      tick.repeat();
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
