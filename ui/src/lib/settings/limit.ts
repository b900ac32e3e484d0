/** A limit as it is typed, in KB/s. null: no limit; undefined: not a limit. */
export function parseLimit(text: string): number | null | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  if (!/^\d{1,9}$/.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return value > 0 ? value * 1000 : undefined;
}

export function limitText(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? "" : String(Math.max(1, Math.round(bytesPerSecond / 1000)));
}
