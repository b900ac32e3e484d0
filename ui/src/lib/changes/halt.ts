/** What helps a folder that has stopped, by what the engine says of it. */
export type Remedy = "rejoin" | "rebuild" | null;

export function remedyOf(why: string | null): Remedy {
  if (!why) return null;
  if (/\bindex\b.*\bdamaged\b|\brebuild\b/is.test(why)) return "rebuild";
  if (/\brejoin\b|not the (folder|one) that was synced|another (disk|folder)\b/i.test(why)) return "rejoin";
  return null;
}

/** The engine's words without its advice for a command line, which the window gives by its buttons. */
export function withoutCommands(why: string): string {
  const said = why
    .replace(/ \(\.bifold\/root\.json\)/g, "")
    .replace(/: its marker is gone/i, "")
    .replace(/ \(its marker says so\)/i, "")
    .replace(/its marker/g, "the mark that Bifold left there")
    .replace(/[;,.]\s*(if|to) [^;.]*\bsay (bifold |--)?(rejoin|rebuild)\b[^;.]*/gi, "")
    .replace(/\s*Let Bifold rebuild it:[^.]*\./i, "")
    .replace(/\s*Say bifold \w+ FOLDER[^.]*\.?/gi, "")
    .trim();
  const whole = said.charAt(0).toUpperCase() + said.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
