// The texts that are seen now whose contrast to what lies behind them is below what WCAG 2 asks of level AA.
(root) => {
  // Colours that are on their way are measured where they come to rest.
  for (const change of document.getAnimations()) if (change instanceof CSSTransition) change.finish();

  const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const over = (color, ground, share) => ground.map((low, index) => low * (1 - share) + color[index] * share);
  const bright = (color) =>
    color
      .map((value) => value / 255)
      .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);

  const contrast = (element) => {
    const behind = [];
    let opacity = 1;
    for (let one = element; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      opacity *= Number(style.opacity);
      behind.push(numbers(style.backgroundColor));
    }
    let ground = [255, 255, 255];
    for (const [red, green, blue, share = 1] of behind.reverse()) ground = over([red, green, blue], ground, share);
    const text = numbers(getComputedStyle(element).color);
    const seen = over(text, ground, (text[3] ?? 1) * opacity);
    const [low, high] = [bright(ground), bright(seen)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };

  const needed = (element) => {
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    return size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  };

  const faint = new Map();
  const texts = document.createTreeWalker(document.querySelector(root), NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || seen.has(element) || element.closest("svg, script, style")) continue;
    seen.add(element);
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const ratio = contrast(element);
    if (ratio < needed(element)) faint.set(`${element.tagName}.${element.className} ${element.innerText.slice(0, 40)}`, ratio);
  }
  for (const field of document.querySelectorAll(`${root} :is(input[type="text"], input[type="number"], input:not([type]), textarea)`)) {
    if (field.value && field.checkVisibility() && contrast(field) < 4.5) faint.set(`${field.tagName} ${field.value.slice(0, 40)}`, contrast(field));
  }
  return Object.fromEntries(faint);
};
