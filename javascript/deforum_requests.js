// Requests that nobody pressed a button for: they are sent again until the server answers.
// gradio tells of each request that fails, in a corner of the page, and the tab sends one every second: also while a
// WebUI is started again, a laptop wakes up or the page is left.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.requests) return;

  const READING = ["deforum_look", "deforum_draw", "deforum_tick", "deforum_fill"];
  const AGAIN_MS = 1000;
  // What a server says of the request itself is for gradio to show.
  const REFUSALS = [400, 413, 422];
  const EVENT = /(gradio_api\/)?run\/predict([?/].*)?$/;
  const plain = window.fetch.bind(window);
  const soon = () => new Promise((resolve) => setTimeout(resolve, AGAIN_MS));

  // The numbers of the tab's own events in gradio's description of a page, which differ with a host's other extensions.
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

  // What stays away for a moment is not worth a word.
  let failed = 0;
  const told = (state) => {
    failed = state === "answers" ? 0 : failed + 1;
    const shown = failed > 2 ? state : "answers";
    for (const each of ["silent", "other"])
      document.getElementById("deforum_interface")?.classList.toggle(`deforum-server-${each}`, each === shown);
  };

  // A server that was started again may have given the event's number to another one.
  const sameAs = async (number, input) => {
    const answer = await plain(String(input).replace(EVENT, "config"));
    return answer.ok && numbersIn(await answer.json()).get(number) === numbers.get(number);
  };

  const sent = async (number, input, init) => {
    for (let again = false; ; again = true) {
      try {
        if (again && !(await sameAs(number, input))) told("other");
        else {
          const answer = await plain(input, init);
          const body = await answer.arrayBuffer(); // which may be cut off as well
          if (answer.ok || REFUSALS.includes(answer.status)) {
            told("answers");
            return new Response(body, answer);
          }
          told("silent");
        }
      } catch (error) {
        if (init.signal?.aborted) throw error;
        told("silent");
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
