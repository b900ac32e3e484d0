// The one place that knows CodeMirror. Loaded when the first text is compared.
import { Chunk, MergeView } from "@codemirror/merge";
import { EditorState, Text, type Extension } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { t } from "../strings";

function readOnly(label: string): Extension {
  return [
    EditorState.readOnly.of(true),
    EditorView.editable.of(false),
    EditorView.contentAttributes.of({ "aria-label": label, "aria-readonly": "true", tabindex: "0" }),
    EditorState.phrases.of({ "$ unchanged lines": t.conflicts.unchangedLines }),
    EditorView.lineWrapping,
    lineNumbers(),
  ];
}

/** Draws two texts side by side; returns what takes them away. */
export function showDiff(parent: HTMLElement, a: { text: string; name: string }, b: { text: string; name: string }): () => void {
  const view = new MergeView({
    parent,
    a: { doc: a.text, extensions: readOnly(a.name) },
    b: { doc: b.text, extensions: readOnly(b.name) },
    gutter: false,
    collapseUnchanged: { margin: 3, minSize: 6 },
    diffConfig: { scanLimit: 2000, timeout: 40 },
  });
  return () => view.destroy();
}

/** How many lines of the agreed text a side took away, and how many it added. */
export function changedLines(base: string, side: string): { added: number; removed: number } {
  const a = Text.of(base.split("\n"));
  const b = Text.of(side.split("\n"));
  let added = 0;
  let removed = 0;
  for (const chunk of Chunk.build(a, b, { scanLimit: 500, timeout: 20 })) {
    if (chunk.toA > chunk.fromA) removed += a.lineAt(chunk.endA).number - a.lineAt(chunk.fromA).number + 1;
    if (chunk.toB > chunk.fromB) added += b.lineAt(chunk.endB).number - b.lineAt(chunk.fromB).number + 1;
  }
  return { added, removed };
}
