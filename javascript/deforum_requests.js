// Background requests, which are repeated until the server answers.
// gradio shows an error for each failed request, and the tab sends one every second: also while a WebUI restarts, a
// laptop wakes up or the page is left.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.requests) return;

  const READING = ["deforum_look", "deforum_draw", "deforum_tick", "deforum_fill", "deforum_ask_timeline"];
  const AGAIN_MS = 1000;
  // Errors of the request itself, which gradio shows.
  const REFUSALS = [400, 413, 422];
  const EVENT = /(gradio_api\/)?run\/predict([?/].*)?$/;
  const plain = window.fetch.bind(window);
  const soon = () => new Promise((resolve) => setTimeout(resolve, AGAIN_MS));

  // Numbers of the tab's own events in gradio's description of the page; they depend on a WebUI's other extensions.
  const numbersIn = ({ components = [], dependencies = [] }) => {
    const buttons = new Map(components.map(({ id, props }) => [id, props?.elem_id]));
    const named = dependencies.map((event, place) => {
      const button = event.targets.flat().map((id) => buttons.get(id)).find((id) => READING.includes(id));
      return event.backend_fn && button ? [event.id ?? place, button] : null;
    });
    return new Map(named.filter(Boolean));
  };
  let numbers = null;

  const numberOf = (input, init) => {
    if (init?.method !== "POST" || typeof init.body !== "string" || !EVENT.test(String(input))) return null;
    numbers ??= numbersIn(window.gradio_config || {});
    const number = JSON.parse(init.body).fn_index;
    return numbers.has(number) ? number : null;
  };

  // A short interruption is not reported.
  let failed = 0;
  const report = (state) => {
    failed = state === "answers" ? 0 : failed + 1;
    const shown = failed > 2 ? state : "answers";
    for (const each of ["silent", "other"])
      document.getElementById("deforum_interface")?.classList.toggle(`deforum-server-${each}`, each === shown);
  };

  // After a restart the server may use the event's number for another event.
  const sameAs = async (number, input) => {
    const answer = await plain(String(input).replace(EVENT, "config"));
    return answer.ok && numbersIn(await answer.json()).get(number) === numbers.get(number);
  };

  const sent = async (number, input, init) => {
    for (let again = false; ; again = true) {
      try {
        if (again && !(await sameAs(number, input))) report("other");
        else {
          const answer = await plain(input, init);
          const body = await answer.arrayBuffer(); // the body may be cut off, too
          if (answer.ok || REFUSALS.includes(answer.status)) {
            report("answers");
            return new Response(body, answer);
          }
          report("silent");
        }
      } catch (error) {
        if (init.signal?.aborted) throw error;
        report("silent");
      }
      await soon();
    }
  };

  window.fetch = (input, init) => {
    const number = numberOf(input, init);
    return number === null ? plain(input, init) : sent(number, input, init);
  };
  tab.requests = {};
})();
