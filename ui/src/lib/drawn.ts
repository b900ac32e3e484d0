import type { Backend } from "./backend";

/** Tells when what was just put into the page has been shown: the first frame lays it out, the second begins after it was shown. */
export function drawn(backend: Backend, folders: boolean): void {
  requestAnimationFrame(() => requestAnimationFrame(() => void backend.painted(folders).catch(() => undefined)));
}
