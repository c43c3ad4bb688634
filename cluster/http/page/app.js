// The page: views, keys, and who tells whom.

import { ChatView } from "./chat.js";
import { ClusterView } from "./cluster.js";
import { drawConnect } from "./connect.js";
import { byId, icon } from "./dom.js";
import { Health } from "./health.js";
import { Sidebar } from "./sidebar.js";
import * as store from "./store.js";
import { newConversation } from "./tree.js";

const THEME = "ggml-cluster-theme";
const THEMES = { auto: "half", light: "sun", dark: "moon" };

let model = "";

const sidebar = new Sidebar({ go: (id) => (location.hash = `#/chat/${id}`), start: () => startChat() });
const chat = new ChatView((conversation) => {
  sidebar.refresh(chat.conversation.id);
  // A new conversation gets its address with its first message, unless somebody is on the way to another view.
  if (conversation === chat.conversation && asked().view === "chat") history.replaceState(null, "", `#/chat/${conversation.id}`);
});
const cluster = new ClusterView();
const health = new Health((props, name) => {
  model = name;
  byId("model").textContent = name || "ggml-cluster";
  document.title = `${name || "ggml-cluster"} · ggml-cluster`;
  chat.server = props;
  if (location.hash === "#/connect") drawConnect(model, () => health.check());
});

function startChat() {
  closeSide();
  chat.open(newConversation());
  if (location.hash === "#/chat") sidebar.refresh(chat.conversation.id);
  else location.hash = "#/chat";
}

// What the address asks for: a view, and in the chat a conversation.
function asked() {
  const [, view = "chat", id] = /^#\/(\w+)(?:\/(.+))?$/.exec(location.hash) ?? [];
  return { view: ["chat", "cluster", "connect"].includes(view) ? view : "chat", id };
}

async function route() {
  const { view: shown, id } = asked();
  for (const section of document.querySelectorAll(".view")) section.hidden = section.id !== `view-${shown}`;
  for (const tab of byId("tabs").children) tab.dataset.tab === shown ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current");
  document.body.dataset.view = shown;
  if (shown !== "chat") toggle("panel", "tune", false);
  if (shown === "cluster") cluster.show();
  else cluster.hide();
  if (shown === "connect") drawConnect(model, () => health.check());
  if (shown === "chat") await showChat(id);
  closeSide();
}

async function showChat(id) {
  if (id && id !== chat.conversation.id) {
    const found = await store.get(id).catch(() => undefined);
    if (found) chat.open(found);
    else history.replaceState(null, "", "#/chat");
  } else if (!id && Object.keys(chat.conversation.messages).length) chat.open(newConversation());
  sidebar.refresh(chat.conversation.id);
}

function toggle(id, button, isOpen = byId(id).hidden) {
  byId(id).hidden = !isOpen;
  byId(button).setAttribute("aria-expanded", String(isOpen));
}

function openSide(isOpen = !document.body.classList.contains("side")) {
  document.body.classList.toggle("side", isOpen);
  byId("menu").setAttribute("aria-expanded", String(isOpen));
  byId("veil").hidden = !isOpen;
}

function closeSide() {
  openSide(false);
}

function drawTheme() {
  const theme = localStorage.getItem(THEME) ?? "auto";
  document.documentElement.dataset.theme = theme;
  byId("theme").replaceChildren(icon(THEMES[theme] ?? "half"));
  byId("theme").setAttribute("aria-label", `Theme: ${theme}`);
  byId("theme").title = `Theme: ${theme}`;
}

function nextTheme() {
  const names = Object.keys(THEMES);
  localStorage.setItem(THEME, names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
  drawTheme();
}

function keyed(event) {
  const isCommand = event.ctrlKey || event.metaKey;
  if (isCommand && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openSide(true);
    sidebar.focus();
  } else if (isCommand && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    startChat();
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (document.body.classList.contains("side")) closeSide();
    else chat.stop();
  }
}

byId("menu").append(icon("menu"));
byId("tune").append(icon("tune"));
byId("menu").addEventListener("click", () => openSide());
byId("veil").addEventListener("click", closeSide);
byId("tune").addEventListener("click", () => toggle("panel", "tune"));
byId("theme").addEventListener("click", nextTheme);
addEventListener("keydown", keyed);
addEventListener("hashchange", route);
addEventListener("renamed", ({ detail }) => { if (chat.conversation.id === detail.id) chat.conversation.title = detail.title || chat.conversation.title; });
drawTheme();
route();
health.check();
