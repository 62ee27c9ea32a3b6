// For which button a press counts while lists are drawn anew, and where the keyboard stays.
// One of five files in any order: each leaves its part in window.deforumTab, and deforum.js waits for the others.
(() => {
  "use strict";
  const tab = (window.deforumTab ??= {});
  if (tab.presses) return;

  const STILL_PX = 4;
  let obey = () => {};

  const PRESSABLE = ":is([data-act], [data-go], [data-preset])";
  const buttonAt = (event) => event.target.closest?.(`#deforum_interface ${PRESSABLE}`);

  // A list may be drawn anew while somebody is at one of its buttons, which then is gone or has become that of another
  // job. What counts is what the button was when it was gone to.
  const goneTo = (event) => {
    const button = buttonAt(event);
    return button ? { button, was: { ...button.dataset }, x: event.clientX, y: event.clientY } : null;
  };
  const alike = (button, was) => ["act", "job", "go", "preset"].every((key) => button.dataset[key] === was[key]);

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
    const pressable = document.querySelectorAll(`#deforum_interface ${PRESSABLE}`);
    const again = Array.from(pressable).find((one) => alike(one, was));
    if (again) again.focus({ preventScroll: true });
    else button.blur();
  };

  // Tell `does` what each pressed button is for: its data.
  const watch = (does) => {
    obey = does;
    document.addEventListener("click", clicked);
    document.addEventListener("pointerdown", pressed, true);
    document.addEventListener("pointerup", released, true);
    document.addEventListener("focusin", (event) => (focused = goneTo(event)));
    document.addEventListener("focusout", (event) => {
      if (event.target.isConnected) focused = null;
    });
  };

  tab.presses = { watch, keepFocus };
})();
