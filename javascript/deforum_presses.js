// Which button a press counts for, and which one keeps the focus, while lists are redrawn.
// The scripts load in any order: each adds its part to window.deforumTab, and deforum.js waits for the others.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.presses) return;

  const STILL_PX = 4;
  let perform = () => {};

  const PRESSABLE = ":is([data-act], [data-go], [data-preset])";
  const buttonAt = (event) => event.target.closest?.(`#deforum_interface ${PRESSABLE}`);

  // A list may be redrawn while a user presses one of its buttons; the button then no longer exists or belongs to another
  // job. What counts is the button's data when the pointer or the focus reached it.
  const targetOf = (event) => {
    const button = buttonAt(event);
    return button ? { button, was: { ...button.dataset }, x: event.clientX, y: event.clientY } : null;
  };
  const isSame = (button, was) => ["act", "job", "go", "preset"].every((key) => button.dataset[key] === was[key]);

  let down = null;
  const pressed = (event) => (down = targetOf(event));

  // A browser sends no click if the button was redrawn while the mouse was down, so the press is performed here. A touch
  // counts where it ends.
  const released = (event) => {
    if (event.pointerType !== "mouse" || !down) return;
    const { button, was, x, y } = down;
    const stays = button.isConnected && isSame(button, was) && button.contains(event.target);
    if (stays || Math.hypot(event.clientX - x, event.clientY - y) > STILL_PX) return;
    perform(was);
    down.performed = true;
  };

  const clicked = (event) => {
    const started = event.detail ? down : null; // 0 for clicks by keyboard or script
    if (started) down = null;
    if (started?.performed) return;
    const at = started?.button.contains(event.target) ? started : targetOf(event);
    if (at) perform(at.was);
  };

  let focused = null;
  const keepFocus = () => {
    if (!focused) return;
    const { button, was } = focused;
    if (button.isConnected && isSame(button, was)) return;
    if (document.activeElement !== button && document.activeElement !== document.body) return;
    const pressable = document.querySelectorAll(`#deforum_interface ${PRESSABLE}`);
    const again = Array.from(pressable).find((one) => isSame(one, was));
    if (again) again.focus({ preventScroll: true });
    else button.blur();
  };

  // Calls `handler` with the data of each pressed button.
  const watch = (handler) => {
    perform = handler;
    document.addEventListener("click", clicked);
    document.addEventListener("pointerdown", pressed, true);
    document.addEventListener("pointerup", released, true);
    document.addEventListener("focusin", (event) => (focused = targetOf(event)));
    document.addEventListener("focusout", (event) => {
      if (event.target.isConnected) focused = null;
    });
  };

  tab.presses = { watch, keepFocus };
})();
