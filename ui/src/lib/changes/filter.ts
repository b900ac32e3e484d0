import type { PendingItem } from "../backend";

/** Those whose path, former path or author holds the text. Case does not matter. */
export function filterChanges(items: readonly PendingItem[], text: string): readonly PendingItem[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return items;
  const holds = (part: string | null) => part !== null && part.toLowerCase().includes(wanted);
  return items.filter((item) => holds(item.path) || holds(item.from) || holds(item.by));
}
