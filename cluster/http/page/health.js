// Whether the server can be used: loading, lost, ready. Asks again by itself.

import { call, key } from "./api.js";
import { byId, h } from "./dom.js";

const READY_MS = 15_000;
const SOON_MS = 1000;

export class Health {
  #timer = 0;
  #isReady = false;
  #needsKey = false;

  /** `ready(props, model)` is called when the server has become usable. */
  constructor(ready) {
    this.ready = ready;
    addEventListener("key-needed", () => this.#askForKey());
    addEventListener("online", () => this.check());
    document.addEventListener("visibilitychange", () => document.hidden || this.check());
  }

  async check() {
    clearTimeout(this.#timer);
    let isReady = false;
    try {
      await call("health");
      isReady = true;
      if (!this.#isReady) await this.#begin();
    } catch (error) {
      isReady = false;
      this.#show(error);
    }
    this.#isReady = isReady;
    this.#timer = setTimeout(() => this.check(), isReady ? READY_MS : SOON_MS);
  }

  /** What needs a key is asked once, after which the page is useful. */
  async #begin() {
    const [props, models] = await Promise.all([call("props"), call("v1/models")]);
    this.#needsKey = false;
    byId("gate").hidden = true;
    this.#dot("good", "Ready");
    this.ready(props, models.data?.[0]?.id ?? props.model_alias ?? "");
  }

  #dot(kind, label) {
    byId("dot").className = `dot ${kind}`;
    byId("dot").setAttribute("aria-label", label);
    byId("dot").title = label;
  }

  #show(error) {
    if (error.status === 401 || error.status === 403) return this.#askForKey();
    if (error.status === 503) this.#loading(error.body);
    else {
      this.#dot("bad", error.message);
      if (error.status && error.status !== 503) byId("gate").hidden = true;
    }
    return undefined;
  }

  /** Stages that load are shown with how far they are. */
  #loading(body) {
    this.#dot("warn", body.message ?? "Loading");
    const stages = Array.isArray(body.stages) ? body.stages : [];
    const share = Number(body.progress) || 0;
    const bar = (value, label) => {
      const made = h("div", { class: "gauge", role: "progressbar", "aria-label": label, "aria-valuenow": Math.round(value * 100), "aria-valuemin": 0, "aria-valuemax": 100 }, h("i"));
      made.firstChild.style.setProperty("--share", value);
      return made;
    };
    const eta = Number(body.eta_s) > 0 ? `, about ${Math.ceil(body.eta_s)} s` : "";
    byId("gate").hidden = false;
    byId("gate").replaceChildren(h("div", { class: "card" },
      h("h1", {}, body.state === "draining" ? "The cluster is being ended" : "The model is being loaded"),
      h("p", { class: "status" }, `${body.message ?? "Please wait"}${eta}`),
      bar(share, "All stages"),
      stages.map((stage) => h("div", { class: "measure" }, h("span", {}, `stage ${stage.stage}`), bar(Number(stage.progress) || 0, `Stage ${stage.stage}`), h("b", {}, stage.state ?? "")))));
  }

  #askForKey() {
    if (this.#needsKey) return;
    this.#needsKey = true;
    this.#isReady = false;
    this.#dot("warn", "A key is needed");
    const field = h("input", { type: "password", autocomplete: "off", "aria-label": "API key", autofocus: true });
    const form = h("form", { class: "card", onsubmit: (event) => { event.preventDefault(); key.set(field.value.trim()); this.#needsKey = false; this.check(); } },
      h("h1", {}, "This server asks for a key"), h("p", { class: "status" }, key.get() ? "The one that was given is not known." : "It is kept until this tab is closed."),
      h("div", { class: "row" }, field, h("button", { type: "submit", class: "primary" }, "Continue")));
    byId("gate").hidden = false;
    byId("gate").replaceChildren(form);
    field.focus();
  }
}
