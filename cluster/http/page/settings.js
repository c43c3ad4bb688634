// What a chat is asked with: system prompt, sampling, schema, tools. Defaults are the server's.

import { byId, h, iconButton, toast } from "./dom.js";

const PRESETS = "ggml-cluster-presets";
const LAST = "ggml-cluster-settings";

// Names as the API takes them; the groups are those of the panel.
const SAMPLERS = [
  ["Length", [["max_tokens", "Tokens at most", { min: 1, step: 1 }], ["seed", "Seed", { min: 0, step: 1 }]]],
  ["Sampling", [
    ["temperature", "Temperature", { min: 0, max: 5, step: 0.05 }], ["top_p", "Top p", { min: 0, max: 1, step: 0.01 }],
    ["top_k", "Top k", { min: 0, step: 1 }], ["min_p", "Min p", { min: 0, max: 1, step: 0.01 }],
    ["typical_p", "Typical p", { min: 0, max: 1, step: 0.01 }], ["top_n_sigma", "Top n sigma", { min: -1, step: 0.1 }],
  ]],
  ["Repetition", [
    ["repeat_penalty", "Repeat penalty", { min: 0, step: 0.01 }], ["repeat_last_n", "Over the last", { min: -1, step: 1 }],
    ["presence_penalty", "Presence", { min: -2, max: 2, step: 0.1 }], ["frequency_penalty", "Frequency", { min: -2, max: 2, step: 0.1 }],
    ["dry_multiplier", "DRY multiplier", { min: 0, step: 0.1 }], ["dry_base", "DRY base", { min: 0, step: 0.05 }], ["dry_allowed_length", "DRY length", { min: 0, step: 1 }],
  ]],
  ["Other samplers", [
    ["xtc_probability", "XTC probability", { min: 0, max: 1, step: 0.01 }], ["xtc_threshold", "XTC threshold", { min: 0, max: 1, step: 0.01 }],
    ["dynatemp_range", "Dynamic range", { min: 0, step: 0.1 }], ["dynatemp_exponent", "Dynamic exponent", { min: 0, step: 0.1 }],
    ["mirostat", "Mirostat", { min: 0, max: 2, step: 1 }], ["mirostat_tau", "Mirostat tau", { min: 0, step: 0.1 }], ["mirostat_eta", "Mirostat eta", { min: 0, step: 0.01 }],
  ]],
];
const BUILT_IN = { "Server's defaults": {}, Precise: { temperature: 0.2, top_p: 0.9 }, Deterministic: { temperature: 0, seed: 0 }, Creative: { temperature: 1.1, min_p: 0.05 } };

export const emptySettings = () => ({ system: "", schema: "", tools: "", sampling: {} });

const read = (name, fallback) => {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
};

/** Those that the last chat had: a new one begins with them. */
export const lastSettings = () => ({ ...emptySettings(), ...read(LAST, {}) });

export class SettingsPanel {
  #settings = emptySettings();
  #defaults = {};

  constructor(changed) {
    this.changed = changed;
    this.element = byId("panel");
  }

  /** Of the server: default_generation_settings.params of /props. */
  set defaults(params) {
    this.#defaults = params ?? {};
    this.#draw();
  }

  show(settings) {
    this.#settings = settings;
    this.#draw();
  }

  #keep() {
    localStorage.setItem(LAST, JSON.stringify(this.#settings));
    this.changed();
  }

  #draw() {
    const settings = this.#settings;
    const area = (name, label, hint, rows, placeholder) => h("label", { class: "field tall" }, h("span", {}, label),
      h("textarea", { rows, placeholder, spellcheck: "false", "data-setting": name, value: settings[name] ?? "",
        oninput: (event) => { settings[name] = event.target.value; this.#keep(); } }), hint && h("small", {}, hint));
    this.element.replaceChildren(
      h("header", {}, h("h2", {}, "Settings of this chat"), iconButton("close", "Close settings", () => byId("tune").click())),
      h("div", { class: "scroll" },
        area("system", "System prompt", null, 4, "You are a helpful assistant."),
        this.#presets(),
        SAMPLERS.map(([title, fields], at) => h("details", { open: at < 2 }, h("summary", {}, title), h("div", { class: "grid" }, fields.map((field) => this.#number(field))))),
        h("details", { open: Boolean(settings.schema || settings.tools) }, h("summary", {}, "Structure and tools"),
          area("schema", "JSON schema", "The answer follows it.", 5, '{"type": "object", "properties": {…}}'),
          area("tools", "Tools", "A list of functions, as OpenAI's API takes it. You answer their calls by hand.", 5, '[{"name": "weather", "parameters": {…}}]')),
        h("button", { type: "button", class: "wide", onclick: () => this.#reset() }, "Reset all to the server's defaults"),
      ),
    );
  }

  #number([name, label, limits]) {
    const { sampling } = this.#settings;
    const standard = this.#defaults[name];
    const clear = () => { delete sampling[name]; this.#keep(); this.#draw(); };
    return h("label", { class: `field ${name in sampling ? "set" : ""}` }, h("span", {}, label),
      h("input", { type: "number", inputmode: "decimal", ...limits, "data-setting": name, value: sampling[name] ?? "",
        placeholder: standard === undefined || standard === null ? "default" : String(Math.round(standard * 1e4) / 1e4),
        oninput: (event) => {
          const { value, valueAsNumber } = event.target;
          if (value === "") delete sampling[name];
          else if (Number.isFinite(valueAsNumber)) sampling[name] = valueAsNumber;
          event.target.parentElement.classList.toggle("set", name in sampling);
          this.#keep();
        } }),
      iconButton("close", `Reset ${label} to the server's default`, clear, { class: "icon small clear" }));
  }

  #presets() {
    const own = read(PRESETS, {});
    const names = Object.keys({ ...BUILT_IN, ...own });
    const same = (preset) => JSON.stringify(Object.entries(preset).sort()) === JSON.stringify(Object.entries(this.#settings.sampling).sort());
    const chosen = names.find((name) => same(own[name] ?? BUILT_IN[name])) ?? "";
    const choose = (event) => { this.#settings.sampling = { ...(own[event.target.value] ?? BUILT_IN[event.target.value]) }; this.#keep(); this.#draw(); };
    return h("div", { class: "presets" },
      h("label", { class: "field" }, h("span", {}, "Preset"), h("select", { onchange: choose },
        !chosen && h("option", { value: "", selected: true, disabled: true }, "Custom"), names.map((name) => h("option", { value: name, selected: name === chosen }, name)))),
      iconButton("plus", "Keep these values as a preset", () => this.#keepPreset(own)),
      chosen in own && iconButton("trash", "Delete this preset", () => { delete own[chosen]; localStorage.setItem(PRESETS, JSON.stringify(own)); this.#draw(); }));
  }

  #keepPreset(own) {
    const name = prompt("Name of the preset")?.trim().slice(0, 60);
    if (!name || name in BUILT_IN || name === "__proto__") return name && toast("That name is taken", "bad");
    own[name] = { ...this.#settings.sampling };
    localStorage.setItem(PRESETS, JSON.stringify(own));
    this.#draw();
  }

  #reset() {
    this.#settings.sampling = {};
    this.#keep();
    this.#draw();
  }
}
