// One answer, from the request to its last token. Knows the API and the message that it fills, not the page.

import { chat } from "./api.js";
import { toSend } from "./tree.js";

/** What is asked for: the messages before the answer, and what the settings say. Throws a sentence where those are no JSON. */
export function bodyOf(before, settings, prefill = null) {
  const messages = before.map(toSend);
  if (settings.system.trim()) messages.unshift({ role: "system", content: settings.system });
  if (prefill) messages.push(toSend(prefill));
  const body = { messages, ...settings.sampling };
  const schema = parsed(settings.schema, "The JSON schema");
  if (schema) body.response_format = { type: "json_schema", json_schema: { name: "answer", strict: false, schema } };
  const tools = parsed(settings.tools, "The list of tools");
  if (tools) body.tools = (Array.isArray(tools) ? tools : [tools]).map((tool) => (tool.function ? tool : { type: "function", function: tool }));
  if (prefill) Object.assign(body, { continue_final_message: true, add_generation_prompt: false });
  return body;
}

function parsed(text, what) {
  if (!text?.trim()) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what} in the settings is not JSON: ${error.message}`);
  }
}

export class Turn {
  #abort = new AbortController();
  #start = performance.now();
  #firstMs = null; // when the first token came
  #reasoningMs = null;
  #deltas = 0;
  progress = null; // of reading the prompt, 0 to 1
  isReading = true;

  /** `changed` is called when the message has changed. */
  constructor(message, body, changed) {
    this.message = message;
    this.changed = changed;
    this.body = { ...body, stream: true, timings_per_token: true, return_progress: true, stream_options: { include_usage: true } };
  }

  stop() {
    this.#abort.abort();
  }

  get elapsedMs() {
    return performance.now() - this.#start;
  }

  /** Tokens of the answer so far, and how many come in a second. */
  get speed() {
    const timings = this.message.timings ?? {};
    const tokens = timings.predicted_n ?? this.#deltas;
    const seconds = this.#firstMs === null ? 0 : (performance.now() - this.#start - this.#firstMs) / 1000;
    return { tokens, perSecond: timings.predicted_per_second ?? (seconds > 0.2 ? (tokens - 1) / seconds : 0) };
  }

  async run() {
    const { message } = this;
    message.finish = "";
    message.error = "";
    try {
      for await (const chunk of chat(this.body, this.#abort.signal)) {
        this.#take(chunk);
        this.changed();
      }
    } catch (error) {
      if (error.name === "AbortError") message.finish = "stopped";
      else message.error = error.message;
      this.failure = error.name === "AbortError" ? null : error;
    }
    this.isReading = false;
    if (message.reasoning && message.reasoning_ms === null) message.reasoning_ms = this.elapsedMs - (this.#reasoningMs ?? 0);
    this.changed();
  }

  #take(chunk) {
    const { message } = this;
    if (chunk.model) message.model = chunk.model;
    if (chunk.timings) message.timings = chunk.timings;
    if (chunk.usage) message.usage = chunk.usage;
    const read = chunk.prompt_progress;
    if (read?.total) this.progress = Math.min(1, read.processed / read.total);
    const choice = chunk.choices?.[0];
    if (!choice) return;
    const { content, reasoning_content: reasoning, tool_calls: calls } = choice.delta ?? {};
    if (content || reasoning || calls) this.#first();
    if (reasoning) {
      this.#reasoningMs ??= this.elapsedMs;
      message.reasoning = (message.reasoning ?? "") + reasoning;
    }
    if ((content || calls) && message.reasoning && message.reasoning_ms === null) message.reasoning_ms = this.elapsedMs - (this.#reasoningMs ?? 0);
    if (content) message.content += content;
    for (const call of calls ?? []) this.#call(call);
    if (choice.finish_reason) message.finish = choice.finish_reason;
  }

  #first() {
    this.isReading = false;
    this.#deltas++;
    this.#firstMs ??= this.elapsedMs;
  }

  #call({ index = 0, id, function: called = {} }) {
    const calls = (this.message.calls ??= []);
    const call = (calls[index] ??= { id: "", name: "", arguments: "" });
    if (id) call.id = id;
    if (called.name) call.name = called.name;
    call.arguments += called.arguments ?? "";
  }
}
