export type Toast = { id: number; text: string; hint: string | null; bad: boolean };

/** Short messages about what was done. Bad news stays longer. */
export class Toasts {
  shown = $state.raw<Toast[]>([]);
  #next = 1;

  say(text: string, hint: string | null = null, bad = false): void {
    const id = this.#next++;
    this.shown = [...this.shown.slice(-2), { id, text, hint, bad }];
    setTimeout(() => this.drop(id), bad ? 12_000 : 5_000);
  }

  drop(id: number): void {
    this.shown = this.shown.filter((toast) => toast.id !== id);
  }
}
