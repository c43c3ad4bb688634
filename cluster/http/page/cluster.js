// The cluster: its stages as a picture, what runs, what was, and why the layers are where they are.

import { ApiError, call, events } from "./api.js";
import { byId, h } from "./dom.js";
import { Spark } from "./spark.js";

const AGAIN_MS = 2000;

const bytes = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : n >= 1e6 ? `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB` : `${Math.round(n / 1e3)} kB`);
const ms = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));
const percent = (share) => `${Math.round(share * 100)} %`;
const age = (s) => (s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 129_600 ? `${(s / 3600).toFixed(1)} h` : `${Math.round(s / 86_400)} days`);
const number = (n) => Math.round(n).toLocaleString("en");

export class ClusterView {
  #abort = null;
  #events = [];

  constructor() {
    this.head = h("div", { class: "tiles" });
    this.notice = h("p", { class: "error", role: "alert", hidden: true });
    this.stages = h("ol", { class: "stages", "aria-label": "Stages" });
    this.back = h("p", { class: "back" });
    this.slots = h("tbody");
    this.speed = new Spark("Tokens per second");
    this.waiting = new Spark("Requests waiting");
    this.busy = new Spark("Slots in use");
    this.log = h("ol", { class: "events" });
    this.plan = h("div", {});
    const chart = (title, spark) => h("figure", {}, h("figcaption", {}, h("span", {}, title), (spark.now = h("b"))), spark.element);
    byId("view-cluster").append(h("div", { class: "board" },
      this.notice, this.head,
      h("section", { class: "wide-card" }, h("h2", {}, "Pipeline"), this.stages, this.back),
      h("section", { class: "card charts" }, h("h2", {}, "Over the last two minutes"), chart("Tokens / s", this.speed), chart("Slots in use", this.busy), chart("Waiting", this.waiting)),
      h("section", { class: "card" }, h("h2", {}, "Slots"), h("div", { class: "table" }, h("table", {},
        h("thead", {}, h("tr", {}, ["Slot", "State", "Prompt", "Answer", "Age"].map((title) => h("th", { scope: "col" }, title)))), this.slots))),
      h("section", { class: "card" }, h("h2", {}, "Events"), this.log),
      h("section", { class: "card" }, h("h2", {}, "Plan, and why"), this.plan)));
  }

  /** Watches while the view is shown. */
  async show() {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    while (!abort.signal.aborted) {
      try {
        await this.#watch(abort.signal);
      } catch (error) {
        if (abort.signal.aborted) return;
        this.#fail(error);
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  hide() {
    this.#abort?.abort();
  }

  async #watch(signal) {
    const [state, plan] = await Promise.all([call("cluster/state", { signal }), call("cluster/plan", { signal })]);
    this.#history(state.history);
    this.#events = state.events;
    this.#drawEvents();
    this.#drawPlan(plan);
    this.#draw(state);
    for await (const { event, data } of events("cluster/events", { signal })) {
      const found = JSON.parse(data);
      if (event === "state") this.#draw(found, true);
      else if (event === "event") {
        this.#events = [found, ...this.#events].slice(0, 100);
        this.#drawEvents();
        if (found.kind === "epoch") this.#drawPlan(await call("cluster/plan", { signal }));
      }
    }
    throw new ApiError(0, "The server has ended the stream");
  }

  #fail(error) {
    if (error.status === 401) dispatchEvent(new CustomEvent("key-needed"));
    this.notice.hidden = false;
    this.notice.textContent = `${error.message}. Trying again.`;
  }

  #history(history) {
    this.speed.set(history.map((moment) => moment.tokens_per_s));
    this.waiting.set(history.map((moment) => moment.num_waiting));
    this.busy.set(history.map((moment) => moment.num_slots_used));
  }

  #draw(state, isNext = false) {
    this.notice.hidden = state.is_ready;
    this.notice.textContent = state.is_ready ? "" : state.state;
    if (isNext) {
      this.speed.push(state.tokens_per_s);
      this.waiting.push(state.num_waiting);
      this.busy.push(state.num_slots_used);
    }
    this.speed.now.textContent = state.tokens_per_s.toFixed(1);
    this.waiting.now.textContent = number(state.num_waiting);
    this.busy.now.textContent = `${state.num_slots_used} / ${state.num_slots}`;
    const tile = (name, value, note) => h("div", { class: "tile" }, h("span", {}, name), h("b", {}, value), note && h("small", {}, note));
    const bubble = state.stages.length ? state.stages.reduce((sum, stage) => sum + stage.bubble_fraction, 0) / state.stages.length : 0;
    this.head.replaceChildren(
      tile("Model", state.model, `${state.architecture} · context ${number(state.context_length)}`),
      tile("State", state.is_ready ? "Ready" : state.state.startsWith("recovering") ? "Recovering" : "Degraded", `up ${age(state.uptime_s)} · epoch ${state.epoch} · ${state.protection}`),
      tile("Tokens / s", state.tokens_per_s.toFixed(1), `${number(state.num_tokens)} since the start`),
      tile("Requests", `${state.num_slots_used} running`, `${state.num_waiting} waiting · ${number(state.num_requests)} ended`),
      tile("Bubble", percent(bubble), "time in which stages wait"));
    this.#drawStages(state);
    this.#drawSlots(state);
  }

  #drawStages({ stages, row_bytes: rowBytes }) {
    const most = Math.max(...stages.map(({ weight_bytes: w, kv_bytes: k, compute_bytes: c }) => w + k + c), 1);
    const nodes = [];
    for (const stage of stages) {
      const from = `from stage ${stage.stage - 1}`;
      if (stage.stage > 0) nodes.push(h("li", { class: "hop", "aria-label": `Hop ${from}: ${ms(stage.hop_ms)} ms` }, h("b", {}, stage.hop_ms ? `${ms(stage.hop_ms)} ms` : "–"), h("i", { "aria-hidden": "true" }), h("small", {}, `${bytes(rowBytes)} a row`)));
      nodes.push(this.#stage(stage, most));
    }
    const back = stages[0]?.hop_ms;
    this.back.textContent = stages.length > 1 && back ? `the token goes back to stage 0 in ${ms(back)} ms` : "";
    this.stages.replaceChildren(...nodes);
  }

  #stage(stage, most) {
    const isLost = stage.state !== "ready";
    const memory = h("div", { class: "memory", role: "img", "aria-label": `Memory: weights ${bytes(stage.weight_bytes)}, cache ${bytes(stage.kv_bytes)}, work space ${bytes(stage.compute_bytes)}` });
    for (const [kind, value] of [["weights", stage.weight_bytes], ["kv", stage.kv_bytes], ["work", stage.compute_bytes]]) {
      const part = h("i", { class: kind, title: `${kind}: ${bytes(value)}` });
      part.style.flexBasis = `${(100 * value) / most}%`;
      memory.append(part);
    }
    const gauge = h("div", { class: "gauge", role: "meter", "aria-label": "Busy", "aria-valuenow": Math.round(stage.busy_fraction * 100), "aria-valuemin": 0, "aria-valuemax": 100 }, h("i"));
    gauge.firstChild.style.setProperty("--share", stage.busy_fraction);
    return h("li", { class: `stage ${isLost ? "lost" : ""}`, "data-stage": stage.stage },
      h("header", {}, h("b", {}, `Stage ${stage.stage}`), h("span", { class: `pill ${isLost ? "bad" : "good"}` }, isLost ? "lost" : "ready")),
      h("p", { class: "layers" }, `layers ${stage.first}–${stage.end - 1}`),
      h("p", { class: "device" }, `${stage.device} · ${stage.node}`),
      isLost && h("p", { class: "error" }, stage.state),
      h("div", { class: "measure" }, h("span", {}, "busy"), gauge, h("b", {}, percent(stage.busy_fraction))),
      h("div", { class: "measure" }, h("span", {}, "memory"), memory, h("b", {}, bytes(stage.weight_bytes + stage.kv_bytes + stage.compute_bytes))),
      h("dl", {}, [["step", `${ms(stage.step_ms)} ms`], ["waits", `${ms(stage.wait_ms)} ms`], ["steps", number(stage.num_steps)]].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
  }

  #drawSlots({ slots }) {
    const row = (slot) => {
      const isBusy = slot.state !== "idle";
      const read = Math.min(slot.num_computed, slot.num_prompt_tokens);
      const cells = isBusy ? [`${number(read)} / ${number(slot.num_prompt_tokens)}`, number(slot.num_generated), age(slot.age_s)] : ["–", "–", "–"];
      return h("tr", {}, h("td", {}, String(slot.id)), h("td", {}, h("span", { class: `pill ${isBusy ? "good" : ""}` }, { prompt: "reads prompt", generating: "writes" }[slot.state] ?? "idle")), cells.map((text) => h("td", {}, text)));
    };
    this.slots.replaceChildren(...slots.map(row));
  }

  #drawEvents() {
    this.log.replaceChildren(...this.#events.map(({ at, kind, text }) => h("li", { class: kind }, h("time", { datetime: new Date(at * 1000).toISOString() }, new Date(at * 1000).toLocaleTimeString()), h("span", {}, text))));
    if (!this.#events.length) this.log.append(h("li", { class: "status" }, "Nothing has happened since this server began."));
  }

  #drawPlan({ reasons, stages }) {
    const row = (stage) => h("tr", {}, [String(stage.stage), `${stage.first}–${stage.end - 1}`, `${stage.device} · ${stage.node}`, bytes(stage.weight_bytes)].map((text) => h("td", {}, text)));
    this.plan.replaceChildren(
      h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ["Stage", "Layers", "Device", "Weights"].map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, stages.map(row)))),
      h("ul", { class: "reasons" }, reasons.map((reason) => h("li", {}, reason))));
  }
}
