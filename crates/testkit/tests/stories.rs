//! Every story of `tests/scenarios/`, in the simulated world. `BIFOLD_STORY=06` plays those whose names begin so;
//! `BIFOLD_HISTORIES=1` takes the time for every moment at which something may happen; with `BIFOLD_TRACE=1` all that was done in one that
//! fails is told, too.

#![allow(clippy::unwrap_used, reason = "in a test a panic is a failed test")]

use bifold_testkit::story::{Story, play_simulated};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

fn played(file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).unwrap();
    let story = text.parse::<Story>().map_err(|e| e.to_string())?;
    catch_unwind(|| play_simulated(&story)).unwrap_or_else(|_| Err("it panicked: see above".to_owned()))
}

#[test]
fn stories_in_the_simulated_world() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let only = std::env::var("BIFOLD_STORY").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(&only));
    files.sort();
    assert!(!files.is_empty(), "no stories");
    let count = files.len();
    let rest = Mutex::new(files);
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(file) = rest.lock().unwrap().pop() else { break };
            if let Err(message) = played(&file) {
                failed
                    .lock()
                    .unwrap()
                    .push(format!("{}: {message}", file.file_name().unwrap().to_string_lossy()));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    assert!(
        failed.is_empty(),
        "{} of {count} stories failed:\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}
