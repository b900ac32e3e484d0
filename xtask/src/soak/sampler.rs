//! What the daemons take, once a second, as the system tells it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::NAMES;
use super::device::Device;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// How often the files are counted, in samples.
const FILES_EVERY: usize = 5;
/// By how much what is flat may grow from the middle to the end: a share of it, and something on top.
const MOST_GROWTH: f64 = 1.25;
const MEMORY_ON_TOP: f64 = 24.0;
const HANDLES_ON_TOP: f64 = 16.0;

/// One daemon at one time.
#[derive(Clone, Copy)]
pub struct One {
    pub memory_mib: f64,
    pub handles: f64,
    pub threads: f64,
    pub cpu_percent: f64,
}

/// One of its figures.
pub type Figure = fn(&One) -> f64;

/// All at one time.
pub struct Sample {
    pub seconds: f64,
    /// A daemon that is down has none.
    pub daemons: [Option<One>; NAMES.len()],
    /// Files in each root, as last counted.
    pub files: [u64; NAMES.len()],
}

/// What was done meanwhile.
#[derive(Clone, Copy)]
pub enum Event {
    /// The cable of one was put in, or pulled.
    Cable(usize, bool),
    /// The load is over.
    Over,
}

#[derive(Default)]
pub struct Samples {
    pub all: Vec<Sample>,
    pub events: Vec<(f64, Event)>,
}

pub struct Sampler {
    begun: Instant,
    samples: Arc<Mutex<Samples>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    pub fn start(devices: &[Arc<Device>]) -> Sampler {
        let (begun, samples, stop) = (Instant::now(), Arc::default(), Arc::new(AtomicBool::new(false)));
        let (sampling, stopped, devices) = (Arc::clone(&samples), stop.clone(), devices.to_vec());
        let thread = std::thread::spawn(move || sample(&devices, begun, &sampling, &stopped));
        Sampler {
            begun,
            samples,
            stop,
            thread: Some(thread),
        }
    }

    pub fn event(&self, event: Event) {
        let at = self.begun.elapsed().as_secs_f64();
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .events
            .push((at, event));
    }

    /// How it is now, in words.
    pub fn last(&self) -> String {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = samples.all.last() else {
            return String::new();
        };
        let one = |(i, one): (usize, &Option<One>)| match one {
            Some(one) => format!("{} {:.0} MiB, {:.0} handles", NAMES[i], one.memory_mib, one.handles),
            None => format!("{} down", NAMES[i]),
        };
        let daemons: Vec<String> = last.daemons.iter().enumerate().map(one).collect();
        format!("{}; {} files", daemons.join("; "), last.files[0])
    }

    pub fn stop(mut self) -> Samples {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn sample(devices: &[Arc<Device>], begun: Instant, samples: &Mutex<Samples>, stop: &AtomicBool) {
    // SAFETY: it only asks.
    let ticks_a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    // Of each daemon: which process, when it was looked at, and how long it had run by then.
    let mut before: [Option<(u32, Instant, f64)>; NAMES.len()] = [None; NAMES.len()];
    let mut files = [0; NAMES.len()];
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut daemons = [None; NAMES.len()];
        for (i, device) in devices.iter().enumerate() {
            let now = Instant::now();
            let Some((id, looked)) = device.id().and_then(|id| Some((id, look(id)?))) else {
                before[i] = None;
                continue;
            };
            let (mut one, ran) = looked;
            if let Some((_, at, had_run)) = before[i].filter(|(same, ..)| *same == id) {
                one.cpu_percent = (ran - had_run) / ticks_a_second / (now - at).as_secs_f64().max(0.001) * 100.0;
            }
            before[i] = Some((id, now, ran));
            daemons[i] = Some(one);
            if n % FILES_EVERY == i {
                files[i] = count(&device.root);
            }
        }
        let sample = Sample {
            seconds: begun.elapsed().as_secs_f64(),
            daemons,
            files,
        };
        samples.lock().unwrap_or_else(PoisonError::into_inner).all.push(sample);
        sleep(EVERY);
    }
}

/// A process, and how many ticks it has run.
fn look(id: u32) -> Option<(One, f64)> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    // (While it is not the daemon yet, but what becomes it, these are not its figures.)
    if status.lines().next()?.split_whitespace().nth(1) == Some("ip") {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let ran = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
    let one = One {
        memory_mib: number("VmRSS:")? / 1024.0,
        threads: number("Threads:")?,
        handles: fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as f64,
        cpu_percent: 0.0,
    };
    Some((one, ran.filter_map(|n| n.parse::<f64>().ok()).sum()))
}

fn count(root: &Path) -> u64 {
    let mut files = 0;
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() != ".bifold" => todo.push(entry.path()),
                Ok(kind) if kind.is_file() => files += 1,
                _ => {}
            }
        }
    }
    files
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl Samples {
    /// When the load ended, in seconds.
    fn end(&self) -> f64 {
        let end = self.events.iter().find(|(_, event)| matches!(event, Event::Over));
        end.map_or_else(|| self.all.last().map_or(0.0, |sample| sample.seconds), |(at, _)| *at)
    }

    /// The median of a figure of one daemon, from one part of the load to another.
    fn median(&self, i: usize, from: f64, to: f64, of: Figure) -> Option<f64> {
        let end = self.end();
        let within = self.all.iter().filter(|s| s.seconds >= from * end && s.seconds <= to * end);
        median(within.filter_map(|s| s.daemons[i].as_ref().map(of)).collect())
    }

    /// Compares the middle of the load with its last fifth, in words; `flat` becomes false if something has grown.
    pub fn judge(&self, flat: &mut bool) -> String {
        let mut text = String::from("Median of the middle fifth of the load, and of the last:\n");
        for (i, name) in NAMES.iter().enumerate() {
            let figures: [(&str, Figure, f64); 3] = [
                ("MiB of memory", |one| one.memory_mib, MEMORY_ON_TOP),
                ("handles", |one| one.handles, HANDLES_ON_TOP),
                ("threads", |one| one.threads, HANDLES_ON_TOP),
            ];
            for (what, of, on_top) in figures {
                let (Some(middle), Some(last)) = (self.median(i, 0.4, 0.6, of), self.median(i, 0.8, 1.0, of)) else {
                    continue;
                };
                let grown = last > middle * MOST_GROWTH + on_top;
                *flat &= !grown;
                let verdict = if grown { "  GROWN" } else { "" };
                let _ = writeln!(text, "  {name:6} {middle:6.1} {last:6.1} {what}{verdict}");
            }
            let run = self.median(i, 0.0, 1.0, |one| one.cpu_percent);
            let _ = writeln!(text, "  {name:6} {:6.1} % of a processor (median)", run.unwrap_or_default());
        }
        text
    }

    /// A line for each time.
    pub fn csv(&self) -> String {
        let mut text = String::from("seconds");
        for name in NAMES {
            for what in ["memory_mib", "handles", "threads", "cpu_percent", "files"] {
                let _ = write!(text, ",{name}_{what}");
            }
        }
        text.push('\n');
        for sample in &self.all {
            let _ = write!(text, "{:.1}", sample.seconds);
            for (daemon, files) in sample.daemons.iter().zip(&sample.files) {
                let _ = match daemon {
                    Some(one) => write!(
                        text,
                        ",{:.1},{},{},{:.1},{files}",
                        one.memory_mib, one.handles, one.threads, one.cpu_percent
                    ),
                    None => write!(text, ",,,,,{files}"),
                };
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory_mib: impl Fn(f64) -> f64) -> Samples {
        let sample = |n: u32| {
            let seconds = f64::from(n);
            let one = One {
                memory_mib: memory_mib(seconds),
                handles: 50.0,
                threads: 9.0,
                cpu_percent: 1.0,
            };
            Sample {
                seconds,
                daemons: [Some(one), None, Some(one)],
                files: [1; NAMES.len()],
            }
        };
        Samples {
            all: (0..600).map(sample).collect(),
            events: Vec::new(),
        }
    }

    #[test]
    fn what_goes_up_and_down_is_flat_and_what_grows_is_not() {
        let mut flat = true;
        samples(|s| 100.0 + (s / 7.0).sin() * 40.0).judge(&mut flat);
        assert!(flat);
        let text = samples(|s| 60.0 + s / 4.0).judge(&mut flat);
        assert!(
            !flat && text.contains("anna") && text.contains("MiB of memory  GROWN"),
            "{text}"
        );
    }

    #[test]
    fn a_daemon_that_is_down_has_no_figures() {
        let csv = samples(|_| 1.0).csv();
        let mut lines = csv.lines();
        assert_eq!(lines.next().unwrap().split(',').count(), 16);
        assert_eq!(lines.next().unwrap(), "0.0,1.0,50,9,1.0,1,,,,,1,1.0,50,9,1.0,1");
    }

    #[test]
    fn this_very_process_can_be_looked_at() {
        let (one, _) = look(std::process::id()).unwrap();
        assert!(one.memory_mib > 1.0 && one.handles >= 3.0 && one.threads >= 1.0);
        assert!(count(Path::new(env!("CARGO_MANIFEST_DIR"))) > 5);
    }
}
