import type { Backend } from ".";

/** The desktop program, or the scripted world of `?world=` in a plain browser. Only the one in use is loaded. */
export async function chooseBackend(): Promise<Backend> {
  if ("__TAURI_INTERNALS__" in window) {
    const { real } = await import("./real");
    return real;
  }
  const { FakeBackend } = await import("./fake");
  const { worldNamed } = await import("./fake/worlds");
  return new FakeBackend(worldNamed(new URLSearchParams(location.search).get("world") ?? "team", Date.now()));
}
