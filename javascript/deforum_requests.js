// The tab's requests while the server does not answer: a WebUI restarts, a laptop wakes up, the page is left.
// Background requests are repeated until it answers, since gradio shows an error for each failed one, and the tab sends one
// every second. A user's action fails, and only that: gradio would give up the whole page for one unanswered request.
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

  // Numbers of the tab's own events in gradio's description of the page, with the ids of their buttons; they depend on a
  // WebUI's other extensions.
  const numbersIn = ({ components = [], dependencies = [] }) => {
    const buttons = new Map(components.map(({ id, props }) => [id, props?.elem_id]));
    const named = dependencies.map((event, place) => {
      const button = event.targets.flat().map((id) => buttons.get(id)).find((id) => id?.startsWith("deforum_"));
      return event.backend_fn && button && event.trigger_after == null ? [event.id ?? place, button] : null;
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

  // Says why an action failed, until the next one. A WebUI's gradio does so itself.
  const say = (text) => {
    const page = document.getElementById("deforum_own_page") && document.getElementById("deforum_interface");
    document.getElementById("deforum_refused")?.remove();
    if (!page || !text) return;
    const said = document.createElement("p");
    said.id = "deforum_refused";
    said.setAttribute("role", "alert");
    said.textContent = text;
    page.prepend(said);
  };

  const answered = async (input, init) => {
    try {
      const answer = await plain(input, init);
      return new Response(await answer.arrayBuffer(), answer);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      const message = "The server did not answer. Try again when it responds.";
      return new Response(JSON.stringify({ error: message }), { status: 503 });
    }
  };

  const sentOnce = async (input, init) => {
    say("");
    const answer = await answered(input, init);
    if (!answer.ok) {
      const { error } = await answer.clone().json().catch(() => ({}));
      say(error || `The server answered with status ${answer.status}.`);
    }
    return answer;
  };

  window.fetch = (input, init) => {
    const number = numberOf(input, init);
    if (number === null) return plain(input, init);
    return READING.includes(numbers.get(number)) ? sent(number, input, init) : sentOnce(input, init);
  };
  tab.requests = {};
})();
