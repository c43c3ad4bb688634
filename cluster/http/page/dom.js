// Elements, made without HTML: text is always a text node.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Properties that begin with "on" are listeners; null and false are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value" || name === "checked" || name === "textContent") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  tune: "M4 8h9m5 0h2M4 16h2m5 0h9M15.5 5.5v5M8.5 13.5v5",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5m-6 6 6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v11H9zM5 15V4h10",
  check: "m5 13 4 4L19 7",
  edit: "m4 20 1-4L16 5l3 3L8 19z",
  again: "M19 12a7 7 0 1 1-2-5m2-3v4h-4",
  go: "M5 5v14l7-7zm8 0v14l7-7z",
  trash: "M5 7h14M10 7V4h4v3m3 0-1 13H8L7 7",
  left: "m14 6-6 6 6 6",
  right: "m10 6 6 6-6 6",
  down: "m6 10 6 6 6-6",
  clip: "m19 11-7.5 7.5a4.5 4.5 0 0 1-6.4-6.4L12.7 4.600a3 3 0 0 1 4.300 4.300l-7.500 7.500a1.500 1.500 0 0 1-2.200-2.200L14 7.500",
  close: "m6 6 12 12M18 6 6 18",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zm10 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  search: "m20 20-4.500-4.500M11 17a6 6 0 1 0 0-12 6 6 0 0 0 0 12z",
  tool: "m14 7 3 3M5 19l9-9m1-5a4 4 0 0 1 4.500 5.500L16 13l-5-5 2.500-3.500",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2m0 14v2M3 12h2m14 0h2M6 6l1 1m10 10 1 1m0-12-1 1M7 17l-1 1",
  moon: "M20 14A8.500 8.500 0 0 1 10 4a8 8 0 1 0 10 10z",
  half: "M12 4a8 8 0 1 0 0 16zm0 0a8 8 0 1 1 0 16",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "glyph" }, svg("path", { d: PATHS[name] }));
}

/** A button with a picture; `label` is what it is called, and its tooltip. */
export function iconButton(name, label, onclick, properties = {}) {
  return h("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...properties }, icon(name));
}

export const byId = (id) => document.getElementById(id);

/** Told to those who do not see. */
export function say(text) {
  byId("said").textContent = text;
}

export function toast(text, kind = "") {
  const shown = h("div", { class: `toast ${kind}` }, text);
  byId("toasts").append(shown);
  setTimeout(() => shown.remove(), 6000);
}

/** Into the clipboard, also where the page has no right to the newer way (plain HTTP from another machine). */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "hidden-text", value: text });
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    if (!isCopied) return toast("The browser does not let this page copy", "bad");
  }
  say("Copied");
  if (button) {
    button.replaceChildren(icon("check"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  }
}

/** A modal dialog; the element is removed when it is closed. */
export function dialog(title, content, properties = {}) {
  const shown = h(
    "dialog",
    { "aria-label": title, onclose: () => shown.remove(), onclick: (event) => event.target === shown && shown.close(), ...properties },
    h("header", {}, h("h2", {}, title), iconButton("close", "Close", () => shown.close())),
    h("div", { class: "body" }, content),
  );
  document.body.append(shown);
  shown.showModal();
  return shown;
}

export function download(name, text, type = "application/json") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
