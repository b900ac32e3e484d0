import type { Trouble } from "./backend/bindings";
import { t } from "./strings";

/** Whatever was thrown, as something that can be shown. */
export function asTrouble(thrown: unknown): Trouble {
  if (typeof thrown === "object" && thrown !== null && "message" in thrown && "kind" in thrown) return thrown as Trouble;
  const message = thrown instanceof Error ? thrown.message : typeof thrown === "string" ? thrown : t.trouble.unknown;
  return { kind: "failed", message, hint: null };
}
