// What to type elsewhere to use this server.

import { byId, copy, h, iconButton } from "./dom.js";
import { key } from "./api.js";

const base = () => new URL(".", location.href).href.replace(/[#?].*$/, "").replace(/\/$/, "");

/** [title, what it is, text], for a model and with a key or the word that stands for none. */
function clients(url, model, secret) {
  const header = secret ? ` \\\n  -H "Authorization: Bearer $API_KEY"` : "";
  const word = secret ? "os.environ[\"API_KEY\"]" : "\"none\"";
  const imports = secret ? "import os\n" : "";
  return [
    ["curl", "", `curl ${url}/v1/chat/completions${header} \\\n  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello"}], "stream": true}'`],
    ["OpenAI's SDK", "Python", `${imports}from openai import OpenAI\n\nclient = OpenAI(base_url="${url}/v1", api_key=${word})\nanswer = client.chat.completions.create(\n    model="${model}", messages=[{"role": "user", "content": "Hello"}]\n)\nprint(answer.choices[0].message.content)`],
    ["Anthropic's SDK", "Python", `${imports}from anthropic import Anthropic\n\nclient = Anthropic(base_url="${url}", api_key=${word})\nanswer = client.messages.create(\n    model="${model}", max_tokens=256, messages=[{"role": "user", "content": "Hello"}]\n)\nprint(answer.content[0].text)`],
    ["Ollama", "its Python client", `from ollama import Client\n\nclient = Client(host="${url}"${secret ? ', headers={"Authorization": "Bearer " + os.environ["API_KEY"]}' : ""})\nprint(client.chat("${model}", [{"role": "user", "content": "Hello"}]).message.content)`.replace(/^/, imports)],
    ["Codex", "~/.codex/config.toml", `model = "${model}"\nmodel_provider = "cluster"\n\n[model_providers.cluster]\nname = "ggml-cluster"\nbase_url = "${url}/v1"\nwire_api = "responses"${secret ? '\nenv_key = "API_KEY"' : ""}`],
    ["Claude Code", "", `ANTHROPIC_BASE_URL=${url} \\\nANTHROPIC_API_KEY=${secret ? '"$API_KEY"' : "none"} \\\nANTHROPIC_MODEL=${model} \\\nCLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 \\\nclaude`],
    ["Python", "without HTTP, through gRPC", "import cluster\n\nwith cluster.connect() as client:\n    print(client.generate(\"Once upon a time\").text)"],
  ];
}

export function drawConnect(model, keyChanged) {
  const url = base();
  const name = model || "model";
  const secret = Boolean(key.get());
  const field = h("input", { type: "password", autocomplete: "off", value: key.get(), placeholder: "none", "aria-label": "API key" });
  const form = h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); key.set(field.value.trim()); keyChanged(); drawConnect(model, keyChanged); } },
    field, h("button", { type: "submit", class: "primary" }, "Use key"));
  const block = ([title, note, text]) => {
    const button = iconButton("copy", `Copy for ${title}`, () => copy(text, button));
    return h("section", { class: "code" }, h("div", { class: "code-head" }, h("h2", {}, title, note && h("small", {}, note)), button), h("pre", {}, h("code", { tabindex: "0" }, text)));
  };
  byId("view-connect").replaceChildren(h("div", { class: "board connect" },
    h("section", { class: "wide-card" }, h("h2", {}, "Base URL"), h("p", { class: "url" }, h("code", {}, `${url}/v1`)),
      h("p", { class: "status" }, "The API speaks OpenAI's, Anthropic's and Ollama's language. Any name of a model is taken."),
      h("h2", {}, "API key"), form, h("p", { class: "status" }, "Kept until this tab is closed. The lines below read it from the variable API_KEY.")),
    clients(url, name, secret).map(block)));
}
