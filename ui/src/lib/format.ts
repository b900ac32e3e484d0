// Numbers, sizes and times as text, in the catalogue's language.
import { t } from "./strings";

const number = new Intl.NumberFormat(t.locale);
const relative = new Intl.RelativeTimeFormat(t.locale, { numeric: "auto" });
const time = new Intl.DateTimeFormat(t.locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(t.locale, { day: "numeric", month: "short" });
const date = new Intl.DateTimeFormat(t.locale, { day: "numeric", month: "short", year: "numeric" });

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function count(n: number): string {
  return number.format(n);
}

/** Decimal units, as file managers show them: 999 B, 1.0 KB, 12 MB. */
export function bytes(n: number): string {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let value = n;
  let unit = 0;
  // 999.5 and not 1000, so that rounding never shows "1000 KB".
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** A whole percentage that says 100 only when all is there. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return "0%";
  return `${Math.min(part >= whole ? 100 : 99, Math.floor((100 * part) / whole))}%`;
}

/** "just now", "5 minutes ago", "yesterday"; beyond a month a date. */
export function ago(at: number, now: number): string {
  const past = Math.max(0, now - at);
  if (past < MINUTE) return t.time.justNow;
  if (past < HOUR) return relative.format(-Math.floor(past / MINUTE), "minute");
  if (past < DAY) return relative.format(-Math.floor(past / HOUR), "hour");
  if (past < 30 * DAY) return relative.format(-Math.floor(past / DAY), "day");
  return date.format(at);
}

/** The shortest exact time: 10:42 today, 3 Mar, 10:42 this year, else the date. */
export function moment(at: number, now: number): string {
  const then = new Date(at);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return time.format(at);
  if (then.getFullYear() === today.getFullYear()) return `${day.format(at)}, ${time.format(at)}`;
  return date.format(at);
}

/** The last part of a path, and what stands before it with its slash. */
export function splitPath(path: string): { parent: string; name: string } {
  const cut = path.lastIndexOf("/", path.length - 2) + 1;
  return { parent: path.slice(0, cut), name: path.slice(cut) };
}

/** The end of a path that is too long for a sentence. */
export function shortPath(path: string, most = 80): string {
  const letters = [...path];
  return letters.length <= most ? path : `…${letters.slice(1 - most).join("")}`;
}

/** What the engine says, as a sentence. */
export function sentence(said: string): string {
  const whole = said.charAt(0).toUpperCase() + said.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** Bytes as lines of eight: offset, hex, printable characters. */
export function hexLines(base64: string): string[] {
  const raw = atob(base64);
  const lines: string[] = [];
  for (let at = 0; at < raw.length; at += 8) {
    const part = [...raw.slice(at, at + 8)];
    const hex = part.map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
    const seen = part.map((c) => (c >= " " && c <= "~" ? c : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(23)}  ${seen}`);
  }
  return lines;
}
