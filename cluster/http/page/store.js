// Conversations, kept in the browser only.

const NAME = "ggml-cluster";
const STORE = "conversations";

let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opening;
}

async function run(mode, act) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const asked = act(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error("the browser keeps nothing"));
  });
}

export const get = (id) => run("readonly", (store) => store.get(id));
export const put = (conversation) => run("readwrite", (store) => store.put(conversation));
export const drop = (id) => run("readwrite", (store) => store.delete(id));

/** All of them, the latest first. */
export async function all() {
  const found = await run("readonly", (store) => store.getAll());
  return found.sort((a, b) => b.updated - a.updated);
}
