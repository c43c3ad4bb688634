// What the model really reads: the prompt that the template made, and its tokens.

import { call } from "./api.js";
import { copy, dialog, h, iconButton } from "./dom.js";

const MAX_TOKENS = 20_000; // shown; a page with more elements stands still

export async function inspect(body, answer) {
  const { prompt } = await call("apply-template", { body });
  const view = h("div", { class: "inspect" });
  const tabs = h("div", { class: "row", role: "tablist", "aria-label": "What to show" });
  const show = async (name, make) => {
    for (const tab of tabs.children) tab.setAttribute("aria-selected", String(tab.textContent === name));
    view.replaceChildren(h("p", { class: "status" }, "…"));
    try {
      view.replaceChildren(...(await make()));
    } catch (error) {
      view.replaceChildren(h("p", { class: "error" }, error.message));
    }
  };
  const views = { Prompt: async () => raw(prompt), "Tokens of the prompt": () => tokens(prompt, true), "Tokens of the answer": () => tokens(answer, false) };
  tabs.append(...Object.entries(views).map(([name, make]) => h("button", { type: "button", role: "tab", onclick: () => show(name, make) }, name)));
  dialog("Prompt and tokens", [tabs, view], { class: "wide" });
  await show("Prompt", views.Prompt);
}

function raw(prompt) {
  const button = iconButton("copy", "Copy prompt", () => copy(prompt, button));
  return [h("div", { class: "code" }, h("div", { class: "code-head" }, h("span", {}, `${prompt.length.toLocaleString("en")} letters`), button), h("pre", {}, h("code", {}, prompt)))];
}

async function tokens(text, isPrompt) {
  const found = (await call("tokenize", { body: { content: text, add_special: isPrompt, parse_special: isPrompt, with_pieces: true } })).tokens;
  const shown = found.slice(0, MAX_TOKENS).map(({ id, piece }, at) => h("span", { class: `token c${at % 5}`, title: `token ${id}, number ${at}` }, visible(piece)));
  const more = found.length > MAX_TOKENS ? h("p", {}, `… and ${found.length - MAX_TOKENS} more`) : null;
  return [h("p", { class: "status" }, `${found.length.toLocaleString("en")} tokens`), h("div", { class: "tokens" }, shown), more].filter(Boolean);
}

/** Bytes that are no text are shown as numbers. */
function visible(piece) {
  if (Array.isArray(piece)) return piece.map((byte) => `<${byte.toString(16).padStart(2, "0").toUpperCase()}>`).join("");
  return piece.replaceAll("\n", "↵\n").replaceAll("\t", "⇥\t") || "∅";
}
