// The chat: the conversation that is shown, and the answers that are being written.

import { byId, h, iconButton, say, toast } from "./dom.js";
import { Composer } from "./composer.js";
import { inspect } from "./inspect.js";
import { MessageView } from "./message.js";
import { SettingsPanel, lastSettings } from "./settings.js";
import * as store from "./store.js";
import { add, choose, newConversation, path, remove } from "./tree.js";
import { Turn, bodyOf } from "./turn.js";

const SAVE_MS = 1500; // between two times that an answer under way is kept

const EXAMPLES = ["Tell me a short story about a fox and a lantern.", "Explain how a pipeline of stages serves a language model.", "Write a haiku about patience."];

export class ChatView {
  #turns = new Map(); // by conversation
  #views = new Map(); // by message
  #frame = 0;
  #context = 0;

  /** `kept(conversation)` is called when the list of conversations should show a change. */
  constructor(kept) {
    this.kept = kept;
    this.scroller = h("div", { class: "scroller" });
    this.thread = h("div", { class: "thread", role: "log", "aria-live": "off", "aria-label": "Conversation" });
    this.down = iconButton("down", "To the newest message", () => this.#toEnd(true), { class: "icon to-end", hidden: true });
    this.composer = new Composer({ send: (written) => this.#send(written), stop: () => this.stop(), editLast: () => this.#editLast() });
    this.scroller.append(this.thread);
    byId("view-chat").append(this.scroller, h("div", { class: "bottom" }, this.down, this.composer.element));
    this.scroller.addEventListener("scroll", () => this.#scrolled());
    this.isAtEnd = true;
    this.settings = new SettingsPanel(() => this.#keepSettings());
    this.actions = {
      edit: (message, content) => this.#edit(message, content),
      regenerate: (message) => this.#answer(message.parent),
      goOn: (message) => this.#answer(message.parent, message),
      remove: (message) => this.#remove(message),
      branch: (message, away) => { choose(this.conversation, message, away); this.#draw(); this.#keep(); },
      answerCall: (message, call, content) => this.#answerCall(message, call, content),
      inspect: (message) => this.#inspect(message),
    };
    this.open(newConversation());
  }

  /** What /props says. */
  set server(props) {
    const settings = props.default_generation_settings ?? {};
    this.#context = settings.n_ctx ?? 0;
    this.settings.defaults = settings.params;
    this.#meter();
  }

  open(conversation) {
    this.conversation = this.#turns.get(conversation.id)?.conversation ?? conversation;
    this.conversation.settings ??= lastSettings();
    this.settings.show(this.conversation.settings);
    this.isAtEnd = true;
    this.#draw();
    this.composer.focus();
  }

  get isBusy() {
    return this.#turns.has(this.conversation.id);
  }

  stop() {
    this.#turns.get(this.conversation.id)?.turn.stop();
  }

  #send({ content, files }) {
    if (this.isBusy || !this.#isSound()) return false;
    const last = path(this.conversation).at(-1);
    if (!this.conversation.title) this.conversation.title = (content || files[0].name).replace(/\s+/g, " ").slice(0, 80);
    this.isAtEnd = true;
    return this.#answer(add(this.conversation, last?.id ?? "", { role: "user", content, files }).id);
  }

  #edit(message, content) {
    if (message.role === "assistant") {
      const { id: _id, children: _children, ...rest } = message;
      add(this.conversation, message.parent, { ...rest, content });
      this.#draw();
      this.#keep();
    } else this.#answer(add(this.conversation, message.parent, { role: "user", content, files: message.files ?? [] }).id);
  }

  #answerCall(message, call, content) {
    const end = path(this.conversation).at(-1);
    const result = add(this.conversation, end.id, { role: "tool", tool_call_id: call.id, content });
    const answered = new Set(path(this.conversation).filter(({ role }) => role === "tool").map(({ tool_call_id: id }) => id));
    if (message.calls.every(({ id }) => answered.has(id))) this.#answer(result.id);
    else { this.#draw(); this.#keep(); }
  }

  #remove(message) {
    if (this.isBusy) return;
    const count = 1 + message.children.length;
    if (count > 1 && !confirm("Delete this message and all that follow it?")) return;
    remove(this.conversation, message);
    this.#draw();
    this.#keep();
  }

  #editLast() {
    const last = path(this.conversation).findLast((message) => message.role === "user");
    if (last && !this.isBusy) this.#views.get(last.id)?.edit();
  }

  async #inspect(message) {
    try {
      await inspect(bodyOf(this.#before(message), this.conversation.settings), message.content);
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  #before(message) {
    const shown = path(this.conversation);
    return shown.slice(0, shown.findIndex(({ id }) => id === message.id));
  }

  /** Writes an answer below `parent`, or goes on with one. False if it cannot begin. */
  #answer(parent, prefill = null) {
    const { conversation } = this;
    if (this.isBusy || !this.#isSound()) return false;
    if (parent) choosePath(conversation, parent);
    const shown = path(conversation);
    const before = shown.slice(0, shown.findIndex(({ id }) => id === parent) + 1);
    const body = bodyOf(before, conversation.settings, prefill);
    const message = prefill ?? add(conversation, parent, { role: "assistant", content: "", reasoning: "", reasoning_ms: null, calls: [], parameters: conversation.settings.sampling });
    this.#run(conversation, message, body);
    return true;
  }

  /** Whether something can be asked with these settings; told, if not. */
  #isSound() {
    try {
      bodyOf([], this.conversation.settings);
      return true;
    } catch (error) {
      toast(error.message, "bad");
      return false;
    }
  }

  async #run(conversation, message, body) {
    let savedMs = performance.now();
    const turn = new Turn(message, body, () => {
      this.#later();
      if (performance.now() - savedMs > SAVE_MS) {
        savedMs = performance.now();
        this.#keep(conversation);
      }
    });
    this.#turns.set(conversation.id, { turn, conversation, message });
    this.#draw();
    this.#keep(conversation);
    const clock = setInterval(() => this.#later(), 250);
    await turn.run();
    clearInterval(clock);
    this.#turns.delete(conversation.id);
    await this.#keep(conversation);
    if (conversation !== this.conversation) return;
    this.#draw();
    say(message.error ? `Failed: ${message.error}` : `Answer complete: ${message.content.slice(0, 2000)}`);
    if (turn.failure?.status === 401) dispatchEvent(new CustomEvent("key-needed"));
    this.composer.focus();
  }

  /** Draws the running answer with the next frame. */
  #later() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const running = this.#turns.get(this.conversation.id);
      if (!running) return;
      this.#views.get(running.message.id)?.update(running.turn);
      this.#meter();
      this.#toEnd();
    });
  }

  #draw() {
    const running = this.#turns.get(this.conversation.id);
    const shown = path(this.conversation);
    this.#views = new Map(shown.map((message) => [message.id, new MessageView(message, this.conversation, this.actions)]));
    if (running) this.#views.get(running.message.id)?.update(running.turn);
    this.thread.replaceChildren(...(shown.length ? [...this.#views.values()].map((view) => view.element) : [this.#welcome()]));
    this.thread.classList.toggle("empty", !shown.length);
    this.composer.busy(Boolean(running));
    this.#meter();
    this.#toEnd();
  }

  #welcome() {
    const ask = (text) => h("button", { type: "button", onclick: () => this.#send({ content: text, files: [] }) }, text);
    return h("div", { class: "welcome" }, h("h1", {}, "What shall the model do?"), h("div", { class: "examples" }, EXAMPLES.map(ask)));
  }

  #meter() {
    const last = path(this.conversation).findLast((message) => message.timings || message.usage);
    const { timings = {}, usage } = last ?? {};
    const used = usage?.total_tokens ?? (timings.cache_n ?? 0) + (timings.prompt_n ?? 0) + (timings.predicted_n ?? 0);
    this.composer.fill(used, this.#context);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.isAtEnd = scrollHeight - scrollTop - clientHeight < 60;
    this.down.hidden = this.isAtEnd;
  }

  #toEnd(force = false) {
    if (force) this.isAtEnd = true;
    if (this.isAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #keepSettings() {
    if (this.conversation.title) this.#keep();
  }

  async #keep(conversation = this.conversation) {
    conversation.updated = Date.now();
    try {
      await store.put(structuredClone(conversation));
    } catch (error) {
      toast(`The conversation could not be kept: ${error.message}`, "bad");
    }
    this.kept(conversation);
  }
}

/** Chooses the branch that a message is on. */
function choosePath(conversation, id) {
  for (let message = conversation.messages[id]; message; message = conversation.messages[message.parent]) conversation.chosen[message.parent] = message.id;
}
