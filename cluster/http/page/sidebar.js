// The conversations: find, open, rename, delete, to files and from them.

import { byId, dialog, download, h, iconButton, toast } from "./dom.js";
import * as store from "./store.js";
import { fromFile } from "./tree.js";

const DAY_MS = 86_400_000;
const FORMAT = "ggml-cluster-conversations";
const MAX_FILE_BYTES = 200 << 20;

export class Sidebar {
  #all = [];
  #open = "";

  /** `go(id)` shows a conversation, `start()` a new one. */
  constructor({ go, start }) {
    Object.assign(this, { go, start });
    this.find = h("input", { type: "search", placeholder: "Search", "aria-label": "Search conversations", oninput: () => this.#draw() });
    this.list = h("div", { class: "list scroll" });
    this.picker = h("input", { type: "file", accept: ".json,application/json", hidden: true, "aria-label": "File of conversations", onchange: () => this.#import() });
    byId("side").append(
      h("button", { type: "button", class: "new primary", onclick: start }, "New chat"),
      this.find, this.list,
      h("footer", {}, h("button", { type: "button", onclick: () => this.#export() }, "Export all"), h("button", { type: "button", onclick: () => this.picker.click() }, "Import"), this.picker),
    );
  }

  async refresh(open = this.#open) {
    this.#open = open;
    try {
      this.#all = await store.all();
    } catch (error) {
      toast(`The browser keeps no conversations: ${error.message}`, "bad");
    }
    this.#draw();
  }

  focus() {
    this.find.focus();
    this.find.select();
  }

  #draw() {
    const words = this.find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.#all.filter((conversation) => matches(conversation, words));
    const groups = Map.groupBy ? Map.groupBy(found, when) : groupBy(found, when);
    this.list.replaceChildren(...[...groups].map(([title, items]) => h("section", {}, h("h3", {}, title), h("ul", {}, items.map((item) => this.#item(item))))));
    if (!found.length) this.list.append(h("p", { class: "status" }, words.length ? "Nothing found." : "Conversations are kept in this browser only."));
  }

  #item(conversation) {
    const { id, title } = conversation;
    return h("li", { class: id === this.#open ? "open" : null },
      h("a", { href: `#/chat/${id}`, "aria-current": id === this.#open ? "page" : null, title }, title || "Untitled"),
      h("span", { class: "acts" },
        iconButton("edit", `Rename ${title}`, () => this.#rename(conversation), { class: "icon small" }),
        iconButton("trash", `Delete ${title}`, () => this.#delete(conversation), { class: "icon small" })));
  }

  #rename(conversation) {
    const field = h("input", { value: conversation.title, maxlength: 200, "aria-label": "Title" });
    const form = h("form", { onsubmit: async (event) => {
      event.preventDefault();
      await store.put({ ...conversation, title: field.value.trim() || conversation.title });
      dispatchEvent(new CustomEvent("renamed", { detail: { id: conversation.id, title: field.value.trim() } }));
      shown.close();
      this.refresh();
    } }, field, h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Rename")));
    const shown = dialog("Rename", form);
    field.select();
  }

  async #delete(conversation) {
    if (!confirm(`Delete "${conversation.title}"?`)) return;
    await store.drop(conversation.id);
    if (conversation.id === this.#open) this.start();
    this.refresh();
  }

  #export() {
    const file = { format: FORMAT, version: 1, exported: new Date().toISOString(), conversations: this.#all };
    download(`conversations-${new Date().toISOString().slice(0, 10)}.json`, JSON.stringify(file, null, 1));
  }

  async #import() {
    const [file] = this.picker.files;
    this.picker.value = "";
    try {
      if (file.size > MAX_FILE_BYTES) throw new Error("it is larger than 200 MB");
      const given = JSON.parse(await file.text());
      if (given?.format !== FORMAT || !Array.isArray(given.conversations)) throw new Error("it is no file of conversations");
      const made = given.conversations.map(fromFile);
      for (const conversation of made) await store.put(conversation);
      toast(`${made.length} conversations were imported`);
      this.refresh();
    } catch (error) {
      toast(`${file.name} was not imported: ${error.message}`, "bad");
    }
  }
}

function matches(conversation, words) {
  if (!words.length) return true;
  const text = [conversation.title, ...Object.values(conversation.messages).map(({ content }) => content)].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

function when({ updated }) {
  const days = Math.floor((new Date().setHours(24, 0, 0, 0) - updated) / DAY_MS);
  return days < 1 ? "Today" : days < 2 ? "Yesterday" : days < 8 ? "Last seven days" : "Earlier";
}

function groupBy(items, name) {
  const groups = new Map();
  for (const item of items) groups.set(name(item), [...(groups.get(name(item)) ?? []), item]);
  return groups;
}
