/** Sets `data-theme` by the system's setting; `?theme=dark|light` fixes it for tests. */
export function followTheme(): void {
  const root = document.documentElement;
  const fixed = new URLSearchParams(location.search).get("theme");
  if (fixed === "dark" || fixed === "light") {
    root.dataset.theme = fixed;
    return;
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => (root.dataset.theme = dark.matches ? "dark" : "light");
  apply();
  dark.addEventListener("change", apply);
}
