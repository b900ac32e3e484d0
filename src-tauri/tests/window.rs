//! The real program in a real window, as a person uses it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

use bifold_testdesk::{Desk, Window, has, until};
use std::path::{Path, PathBuf};
use std::time::Duration;

const APP: &str = env!("CARGO_BIN_EXE_bifold-desktop");

#[tokio::test]
async fn two_people_share_disagree_and_settle() {
    let (mut anna, mut ben) = (Desk::new(APP, "anna", true).await, Desk::new(APP, "ben", true).await);
    let (a, b) = (anna.at("team"), ben.at("team"));
    std::fs::create_dir_all(&a).unwrap();
    std::fs::write(a.join("plan.md"), "one\n").unwrap();

    // First start: share a folder, invite; join with the ticket on the other device.
    let of_anna = anna.window().await;
    of_anna.click("first-share").await;
    of_anna.type_into("share-path", a.to_str().unwrap()).await;
    of_anna.click("share-go").await;
    of_anna.text("[data-testid=folder-item]", |text| text.contains("team")).await;
    of_anna.click("invite").await;
    of_anna.click("invite-make").await;
    let ticket = of_anna.text("[data-testid=invite-ticket]", |text| !text.is_empty()).await;
    of_anna.click_css("dialog .button.primary").await;
    let of_ben = ben.window().await;
    of_ben.click("first-join").await;
    of_ben.type_into("join-ticket", &ticket).await;
    of_ben.type_into("join-path", b.to_str().unwrap()).await;
    of_ben.click("join-go").await;
    has(&b.join("plan.md"), "one\n").await;
    anna.tray_says("Up to date").await;
    for window in [&of_anna, &of_ben] {
        window.text("[data-testid=state-text]", |text| text == "Up to date").await;
        window.text("header", |text| text.contains("2 devices")).await;
    }

    // Both edit while one is paused, by the tray.
    ben.tray_click("Pause until resumed").await;
    of_ben
        .text("[data-testid=state-text]", |text| text.to_lowercase().contains("paused"))
        .await;
    std::fs::write(a.join("plan.md"), "one\nby anna\n").unwrap();
    std::fs::write(b.join("plan.md"), "one\nby ben\n").unwrap();
    std::fs::write(a.join("notes.md"), "first\n").unwrap();
    ben.tray_click("Resume").await;
    has(&b.join("notes.md"), "first\n").await;

    // The conflict is in the window, in the tray, and in one notification.
    of_anna.click("tab-conflicts").await;
    of_anna.click_css("[data-testid=conflict-item][data-path='plan.md']").await;
    anna.tray_says("1 conflict").await;
    let note = tokio::time::timeout(Duration::from_secs(20), anna.notes.recv())
        .await
        .unwrap();
    assert_eq!(note.as_deref(), Some("team: 1 conflict waits for you"));
    assert_eq!(std::fs::read_to_string(a.join("plan.md")).unwrap(), "one\nby anna\n");
    of_anna.click("keep-theirs").await;
    of_anna.click("pick-confirm").await;
    has(&a.join("plan.md"), "one\nby ben\n").await;
    has(&b.join("plan.md"), "one\nby ben\n").await;

    // An older version is put back, here and there.
    of_anna.click("tab-history").await;
    of_anna.click_css("[data-testid=history-entry][data-path='plan.md']").await;
    of_anna
        .click_css("[data-testid=version-item]:not([data-version=current])")
        .await;
    of_anna.click("restore").await;
    of_anna.click("restore-confirm").await;
    has(&a.join("plan.md"), "one\nby anna\n").await;
    has(&b.join("plan.md"), "one\nby anna\n").await;

    // Quit in the middle of a transfer; it goes on after the next start, without a window.
    let size: u64 = 150 << 20;
    let bytes: Vec<u8> = (0..size / 8)
        .flat_map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    std::fs::write(a.join("film"), &bytes).unwrap();
    until("a part of the film", async || {
        let partial = std::fs::read_dir(b.join(".bifold/partial")).ok()?;
        partial.flatten().next().map(drop)
    })
    .await;
    ben.tray_click("Quit").await;
    until("ben's program ends", async || {
        let left = of_ben.0.title().await;
        left.is_err().then_some(())
    })
    .await;
    assert!(!b.join("film").exists(), "it was not over yet");
    let mut again = ben.hidden().await;
    until("the film", async || {
        (std::fs::metadata(b.join("film")).ok()?.len() == size).then_some(())
    })
    .await;
    assert!(std::fs::read(b.join("film")).unwrap() == bytes);
    ben.tray_says("Up to date").await;
    ben.tray_click("Quit").await;
    assert!(again.ends().await.success());
}

#[tokio::test]
async fn without_a_tray_the_window_stays() {
    let mut desk = Desk::new(APP, "anna", false).await;
    let window = desk.window().await;
    window.text("[data-testid=first-join]", |_| true).await;
    // A second start hands its link on, and ends.
    let second = desk.second("bifold:join/nonsense").await;
    assert!(second.success());
    let put = async || {
        let value = window.value("[data-testid=join-ticket]").await?;
        value.contains("nonsense").then_some(())
    };
    until("the ticket of the link", put).await;
    window.type_into("join-path", desk.at("here").to_str().unwrap()).await;
    window.click("join-go").await;
    window
        .text("dialog [role=alert]", |text| {
            text.to_lowercase().contains("invitation") || text.contains("ticket")
        })
        .await;
    assert!(desk.said().contains("the window stays"));
}

#[tokio::test]
async fn a_home_that_is_in_use_is_said() {
    let mut desk = Desk::new(APP, "anna", true).await;
    let mut first = desk.hidden().await;
    let home = desk.at("data/bifold");
    until("the home", async || home.join("control.sock").exists().then_some(())).await;
    // (On a session bus of its own, it is no second start.)
    let mut other = Desk::new(APP, "other", true).await;
    let mut args = other.args();
    args.extend(["--home".into(), home.to_str().unwrap().to_owned()]);
    let window = other.window_with(args).await;
    window.text("main, body", |text| text.contains("Try again")).await;
    desk.tray_click("Quit").await;
    assert!(first.ends().await.success());
    window.click_css("button[data-testid=retry]").await;
    window.text("[data-testid=first-share]", |text| !text.is_empty()).await;
}

/// The only index below a directory.
fn index_below(dir: &Path) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).collect();
    let here = entries
        .iter()
        .find(|path| path.file_name().is_some_and(|name| name == "index.db"));
    here.cloned().or_else(|| entries.iter().find_map(|path| index_below(path)))
}

#[tokio::test]
async fn what_is_wrong_with_a_folder_is_said_and_mended() {
    let mut desk = Desk::new(APP, "anna", true).await;
    let folder = desk.at("team <b>&amp;");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("<img src=x onerror=alert(1)>.md"), "one\n").unwrap();
    let window = desk.window().await;
    window.click("first-share").await;
    window.type_into("share-path", folder.to_str().unwrap()).await;
    window.click("share-go").await;
    window
        .text("[data-testid=folder-item]", |text| text.contains("team <b>&amp;"))
        .await;
    desk.tray_says("Up to date").await;

    // The folder goes away while it runs; another one stands in its place; then it is there again.
    std::fs::rename(&folder, desk.at("away")).unwrap();
    window
        .text(".banner p", |text| text.contains("moved, removed or unmounted"))
        .await;
    desk.tray_says("A folder is halted").await;
    std::fs::create_dir(&folder).unwrap();
    window.text("[data-testid=rejoin]", |text| !text.is_empty()).await;
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(desk.at("away"), &folder).unwrap();
    desk.tray_says("Up to date").await;

    // Its index is damaged: it can be made anew from here, and no file is touched.
    let quit = async |desk: &Desk, window: &Window| {
        desk.tray_click("Quit").await;
        until("it ends", async || window.0.title().await.is_err().then_some(())).await;
    };
    quit(&desk, &window).await;
    let index = index_below(&desk.at("data")).unwrap();
    let whole = std::fs::read(&index).unwrap();
    let mut broken = whole.clone();
    broken[100..]
        .iter_mut()
        .for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
    std::fs::write(&index, &broken).unwrap();
    let window = desk.window().await;
    window.text(".banner p", |text| text.contains("is damaged")).await;
    window.click("rebuild").await;
    desk.tray_says("Up to date").await;

    // It is of a newer program: it stays as it is.
    quit(&desk, &window).await;
    let mut newer = whole;
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    std::fs::write(&index, &newer).unwrap();
    let window = desk.window().await;
    window.text(".banner p", |text| text.contains("newer Bifold")).await;
    desk.tray_says("A folder is halted").await;
    assert!(std::fs::read(&index).unwrap() == newer);
    let file = std::fs::read_to_string(folder.join("<img src=x onerror=alert(1)>.md"));
    assert_eq!(file.unwrap(), "one\n");
}

#[test]
fn without_a_display_it_says_what_to_do() {
    let mut command = std::process::Command::new(APP);
    let done = command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("no display") && said.contains("bifold daemon"), "{said}");
}
