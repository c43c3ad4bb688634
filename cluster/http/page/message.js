// One message on the page.

import { copy, h, icon, iconButton } from "./dom.js";
import { Rendered } from "./markdown.js";
import { siblings } from "./tree.js";

const seconds = (ms) => (ms < 60_000 ? `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`);

const ENDS = { length: "stopped at the limit of tokens", context: "the context is full", stopped: "stopped" };

export class MessageView {
  /** `act` has what the buttons do: edit, regenerate, goOn, remove, branch, answerCall. */
  constructor(message, conversation, act) {
    Object.assign(this, { message, conversation, act, turn: null });
    this.body = h("div", { class: "text" });
    this.rendered = new Rendered(this.body);
    this.thought = h("div", { class: "text" });
    this.thoughts = new Rendered(this.thought);
    this.thoughtTitle = h("summary");
    this.reasoning = h("details", { class: "reasoning" }, this.thoughtTitle, this.thought);
    this.calls = h("div", { class: "calls" });
    this.status = h("p", { class: "status" });
    this.error = h("p", { class: "error", role: "alert" });
    this.tools = h("div", { class: "tools" });
    this.element = h("article", { class: `message ${message.role}`, "data-id": message.id, "aria-label": { user: "You", assistant: "Answer", tool: "Result of a tool" }[message.role] },
      message.role === "assistant" ? [this.reasoning, this.body, this.calls, this.status, this.error, this.tools] : this.#own());
    this.update();
  }

  #own() {
    const files = (this.message.files ?? []).map((file) => h("details", { class: "file" }, h("summary", {}, icon("clip"), file.name), h("pre", {}, file.text)));
    const label = this.message.role === "tool" && h("div", { class: "label" }, icon("tool"), "Result of a tool");
    return [files, h("div", { class: "bubble" }, label, this.message.content), this.tools];
  }

  /** Draws what has changed. `turn`: the answer is still being written. */
  update(turn = null) {
    this.turn = turn;
    const { message } = this;
    if (message.role === "assistant") {
      this.rendered.show(message.content);
      this.#updateReasoning();
      this.#updateCalls();
      this.#updateStatus();
      this.error.textContent = message.error ?? "";
      this.error.hidden = !message.error;
      this.element.setAttribute("aria-busy", String(Boolean(turn)));
    }
    this.element.classList.toggle("live", Boolean(turn));
    if (turn) this.tools.replaceChildren();
    else this.#updateTools();
  }

  #updateReasoning() {
    const { reasoning, reasoning_ms: ms, content } = this.message;
    this.reasoning.hidden = !reasoning;
    if (!reasoning) return;
    this.thoughts.show(reasoning);
    const isThinking = this.turn && ms === null && !content;
    this.thoughtTitle.textContent = isThinking ? "Thinking…" : Number.isFinite(ms) ? `Thought for ${seconds(ms)}` : "Thoughts";
    this.thoughtTitle.classList.toggle("shimmer", Boolean(isThinking));
  }

  #updateCalls() {
    const calls = (this.message.calls ?? []).filter(Boolean);
    const isAnswered = (call) => this.message.children.some((id) => this.conversation.messages[id]?.tool_call_id === call.id);
    const state = JSON.stringify([calls, Boolean(this.turn), calls.map(isAnswered)]);
    if (state === this.callState) return;
    this.callState = state;
    this.calls.replaceChildren(...calls.map((call) => {
      const result = h("textarea", { rows: 2, placeholder: "What the tool answers", "aria-label": `Result of ${call.name}` });
      const answer = h("form", { class: "answer", onsubmit: (event) => { event.preventDefault(); this.act.answerCall(this.message, call, result.value); } },
        result, h("button", { type: "submit" }, "Give result"));
      return h("div", { class: "call" }, h("div", { class: "label" }, icon("tool"), h("b", {}, call.name || "…"), " is called with"), h("pre", {}, h("code", {}, pretty(call.arguments))),
        !this.turn && !isAnswered(call) && answer);
    }));
  }

  #updateStatus() {
    const { message, turn } = this;
    this.status.classList.toggle("shimmer", Boolean(turn?.isReading));
    if (turn?.isReading) {
      const share = turn.progress;
      const what = share !== null && share < 1 ? `Reading the prompt, ${Math.round(share * 100)} %` : "Waiting for the first token";
      this.status.textContent = turn.elapsedMs < 150 ? "" : `${what} · ${seconds(turn.elapsedMs)}`;
    } else if (turn) {
      const { tokens, perSecond } = turn.speed;
      this.status.textContent = `${tokens} tokens · ${perSecond.toFixed(1)} tokens/s · ${seconds(turn.elapsedMs)}`;
    } else this.status.textContent = summary(message);
  }

  #updateTools() {
    const { message, act } = this;
    const ids = siblings(this.conversation, message.parent);
    const at = ids.indexOf(message.id);
    const branches = ids.length > 1 && h("span", { class: "branches", role: "group", "aria-label": "Versions" },
      iconButton("left", "Version before", () => act.branch(message, -1), { disabled: at === 0 }), `${at + 1} / ${ids.length}`,
      iconButton("right", "Next version", () => act.branch(message, 1), { disabled: at === ids.length - 1 }));
    const button = iconButton("copy", "Copy message", () => copy(message.content, button));
    const isAnswer = message.role === "assistant";
    const canGoOn = isAnswer && !message.calls?.length && message.content && !message.children.length;
    this.tools.replaceChildren(...[
      branches, button,
      message.role === "user" && iconButton("edit", "Edit message", () => this.edit()),
      isAnswer && iconButton("edit", "Edit answer", () => this.edit()),
      isAnswer && iconButton("again", "Regenerate", () => act.regenerate(message)),
      canGoOn && iconButton("go", "Continue the answer", () => act.goOn(message)),
      isAnswer && iconButton("eye", "Prompt and tokens", () => act.inspect(message)),
      iconButton("trash", "Delete from here", () => act.remove(message)),
    ].filter(Boolean));
  }

  /** Puts a text field in the place of the message. */
  edit() {
    const { message } = this;
    const field = h("textarea", { class: "editing", "aria-label": "Edit message", value: message.content, rows: Math.min(16, message.content.split("\n").length + 1) });
    const done = () => form.replaceWith(...shown);
    const save = () => { done(); if (field.value.trim()) this.act.edit(message, field.value.trim()); };
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); save(); } }, field,
      h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, message.role === "user" ? "Send" : "Save"), h("button", { type: "button", onclick: done }, "Cancel")));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); done(); }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    });
    const shown = [...this.element.children];
    this.element.replaceChildren(form);
    field.focus();
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // it is still being written
  }
}

/** What is said of an answer that is complete. */
function summary({ timings, finish, usage, model }) {
  const parts = [];
  const tokens = timings?.predicted_n ?? usage?.completion_tokens;
  if (tokens) parts.push(`${tokens} tokens`);
  if (timings?.predicted_per_second) parts.push(`${timings.predicted_per_second.toFixed(1)} tokens/s`);
  if (timings?.prompt_ms) parts.push(`prompt ${seconds(timings.prompt_ms)}`);
  if (model && parts.length) parts.push(model);
  if (ENDS[finish]) parts.push(ENDS[finish]);
  return parts.join(" · ");
}
