// Asks the desktop program, by its generated commands. A refused command rejects with a `Trouble`.
import { getCurrentWebview } from "@tauri-apps/api/webview";
import type { Backend, Event, Wish } from ".";
import { commands, events } from "./bindings";

/** Listening begins a little later than it is asked for, so ending it has to wait for the beginning. */
function ending(begun: Promise<() => void>): () => void {
  return () => void begun.then((end) => end());
}

export const real: Backend = {
  ...commands,
  async showInFiles(folder, path) {
    await commands.showInFiles(folder, path);
  },
  onEvent(hear: (event: Event) => void) {
    return ending(events.happened.listen(({ payload }) => hear(payload)));
  },
  onWish(hear: (wish: Wish) => void) {
    const begun = events.wish.listen(({ payload }) => hear(payload));
    // What was wished while the window was being made.
    void begun.then(() => commands.takeWish()).then((wish) => wish && hear(wish));
    return ending(begun);
  },
  onDrop(hear: (paths: string[]) => void) {
    return ending(
      getCurrentWebview().onDragDropEvent(({ payload }) => {
        if (payload.type === "drop" && payload.paths.length > 0) hear(payload.paths);
      }),
    );
  },
};
