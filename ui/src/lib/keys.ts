/** Whether a key goes into a field, a dialog or a menu, or is a shortcut of another program: then it is none of ours. */
export function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  if (!(event.target instanceof HTMLElement)) return false;
  return event.target.closest("textarea, select, dialog, [role=menu], input:not([type=checkbox], [type=range])") !== null;
}
