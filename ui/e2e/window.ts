import type { Page } from "@playwright/test";

export type Theme = "light" | "dark";
export const THEMES: Theme[] = ["light", "dark"];
export const TABS = ["changes", "conflicts", "history", "devices", "settings"] as const;

/** Opens a world and collects what must not be there: errors on the console, and dialogs of the browser. */
export async function openWorld(page: Page, world: string, theme: Theme = "light"): Promise<string[]> {
  const wrong: string[] = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(`/?world=${world}&theme=${theme}`);
  await page.locator("main > *").first().waitFor();
  return wrong;
}

/** Opens a tab and waits until nothing in it is on its way. */
export async function openTab(page: Page, tab: string): Promise<void> {
  await page.getByTestId(`tab-${tab}`).click();
  await page.waitForFunction(() => document.querySelector("main .skeleton") === null && document.querySelector("#folder-panel > *") !== null);
}
