"use strict";
// Without this script, each view shows its first slice.
for (const view of document.querySelectorAll(".view")) {
  const frames = view.querySelectorAll("img");
  const slider = view.querySelector("input");
  const output = view.querySelector("output");
  const show = () => {
    const shown = frames[slider.valueAsNumber];
    for (const frame of frames) frame.hidden = frame !== shown;
    output.value = shown.dataset.place;
    slider.setAttribute("aria-valuetext", shown.dataset.place);
  };
  slider.addEventListener("input", show);
  slider.hidden = false;
  show();
}
// The Tab key skips tables that do not scroll sideways.
const stops = () => {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex");
  }
};
addEventListener("resize", stops);
stops();
