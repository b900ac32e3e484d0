import type { Conflict, Side } from "../backend";
import { t } from "../strings";

/** How a side is named to the backend: mine, theirs where there is one other, else a device's name. */
export function sideId(conflict: Conflict, side: Side): string {
  if (side.mine) return "mine";
  const hasMine = conflict.sides.some((other) => other.mine);
  return hasMine && conflict.sides.length === 2 ? "theirs" : side.devices[0];
}

export function sideName(side: Side): string {
  if (side.mine) return t.conflicts.mine;
  const [first, ...others] = side.devices;
  return others.length === 0 ? (first ?? t.someone) : t.conflicts.andMore(first, others.length);
}

export type Comparison = { label: string; a: { id: string; name: string }; b: { id: string; name: string } };

/** The pairs worth looking at: mine with each other side, then the last agreed version with each side. */
export function comparisons(conflict: Conflict): Comparison[] {
  const there = conflict.sides.filter((side) => side.content !== null).map((side) => ({ id: sideId(conflict, side), name: sideName(side) }));
  const [first, ...others] = there;
  if (!first) return [];
  const pairs = others.map((b) => ({ label: t.conflicts.versus(first.name, b.name), a: first, b }));
  if (conflict.base === null) return pairs;
  const base = { id: "base", name: t.conflicts.agreed };
  return [...pairs, ...there.map((b) => ({ label: t.conflicts.pair(base.name, b.name), a: base, b }))];
}
