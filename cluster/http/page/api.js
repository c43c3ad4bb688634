// The server's API: one place that knows the key, reads errors and takes streams apart.

const KEY = "ggml-cluster-key";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

export class ApiError extends Error {
  constructor(status, message, body = {}) {
    super(message);
    this.status = status;
    this.body = body; // of the error, as the server gave it
  }
}

async function request(path, { body, signal, accept } = {}) {
  const headers = { accept: accept ?? "application/json" };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached");
  }
  if (!answer.ok) throw await errorOf(answer);
  return answer;
}

async function errorOf(answer) {
  let found = {};
  try {
    found = (await answer.json()) ?? {};
  } catch {
    // Not JSON: its status has to do.
  }
  const error = typeof found.error === "string" ? { message: found.error } : (found.error ?? {});
  return new ApiError(answer.status, error.message ?? `HTTP ${answer.status}`, { ...found, ...error });
}

/** The JSON of an answer. ApiError with status 0 where there is no server. */
export async function call(path, options) {
  return (await request(path, options)).json();
}

/** The events of a stream, as {event, data}; data is text. */
export async function* events(path, options) {
  const answer = await request(path, { accept: "text/event-stream", ...options });
  let event = "";
  let data = [];
  for await (const line of lines(answer.body)) {
    if (line === "") {
      if (data.length) yield { event: event || "message", data: data.join("\n") };
      event = "";
      data = [];
    } else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
    else if (line.startsWith("event:")) event = line.slice(6).trim();
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) yield part.endsWith("\r") ? part.slice(0, -1) : part;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The chunks of a chat. A failure in the stream, and one that ends without its last line, is an ApiError. */
export async function* chat(body, signal) {
  for await (const { data } of events("v1/chat/completions", { body: { ...body, stream: true }, signal })) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(500, chunk.error.message ?? "The answer broke off", chunk.error);
    yield chunk;
  }
  throw new ApiError(0, "The connection broke before the answer was complete");
}
