import type { Conflict } from "../backend";
import { t } from "../strings";
import { sideId, sideName } from "./sides";

export type Pick = { pick: string; text: string; about: string; testid: string };

const keepBoth = (text: string, about: string): Pick => ({ pick: "both", text, about, testid: "keep-both" });

/** The choices that make sense for a conflict, mine first. */
export function picksOf(conflict: Conflict): Pick[] {
  if (conflict.kind === "cycle") return [keepBoth(t.conflicts.asTheyAre, t.conflicts.aboutStay)];
  if (conflict.kind === "orphan") return [keepBoth(t.conflicts.asItIs, t.conflicts.aboutStay)];
  const picks = conflict.sides.map((side): Pick => {
    const id = sideId(conflict, side);
    const testid = side.mine ? "keep-mine" : "keep-theirs";
    if (side.content === null) return { pick: "delete", text: t.conflicts.deleteIt, about: t.conflicts.aboutDelete, testid };
    const text = side.mine ? t.conflicts.keepMine : id === "theirs" ? t.conflicts.keepTheirs(sideName(side)) : t.conflicts.keepOf(sideName(side));
    return { pick: id, text, about: t.conflicts.aboutOther, testid };
  });
  if (conflict.kind === "content") picks.push(keepBoth(t.conflicts.keepBoth, t.conflicts.aboutBoth));
  if (conflict.kind === "name") picks.push(keepBoth(t.conflicts.asTheyAre, t.conflicts.aboutStay));
  return picks;
}

/** Other conflicts for which the same choice can be made. */
export function othersLike(conflict: Conflict, pick: string, all: readonly Conflict[]): Conflict[] {
  return all.filter((other) => other !== conflict && other.kind === conflict.kind && picksOf(other).some((one) => one.pick === pick));
}
