import type { Trouble } from "../backend/bindings";
import { asTrouble } from "../trouble";

/** The least time between two answers that nobody here asked for. */
export const REST_MS = 2000;

/**
 * One answer of the backend, asked for again when something happened. What was answered stays until the next answer is there. Questions that
 * come while one is under way, or soon after, become one; the rest after an answer grows with what it cost, so that a folder with very many
 * changes never keeps the window busy.
 */
export class Loader<T> {
  data = $state.raw<T | null>(null);
  trouble = $state.raw<Trouble | null>(null);
  #ask: () => Promise<T>;
  #busy: Promise<void> | null = null;
  #again = false;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(ask: () => Promise<T>) {
    this.#ask = ask;
  }

  refresh(): void {
    if (this.#busy || this.#rest !== undefined) this.#again = true;
    else void this.#run();
  }

  /** Asks without a rest; an answer that is under way may be too old, so it is waited for. */
  async now(): Promise<void> {
    while (this.#busy) await this.#busy;
    clearTimeout(this.#rest);
    this.#rest = undefined;
    if (!this.#ended) await this.#run();
  }

  /** A person asks again after trouble. */
  async retry(): Promise<void> {
    this.trouble = null;
    await this.now();
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#rest);
  }

  #run(): Promise<void> {
    this.#again = false;
    this.#busy = this.#answer().finally(() => (this.#busy = null));
    return this.#busy;
  }

  async #answer(): Promise<void> {
    const began = performance.now();
    try {
      const data = await this.#ask();
      if (this.#ended) return;
      this.data = data;
      this.trouble = null;
    } catch (thrown) {
      this.trouble = asTrouble(thrown);
    }
    if (this.#ended) return;
    this.#rest = setTimeout(
      () => {
        this.#rest = undefined;
        if (this.#again && !this.#busy) void this.#run();
      },
      Math.max(REST_MS, 4 * (performance.now() - began)),
    );
  }
}
