import type { Backend, LogEntry, Trouble } from "../backend";
import { asTrouble } from "../trouble";

const PAGE = 100;

/** The log of a folder, page by page, newest first. */
export class LogPages {
  entries = $state.raw<LogEntry[] | null>(null);
  trouble = $state.raw<Trouble | null>(null);
  #atEnd = false;
  #busy = false;
  #asked = 0;

  constructor(
    private readonly backend: Backend,
    private readonly folder: string,
  ) {}

  /** Begins anew, with another filter or because something happened; as many entries as were there stay in reach. */
  async reload(filter: string): Promise<void> {
    const asked = ++this.#asked;
    const limit = Math.max(PAGE, this.entries?.length ?? 0);
    await this.#ask(asked, null, limit, filter);
  }

  async more(filter: string): Promise<void> {
    const last = this.entries?.at(-1);
    if (!last || this.#busy || this.#atEnd) return;
    await this.#ask(this.#asked, last.id, PAGE, filter);
  }

  async #ask(asked: number, before: number | null, limit: number, filter: string): Promise<void> {
    this.#busy = true;
    try {
      const page = await this.backend.log(this.folder, before, limit, filter.trim() || null);
      // A newer question has been asked meanwhile; its answer is the one that counts.
      if (asked !== this.#asked) return;
      this.entries = before === null ? page : [...(this.entries ?? []), ...page];
      this.#atEnd = page.length < limit;
      this.trouble = null;
    } catch (thrown) {
      if (asked === this.#asked) this.trouble = asTrouble(thrown);
    } finally {
      if (asked === this.#asked) this.#busy = false;
    }
  }
}
