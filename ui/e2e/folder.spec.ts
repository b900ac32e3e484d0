// The other things that a person does with a folder.
import { expect, test } from "@playwright/test";
import { openTab, openWorld } from "./window";

test("pauses, resumes and lets a held change pass", async ({ page }) => {
  const wrong = await openWorld(page, "team");
  await page.getByTestId("pause").click();
  await expect(page.getByTestId("state-text")).toHaveText("Paused");
  await page.getByTestId("resume").click();
  await expect(page.getByTestId("state-text")).toHaveText("7 conflicts need you");
  await page.getByRole("button", { name: "Make the change here…" }).click();
  await expect(page.getByRole("dialog")).toContainText("4,211 files");
  await page.getByRole("button", { name: "Make the change", exact: true }).click();
  await expect(page.getByText("4,211 files would be deleted here.")).toHaveCount(0);
  expect(wrong).toEqual([]);
});

test("a reader takes its changes back", async ({ page }) => {
  await openWorld(page, "reader");
  await expect(page.getByTestId("invite")).toHaveCount(0);
  await page.getByRole("button", { name: "Take my changes back…" }).click();
  await page.getByRole("button", { name: "Take them back" }).click();
  await expect(page.getByText("3 files taken back")).toBeVisible();
  await expect(page.getByText("Everything is the same everywhere")).toBeVisible();
});

test("a folder that has stopped offers what helps", async ({ page }) => {
  const wrong = await openWorld(page, "halted");
  await expect(page.locator("main")).not.toContainText(/rejoin|FOLDER/);
  await page.getByTestId("rejoin").click();
  await expect(page.getByRole("dialog")).toContainText("nothing is deleted");
  await page.getByTestId("rejoin-confirm").click();
  await expect(page.getByText("Design goes on with what is there now")).toBeVisible();
  await expect(page.getByTestId("state-text")).not.toHaveText("Stopped");
  await page.getByTestId("folder-item").nth(1).click();
  await expect(page.getByRole("button", { name: "Look again" })).toBeVisible();
  await expect(page.getByTestId("rejoin")).toHaveCount(0);
  await page.getByTestId("folder-item").nth(2).click();
  await page.getByTestId("rebuild").click();
  await expect(page.getByTestId("state-text")).toHaveText("Up to date");
  expect(wrong).toEqual([]);
});

test("many alike are one line of the history, which has no versions", async ({ page }) => {
  await openWorld(page, "team");
  await openTab(page, "history");
  const many = page.locator('[data-testid=history-entry][data-path="photos"]');
  await expect(many).toContainText(/Ana’s laptop\s+added\s+20,000 files in\s+photos/);
  await many.click();
  await expect(page.getByTestId("version-item")).toHaveCount(0);
});

test("restores a version from the history", async ({ page }) => {
  await openWorld(page, "team");
  await openTab(page, "history");
  await page.locator('[data-testid=history-entry][data-path="brief/spring-campaign.md"]').first().click();
  await page.getByTestId("version-item").nth(1).click();
  await page.getByTestId("restore").click();
  await page.getByTestId("restore-confirm").click();
  await expect(page.getByText("Restored: brief/spring-campaign.md")).toBeVisible();
  await expect(page.getByTestId("history-entry").first()).toContainText("replaced");
  await expect(page.getByTestId("version-item")).toHaveCount(5);
});

test("the history loads on at its end, and filters", async ({ page }) => {
  await openWorld(page, "team");
  await openTab(page, "history");
  const list = page.getByRole("listbox");
  await list.focus();
  for (let at = 0; at < 6; at++) {
    await page.keyboard.press("End");
    await page.waitForTimeout(80);
  }
  await expect(page.getByTestId("history-entry").last()).toHaveAttribute("aria-setsize", "408");
  await page.getByLabel("Filter history").fill("plan.docx");
  await expect(page.getByTestId("history-entry")).toHaveCount(1);
});

test("ignore patterns are previewed while they are typed, roles are set, a folder is removed", async ({ page }) => {
  await openWorld(page, "team");
  await openTab(page, "settings");
  await page.getByLabel("Ignore patterns").fill("*.png\n[oops");
  await expect(page.getByText("62 files left alone")).toBeVisible();
  await expect(page.locator(".bad").getByText("[oops")).toBeVisible();
  await page.getByTestId("limit-add").selectOption({ label: "Ana’s laptop" });
  const limit = page.getByRole("form", { name: "With Ana’s laptop" });
  await limit.getByLabel("Sending, KB/s").fill("250");
  await limit.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Limits saved")).toBeVisible();
  await expect(limit.getByLabel("Sending, KB/s")).toHaveValue("250");
  await openTab(page, "devices");
  await page.getByLabel("Role of Jonas’ PC").selectOption("editor");
  await expect(page.getByText("Jonas’ PC is now Editor")).toBeVisible();
  await page.getByRole("button", { name: "More", exact: true }).click();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Remove folder" }).click();
  await expect(page.getByTestId("folder-item")).toHaveCount(2);
});

test("a directory dropped on the window is shared", async ({ page }) => {
  await openWorld(page, "team");
  await page.evaluate(() => window.dispatchEvent(new CustomEvent("fake-drop", { detail: ["/home/mira/Dropped"] })));
  await expect(page.getByTestId("share-path")).toHaveValue("/home/mira/Dropped");
  await page.getByTestId("share-go").click();
  await expect(page.locator('[data-testid=folder-item][data-folder="Dropped"]')).toBeVisible();
});

test("what others do appears while a view stays open, and nothing flickers", async ({ page }) => {
  await openWorld(page, "team");
  const edit = (path: string) => page.evaluate((name) => window.dispatchEvent(new CustomEvent("fake-edit", { detail: { folder: "design", path: name } })), path);
  await openTab(page, "history");
  await page.getByTestId("history-entry").nth(4).click();
  await expect(page.getByTestId("version-item").first()).toBeVisible();
  await expect(page.locator("main .skeleton")).toHaveCount(0);
  await page.evaluate(() => {
    const seen = { skeletons: 0 };
    Object.assign(window, { seen });
    const look = () => (seen.skeletons += document.querySelectorAll("main .skeleton").length);
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  });
  const skeletons = () => page.evaluate(() => (window as unknown as { seen: { skeletons: number } }).seen.skeletons);
  await edit("one.txt");
  await edit("two.txt");
  await expect(page.getByTestId("history-entry").first()).toContainText("two.txt");
  // What was chosen is still chosen, two rows further down.
  await expect(page.getByRole("option", { selected: true })).toHaveAttribute("aria-posinset", "7");
  expect(await skeletons()).toBe(0);
  await openTab(page, "conflicts");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await expect(page.locator(".cm-content")).toHaveCount(2);
  await page.evaluate(() => document.querySelector(".cm-editor")?.setAttribute("data-same", ""));
  const before = await skeletons();
  await edit("three.txt");
  await page.waitForTimeout(2500);
  await expect(page.locator(".cm-editor[data-same]")).toHaveCount(1);
  await expect(page.getByRole("option", { selected: true })).toHaveAttribute("data-path", "brief/spring-campaign.md");
  expect(await skeletons()).toBe(before);
});
