import { onDestroy, untrack } from "svelte";
import { useStore } from "./context";
import { Loader } from "./loader.svelte";

/**
 * Of a component: asks for something now, whenever something happened in the folder, and at once after a person did something here, for as
 * long as the component lives. Without a folder: whenever everything is asked for again.
 */
export function load<T>(ask: () => Promise<T>, folder?: string): Loader<T> {
  const store = useStore();
  const loader = new Loader(ask);
  let done = untrack(() => store.done);
  $effect(() => {
    void (folder === undefined ? store.beat : store.beatOf(folder));
    untrack(() => loader.refresh());
  });
  $effect(() => {
    if (store.done === done) return;
    done = store.done;
    untrack(() => loader.now());
  });
  onDestroy(() => loader.end());
  return loader;
}
