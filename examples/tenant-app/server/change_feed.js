import { errorCode } from "./log.js";

/**
 * Topics whose version differs from the one known. A topic seen for the first time counts as moved: something may have
 * happened between the subscriber's first read and this poll.
 * @param {Iterable<string>} topics
 * @param {Map<string, string>} known changed in place
 * @param {Map<string, string>} versions
 */
export function movedTopics(topics, known, versions) {
  const moved = [];
  for (const topic of topics) {
    const version = versions.get(topic) ?? "0";
    if (known.get(topic) !== version) moved.push(topic);
    known.set(topic, version);
  }
  return moved;
}

/** One poll per interval for all websockets of this process, whatever their number. */
export class ChangeFeed {
  #readVersions;
  #intervalMs;
  #log;
  #listeners = new Map();
  #known = new Map();
  #timer;
  #failing = false;
  #stopped = false;

  constructor({ readVersions, intervalMs, log }) {
    this.#readVersions = readVersions;
    this.#intervalMs = intervalMs;
    this.#log = log;
  }

  /** @returns {() => void} ends the subscription */
  subscribe(topic, listener) {
    const listeners = this.#listeners.get(topic) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(topic, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) {
        this.#listeners.delete(topic);
        this.#known.delete(topic);
      }
    };
  }

  start() {
    this.#timer = setTimeout(() => this.#run(), this.#intervalMs);
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async poll() {
    const topics = [...this.#listeners.keys()];
    if (topics.length === 0) return;
    const versions = await this.#readVersions(topics);
    const subscribed = topics.filter((topic) => this.#listeners.has(topic));
    for (const topic of movedTopics(subscribed, this.#known, versions)) {
      for (const listener of [...(this.#listeners.get(topic) ?? [])]) listener();
    }
  }

  async #run() {
    try {
      await this.poll();
      if (this.#failing) this.#log.info("change feed is back");
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#log.warn("change feed cannot read the database", { code: errorCode(error) });
      this.#failing = true;
    }
    if (!this.#stopped) this.start();
  }
}
