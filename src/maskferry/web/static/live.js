// News from the server. One tab of the browser holds the stream (six open ones would starve its requests); it passes
// everything on to the others.
import { ask, connection } from "./api.js";
import { revision, say } from "./state.js";

/** @typedef {{name: string, data: any}} News */

const CHANNEL = "maskferry-news";
const RETRY = 1000;

/**
 * Begins to listen, for as long as the page lives.
 * @param {(news: News) => void} take
 */
export function listen(take) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = (event) => take(event.data);
  /** @param {News} news */
  const pass = (news) => {
    channel.postMessage(news);
    take(news);
  };
  // The lock is ours until this tab closes; then the next tab gets it.
  navigator.locks.request(`${CHANNEL}-${location.pathname}`, () => follow(pass));
}

/** @param {(news: News) => void} pass */
async function follow(pass) {
  let wasLost = false;
  for (;;) {
    try {
      const response = await ask(`events?since=${revision.value}`);
      if (wasLost) {
        say("The server answers again.");
        pass({ name: "again", data: {} });
      }
      wasLost = false;
      for await (const news of read(response)) pass(news);
    } catch (err) {
      if (connection.value === "refused") return;
    }
    wasLost = true;
    connection.value = "lost";
    pass({ name: "lost", data: {} });
    await new Promise((done) => setTimeout(done, RETRY));
  }
}

/**
 * @param {Response} response
 * @returns {AsyncGenerator<News>}
 */
async function* read(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const blocks = text.split("\n\n");
    text = /** @type {string} */ (blocks.pop());
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (name && data) yield { name, data: JSON.parse(data) };
    }
  }
}
