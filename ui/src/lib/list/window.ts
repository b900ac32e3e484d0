/** Which rows of a list of equal rows are worth drawing. */
export type Window = { first: number; last: number };

/**
 * Rows `first..last` (last excluded): those in sight and at least `extra` on both sides. The window moves in steps of `extra` rows, so that
 * most scrolling draws nothing anew.
 */
export function visibleWindow(total: number, rowHeight: number, scrollTop: number, height: number, extra = 4): Window {
  const top = Math.max(0, Math.min(scrollTop, total * rowHeight - height));
  const step = Math.floor(top / rowHeight / extra) * extra;
  const first = Math.max(0, step - extra);
  const last = Math.min(total, step + Math.ceil(height / rowHeight) + 2 * extra + 1);
  return { first, last: Math.max(first, last) };
}

/** The least scrolling that brings a row wholly into sight. */
export function scrollToShow(index: number, rowHeight: number, scrollTop: number, height: number): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  if (top + rowHeight > scrollTop + height) return top + rowHeight - height;
  return scrollTop;
}

/** Where the item at `index` of an old list is in a new one: looked for from its old place outwards, not endlessly. -1 if it is gone. */
export function movedTo<T>(old: readonly T[], now: readonly T[], index: number, keyOf: (item: T) => string | number, reach = 5000): number {
  if (index < 0 || index >= old.length) return -1;
  const key = keyOf(old[index]);
  for (let off = 0; off <= reach; off++) {
    for (const at of [index - off, index + off]) if (at >= 0 && at < now.length && keyOf(now[at]) === key) return at;
  }
  return -1;
}
