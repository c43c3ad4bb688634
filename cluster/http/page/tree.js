// A conversation is a tree of messages: an edited or regenerated message is a sibling of the one before.
// Nothing here knows the page.

export const newId = () => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

export function newConversation() {
  const now = Date.now();
  return { id: newId(), title: "", created: now, updated: now, messages: {}, roots: [], chosen: {}, settings: null };
}

const ROOT = "";

/** Siblings of a message, itself among them, oldest first. */
export function siblings(conversation, parent) {
  return parent ? (conversation.messages[parent]?.children ?? []) : conversation.roots;
}

/** From the first message to the newest one of the chosen branch. */
export function path(conversation) {
  const found = [];
  for (let parent = ROOT; ; ) {
    const ids = siblings(conversation, parent);
    if (!ids.length) return found;
    const id = ids.includes(conversation.chosen[parent]) ? conversation.chosen[parent] : ids.at(-1);
    found.push(conversation.messages[id]);
    parent = id;
  }
}

/** Adds a message below `parent` ("" is the beginning), and chooses it. */
export function add(conversation, parent, message) {
  const made = { id: newId(), parent, children: [], created: Date.now(), ...message };
  conversation.messages[made.id] = made;
  siblings(conversation, parent).push(made.id);
  conversation.chosen[parent] = made.id;
  return made;
}

/** Goes to the branch of a sibling that lies so many places away. */
export function choose(conversation, message, away) {
  const ids = siblings(conversation, message.parent);
  const at = ids.indexOf(message.id) + away;
  if (at >= 0 && at < ids.length) conversation.chosen[message.parent] = ids[at];
}

/** Takes a message and what follows it out. */
export function remove(conversation, message) {
  const ids = siblings(conversation, message.parent);
  const at = ids.indexOf(message.id);
  ids.splice(at, 1);
  if (ids.length) conversation.chosen[message.parent] = ids[Math.max(0, at - 1)];
  else delete conversation.chosen[message.parent];
  const dropped = [message.id];
  while (dropped.length) {
    const id = dropped.pop();
    dropped.push(...conversation.messages[id].children);
    delete conversation.messages[id];
    delete conversation.chosen[id];
  }
}

/** What the model is sent of one message. */
export function toSend(message) {
  if (message.role === "tool") return { role: "tool", tool_call_id: message.tool_call_id, content: message.content };
  if (message.role === "user") {
    const files = (message.files ?? []).map((file) => `${file.name}\n\`\`\`\n${file.text}\n\`\`\`\n\n`);
    return { role: "user", content: files.join("") + message.content };
  }
  const sent = { role: "assistant", content: message.content };
  if (message.reasoning) sent.reasoning_content = message.reasoning;
  if (message.calls?.length) {
    sent.tool_calls = message.calls.map(({ id, name, arguments: text }) => ({ id, type: "function", function: { name, arguments: text } }));
    if (!message.content) sent.content = null;
  }
  return sent;
}

/** A conversation from a file, checked: everything in it may be anybody's. Throws a sentence. */
export function fromFile(given) {
  const text = (value, most = 4_000_000) => (typeof value === "string" ? value.slice(0, most) : "");
  const object = (value) => (value && typeof value === "object" && !Array.isArray(value) ? value : {});
  const number = (value) => (Number.isFinite(value) ? value : null);
  const made = { ...newConversation(), title: text(given.title, 200), created: number(given.created) ?? Date.now(), settings: checkedSettings(given.settings) };
  const names = new Map(); // theirs to ours: ids of a file may be those of a conversation that is here
  for (const [id, message] of Object.entries(object(given.messages))) {
    if (!["user", "assistant", "tool"].includes(message?.role)) throw new Error(`a message has the role ${JSON.stringify(message?.role)}`);
    const files = Array.isArray(message.files) ? message.files : [];
    const calls = Array.isArray(message.calls) ? message.calls : [];
    names.set(id, newId());
    made.messages[names.get(id)] = {
      id: names.get(id), parent: message.parent, children: [], role: message.role, content: text(message.content),
      created: number(message.created) ?? made.created, reasoning: text(message.reasoning), reasoning_ms: number(message.reasoning_ms),
      files: files.map((file) => ({ name: text(file?.name, 200), text: text(file?.text) })),
      calls: calls.map((call) => ({ id: text(call?.id, 200), name: text(call?.name, 200), arguments: text(call?.arguments) })),
      tool_call_id: text(message.tool_call_id, 200), model: text(message.model, 200), finish: text(message.finish, 40), error: text(message.error, 4000),
      timings: object(message.timings), parameters: object(message.parameters),
    };
  }
  for (const message of Object.values(made.messages)) {
    message.parent = message.parent ? (names.get(message.parent) ?? null) : ROOT;
    if (message.parent === null) throw new Error("a message answers one that is not there");
    siblings(made, message.parent).push(message.id);
  }
  const isReached = new Set();
  for (const stack = [...made.roots]; stack.length; ) {
    const id = stack.pop();
    isReached.add(id);
    stack.push(...made.messages[id].children);
  }
  if (isReached.size !== Object.keys(made.messages).length) throw new Error("its messages answer each other in a circle");
  for (const [parent, id] of Object.entries(object(given.chosen))) {
    const ours = parent ? names.get(parent) : ROOT;
    if (ours !== undefined && names.has(id)) made.chosen[ours] = names.get(id);
  }
  return made;
}

/** Settings of a file: texts, numbers and lists, whatever they are called. */
function checkedSettings(given) {
  if (!given || typeof given !== "object") return null;
  const sampling = {};
  for (const [name, value] of Object.entries(given.sampling ?? {})) if (["number", "string", "boolean"].includes(typeof value)) sampling[name.slice(0, 60)] = value;
  const text = (value) => (typeof value === "string" ? value.slice(0, 300_000) : "");
  return { system: text(given.system), schema: text(given.schema), tools: text(given.tools), sampling };
}
