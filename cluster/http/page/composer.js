// Where one writes: text, files, send and stop, and how full the context is.

import { h, icon, iconButton, toast } from "./dom.js";

const MAX_FILE_BYTES = 512 * 1024;
const LONG_PASTE = 4000; // letters; more becomes a file

const isPhone = () => matchMedia("(pointer: coarse)").matches;

export class Composer {
  #files = [];

  /** `send({content, files})`, `stop()` and `editLast()` are what it calls. */
  constructor({ send, stop, editLast }) {
    this.send = send;
    this.text = h("textarea", { id: "prompt", rows: 1, placeholder: "Message", "aria-label": "Message", enterkeyhint: "send", autofocus: true,
      oninput: () => this.#grow(), onpaste: (event) => this.#paste(event), onkeydown: (event) => this.#keyed(event, editLast) });
    this.picker = h("input", { type: "file", multiple: true, hidden: true, "aria-label": "Text files", onchange: () => { this.#take(this.picker.files); this.picker.value = ""; } });
    this.list = h("ul", { class: "files", "aria-label": "Attached files" });
    this.button = h("button", { id: "send", type: "button", class: "round", onclick: () => (this.isBusy ? stop() : this.#submit()) });
    this.meter = h("span", { class: "meter", title: "Tokens of this chat, and how many fit" });
    this.note = h("span", { class: "note" });
    this.element = h("form", { id: "composer", onsubmit: (event) => { event.preventDefault(); this.#submit(); } },
      this.list,
      h("div", { class: "box" }, iconButton("clip", "Attach text files", () => this.picker.click()), this.picker, this.text, this.button),
      h("div", { class: "foot" }, this.note, this.meter));
    this.busy(false);
    this.#listenForDrops();
  }

  busy(isBusy) {
    this.isBusy = isBusy;
    this.button.replaceChildren(icon(isBusy ? "stop" : "send"));
    this.button.setAttribute("aria-label", isBusy ? "Stop the answer (Esc)" : "Send");
    this.button.title = isBusy ? "Stop (Esc)" : "Send (Enter)";
    this.button.classList.toggle("stop", isBusy);
  }

  focus() {
    if (!isPhone()) this.text.focus();
  }

  /** How many tokens the chat takes, of those that fit; 0 if not known. */
  fill(used, limit) {
    const share = limit ? Math.min(1, used / limit) : 0;
    const bar = h("i");
    bar.style.setProperty("--share", share);
    this.meter.className = `meter ${share > 0.9 ? "bad" : share > 0.75 ? "warn" : ""}`;
    this.meter.replaceChildren(...(limit ? [`${used.toLocaleString("en")} / ${limit.toLocaleString("en")} tokens`, bar] : []));
    this.note.textContent = share > 0.9 ? "The context is nearly full: soon there is no room for an answer." : "";
  }

  #submit() {
    const content = this.text.value.trim();
    if (this.isBusy || (!content && !this.#files.length)) return;
    const files = this.#files;
    if (this.send({ content, files }) === false) return;
    this.#files = [];
    this.text.value = "";
    this.#grow();
    this.#drawFiles();
  }

  #keyed(event, editLast) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !isPhone()) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && this.text.value === "") {
      event.preventDefault();
      editLast();
    }
  }

  #grow() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight, innerHeight * 0.4)}px`;
  }

  #paste(event) {
    const { files } = event.clipboardData;
    const text = event.clipboardData.getData("text/plain");
    if (files.length) this.#take(files);
    else if (text.length > LONG_PASTE) this.#add({ name: `pasted-${this.#files.length + 1}.txt`, text });
    else return;
    event.preventDefault();
  }

  #listenForDrops() {
    const over = (isOver) => this.element.classList.toggle("over", isOver);
    addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); over(true); } });
    addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
    addEventListener("drop", (event) => { if (!event.dataTransfer?.files.length) return; event.preventDefault(); over(false); this.#take(event.dataTransfer.files); });
  }

  async #take(files) {
    for (const file of files) {
      if (file.size > MAX_FILE_BYTES) toast(`${file.name} has ${Math.round(file.size / 1024)} KB; at most 512 KB fit a message`, "bad");
      else {
        try {
          this.#add({ name: file.name, text: new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()) });
        } catch {
          toast(`${file.name} is not a text file`, "bad");
        }
      }
    }
  }

  #add(file) {
    this.#files.push(file);
    this.#drawFiles();
    this.focus();
  }

  #drawFiles() {
    this.list.replaceChildren(...this.#files.map((file, at) => h("li", {}, icon("clip"), file.name, h("small", {}, ` ${file.text.length.toLocaleString("en")} letters`),
      iconButton("close", `Remove ${file.name}`, () => { this.#files.splice(at, 1); this.#drawFiles(); }, { class: "icon small" }))));
  }
}
