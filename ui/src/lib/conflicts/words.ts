import type { Conflict, Side } from "../backend";
import { t } from "../strings";

/** What each side did, for conflicts that are not about two contents. */
export function words(conflict: Conflict): string[] {
  const who = (side: Side) => (side.mine ? t.you : t.list(side.devices));
  return conflict.sides.map((side) => {
    if (side.content === null) return t.conflicts.deletedBy(who(side));
    if (conflict.kind === "deleted") return t.conflicts.editedBy(who(side));
    if (conflict.kind === "name") return t.conflicts.wants(who(side), conflict.path);
    return t.conflicts.renamedTo(who(side), side.path ?? conflict.path);
  });
}
