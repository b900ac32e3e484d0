use super::*;
use crate::native::NativeFs;
use crate::stage::Moved;
use bifold_tree::Bytes;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};

static RUNS: AtomicBool = AtomicBool::new(false);

fn turns(dir: &tempfile::TempDir) -> Arc<Turns> {
    let begin = |work: Work| {
        std::thread::spawn(work);
        true
    };
    Arc::new(Turns::new(Arc::new(NativeFs::open(dir.path()).unwrap()), Box::new(begin)))
}

fn wanted(mtime_ns: i64) -> Wanted {
    Wanted {
        bytes: Bytes::File(ContentId::empty()),
        size: 9,
        mtime_ns,
        exec: false,
    }
}

/// How a file is brought: once that is said, or not at all if it is told to stop.
struct Source {
    come: Sender<()>,
    comes: Option<Receiver<()>>,
    begun: Arc<AtomicUsize>,
    stopped: Arc<AtomicUsize>,
}

impl Source {
    fn new() -> Source {
        let (come, comes) = channel();
        Source {
            come,
            comes: Some(comes),
            begun: Arc::default(),
            stopped: Arc::default(),
        }
    }

    fn ask(&mut self, turns: &Arc<Turns>, wanted: &Wanted) -> Waited {
        let (begun, stopped, comes) = (self.begun.clone(), self.stopped.clone(), self.comes.take());
        let to_bring = ToBring {
            wanted,
            replaced: None,
            how: Box::new(move |bringing| {
                begun.fetch_add(1, Ordering::Relaxed);
                let comes = comes.unwrap();
                loop {
                    if comes.recv_timeout(Duration::from_millis(5)).is_ok() {
                        return Ok(Brought {
                            path: ".bifold/stage/it".into(),
                            moved: Moved::default(),
                            chunks: None,
                        });
                    }
                    if bringing.stop.load(Ordering::Relaxed) {
                        stopped.fetch_add(1, Ordering::Relaxed);
                        return Err(StageError::Missing);
                    }
                }
            }),
        };
        turns.bring(to_bring, &RUNS, &|_| {})
    }
}

fn until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_goes_on_coming_while_others_have_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let turns = turns(&dir);
    let mut how = Source::new();
    turns.began();
    turns.make_room();
    assert!(matches!(how.ask(&turns, &wanted(1)), Waited::Enough));
    turns.ended(false);
    turns.began();
    how.come.send(()).unwrap();
    assert!(matches!(how.ask(&turns, &wanted(1)), Waited::For(Ok(_))));
    assert_eq!(how.begun.load(Ordering::Relaxed), 1);
}

#[test]
fn steps_that_are_ready_do_not_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let turns = turns(&dir);
    let mut how = Source::new();
    turns.began();
    turns.steps_are_ready();
    assert!(matches!(how.ask(&turns, &wanted(1)), Waited::Enough));
    turns.ended(true);
    // (The next plan needs it still.)
    turns.began();
    turns.make_room();
    assert!(matches!(how.ask(&turns, &wanted(1)), Waited::Enough));
    assert_eq!(
        (how.begun.load(Ordering::Relaxed), how.stopped.load(Ordering::Relaxed)),
        (1, 0)
    );
}

#[test]
fn what_no_plan_needs_is_not_brought_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let turns = turns(&dir);
    let mut how = Source::new();
    turns.began();
    turns.make_room();
    assert!(matches!(how.ask(&turns, &wanted(1)), Waited::Enough));
    turns.ended(false);
    turns.began();
    turns.ended(true);
    until(|| how.stopped.load(Ordering::Relaxed) == 1);
    // Who needs it again gets it.
    let mut again = Source::new();
    again.come.send(()).unwrap();
    turns.began();
    assert!(matches!(again.ask(&turns, &wanted(1)), Waited::For(Ok(_))));
}

#[test]
fn the_same_bytes_for_another_file_are_brought_anew() {
    let dir = tempfile::tempdir().unwrap();
    let turns = turns(&dir);
    let (mut one, mut other) = (Source::new(), Source::new());
    turns.began();
    turns.make_room();
    assert!(matches!(one.ask(&turns, &wanted(1)), Waited::Enough));
    // As long as it is needed, the other waits.
    assert!(matches!(other.ask(&turns, &wanted(2)), Waited::Enough));
    assert_eq!(other.begun.load(Ordering::Relaxed), 0);
    let mut other = Source::new();
    other.come.send(()).unwrap();
    turns.began();
    assert!(matches!(other.ask(&turns, &wanted(2)), Waited::For(Ok(_))));
    assert_eq!(one.stopped.load(Ordering::Relaxed), 1);
}

#[test]
fn nothing_is_waited_for_once_the_program_is_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let turns = turns(&dir);
    let mut how = Source::new();
    turns.began();
    let waits = {
        let turns = turns.clone();
        let (begun, stopped) = (how.begun.clone(), how.stopped.clone());
        let thread = std::thread::spawn(move || matches!(how.ask(&turns, &wanted(1)), Waited::For(Err(StageError::Missing))));
        (thread, begun, stopped)
    };
    until(|| waits.1.load(Ordering::Relaxed) == 1);
    turns.stop();
    assert!(waits.0.join().unwrap());
    assert_eq!(waits.2.load(Ordering::Relaxed), 1);
}
