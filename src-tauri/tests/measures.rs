//! What the window costs: time to the first picture and to the folders, memory, processor. Not a test of the plain run: figures are
//! looked at, not asserted. `BIFOLD_DESKTOP` names the program (best a release). `xdotool` closes its window, as a person does: that takes
//! a window manager, here `openbox`.
//!
//! `cargo test --package bifold-desktop --test measures -- --ignored --nocapture`
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use bifold_testdesk::{Desk, until};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Files in the folder.
const FILES: usize = 100_000;
/// How often everything is measured.
const RUNS: usize = 5;
/// How long the processor is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// How long it rests before memory is looked at.
const REST: Duration = Duration::from_secs(5);

/// A process and all that it has started, as far as they live.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .flat_map(family);
    std::iter::once(pid).chain(below).collect()
}

/// A number of `/proc/PID/FILE`, in MiB.
fn mib(pid: u32, file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Seconds of processor that a process has had.
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after.split(' ').skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// The milliseconds of the last line of the log that says this.
fn told(log: &str, what: &str) -> Option<f64> {
    let line = log.lines().rev().find(|line| line.contains(what))?;
    let number: String = line.split("ms=").nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    number.parse().ok()
}

#[tokio::test]
#[ignore = "measures, for some minutes"]
async fn what_the_window_costs() {
    let app = std::env::var("BIFOLD_DESKTOP").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bifold-desktop").to_owned());
    let mut desk = Desk::new(&app, "anna", true).await;
    let folder = desk.at("team");
    for i in 0..FILES {
        let dir = folder.join(format!("d{}", i % 1000));
        if i < 1000 {
            fs::create_dir_all(&dir).unwrap();
        }
        fs::write(dir.join(format!("f{i}")), i.to_string()).unwrap();
    }
    let window = desk.window().await;
    window.click("first-share").await;
    window.type_into("share-path", folder.to_str().unwrap()).await;
    window.click("share-go").await;
    window.text("header .fact", |text| text.contains("100,000")).await;
    desk.tray_says("Up to date").await;
    desk.tray_click("Quit").await;
    until("it ends", async || window.0.title().await.is_err().then_some(())).await;
    drop(window);

    let mut manager = desk.command("openbox").spawn().expect("openbox is installed");
    let (mut first, mut filled, mut own_open, mut all_open) = (vec![], vec![], vec![], vec![]);
    let (mut own_closed, mut all_closed, mut watched) = (vec![], vec![], vec![]);
    for run in 0..RUNS {
        let log = desk.said().len();
        let mut child = desk.command(&app).args(desk.args()).spawn().unwrap();
        let pid = child.id();
        let (window_ms, folders_ms) = until("the folders are drawn", async || {
            let said = desk.said();
            let said = &said[log..];
            Some((told(said, "the window is drawn")?, told(said, "the folders are drawn")?))
        })
        .await;
        tokio::time::sleep(REST).await;
        let pss = |pids: &[u32]| pids.iter().map(|pid| mib(*pid, "smaps_rollup", "Pss:")).sum::<f64>();
        first.push(window_ms);
        filled.push(folders_ms);
        own_open.push(mib(pid, "status", "VmRSS:"));
        all_open.push(pss(&family(pid)));
        let page =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("WebKitWebProc"));
        until("the web view is gone", async || {
            // (A key may come too early, and is pressed again.)
            let of_it = ["search", "--onlyvisible", "--all", "--pid", &pid.to_string(), "--name", "."];
            let mut close = desk.command("xdotool");
            let _ = close.args(of_it).args(["windowfocus", "--sync", "key", "alt+F4"]).status();
            tokio::time::sleep(Duration::from_secs(1)).await;
            (!family(pid).iter().any(page)).then_some(())
        })
        .await;
        tokio::time::sleep(REST).await;
        own_closed.push(mib(pid, "status", "VmRSS:"));
        all_closed.push(pss(&family(pid)));
        println!(
            "run {}: window {window_ms} ms, folders {folders_ms} ms; open {:.0} MiB itself (RSS), {:.0} MiB all (PSS); closed {:.0} and {:.0} MiB",
            run + 1,
            own_open[run],
            all_open[run],
            own_closed[run],
            all_closed[run],
        );
        // (The last one is watched for longer.)
        for _ in 0..if run + 1 == RUNS { RUNS } else { 0 } {
            let from = cpu(pid);
            tokio::time::sleep(WATCHED).await;
            watched.push(cpu(pid) - from);
            println!("{:.2} s CPU in {} s", cpu(pid) - from, WATCHED.as_secs());
        }
        Command::new("kill").arg(pid.to_string()).status().unwrap();
        child.wait().unwrap();
    }
    manager.kill().unwrap();
    manager.wait().unwrap();
    println!("\n{FILES} files, medians of {RUNS}: {app}");
    for (what, of, unit) in [
        ("start to the first picture", first, "ms"),
        ("start to the folders", filled, "ms"),
        ("memory, window open, the program itself (RSS)", own_open, "MiB"),
        ("memory, window open, all its processes (PSS)", all_open, "MiB"),
        ("memory, window closed, the program itself (RSS)", own_closed, "MiB"),
        ("memory, window closed, all its processes (PSS)", all_closed, "MiB"),
        ("processor in 60 s, window closed", watched, "s"),
    ] {
        println!("{what:<50} {:.2} {unit}", median(of));
    }
}
