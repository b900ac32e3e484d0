//! From text to a history: the other direction of `told`.

use super::tape::{At, Deed, Event, History, What};
use super::told::names;
use crate::moments::End;
use crate::story::{BadStory, Ending, Order, Rule, order};
use bifold_engine::core::Prefer;
use std::str::{FromStr, SplitWhitespace};

impl FromStr for History {
    type Err = BadStory;

    fn from_str(text: &str) -> Result<History, BadStory> {
        let mut history = History {
            seed: 0,
            disks: Vec::new(),
            prefer: Prefer::Ask,
            workload: Vec::new(),
            schedule: Vec::new(),
        };
        for (i, line) in text.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                history.take(line).map_err(|message| BadStory { line: i + 1, message })?;
            }
        }
        if history.disks.len() < 2 {
            return Err(BadStory {
                line: 1,
                message: "no devices are named; a history begins with `history SEED` and `devices anna ben`".to_owned(),
            });
        }
        Ok(history)
    }
}

impl History {
    /// Takes in a line.
    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix('@') {
            let (at, what) = rest.split_once(' ').ok_or("after its time a line says what happens")?;
            let at = at.parse().map_err(|_| format!("@{at} is no time"))?;
            return self.happens(at, what);
        }
        let mut words = line.split_whitespace();
        match words.next() {
            Some("history") => self.seed = number(&mut words)?,
            Some("devices") => {
                let named: Vec<&str> = words.collect();
                if named.len() > names().len() || named != names()[..named.len()] {
                    return Err(format!(
                        "the devices of a history are {}, or the first of them",
                        names().join(", ")
                    ));
                }
                self.disks = vec![Vec::new(); named.len()];
            }
            _ => match order(line, &names())? {
                Order::Disk(d, kind) => self.disks.get_mut(d).ok_or("there is no such device")?.push(kind),
                Order::Prefer(Rule::Newest) => self.prefer = Prefer::Newest,
                Order::Prefer(Rule::Both) => self.prefer = Prefer::Both,
                _ => return Err("this needs a time before it: `@80 ...`".to_owned()),
            },
        }
        Ok(())
    }

    fn happens(&mut self, at: At, what: &str) -> Result<(), String> {
        let mut words = what.split_whitespace();
        let first = words.next().unwrap_or_default();
        let event = match first {
            "go" => Event::Go(number(&mut words)?),
            "kill" => Event::End(device(&mut words)?, End::Kill, number(&mut words)?),
            "cut" => Event::End(device(&mut words)?, End::PowerCut, number(&mut words)?),
            "sleep" => Event::Sleep(device(&mut words)?),
            "wake" => Event::Wake(device(&mut words)?),
            "duplicate" => Event::Duplicate,
            "fetches" => Event::Fetches(number(&mut words)?),
            "amid-call" => Event::Amid(number(&mut words)?, false),
            "amid-change" => Event::Amid(number(&mut words)?, true),
            "flaky" => {
                let d = device(&mut words)?;
                let (reads, writes) = match words.next() {
                    Some("reads") => (true, false),
                    Some("writes") => (false, true),
                    Some("calls") => (true, true),
                    _ => return Err("`flaky DEVICE`: `reads`, `writes` or `calls`?".to_owned()),
                };
                Event::Flaky(d, reads, writes, number(&mut words)?)
            }
            "slow" => Event::Slow(device(&mut words)?, number(&mut words)?),
            "unreadable-nth" => Event::Unreadable(device(&mut words)?, number(&mut words)?),
            "unwritable-nth" => Event::Unwritable(device(&mut words)?, number(&mut words)?),
            "heal" => Event::Heal(device(&mut words)?),
            "skew" => Event::Skew(device(&mut words)?, number(&mut words)?),
            "copy-index" => Event::CopyIndex(device(&mut words)?),
            "put-back-index" => Event::RestoreIndex(device(&mut words)?),
            "lose-index" => Event::LoseIndex(device(&mut words)?),
            "copy-disk" => Event::CopyDisk(device(&mut words)?),
            "put-back-disk" => Event::RestoreDisk(device(&mut words)?),
            _ => return self.ordered(at, first, what),
        };
        if let Some(word) = words.next() {
            return Err(format!("`{word}` is too much here"));
        }
        self.schedule.push((at, event));
        Ok(())
    }

    /// What stories have, too; and what people decide.
    fn ordered(&mut self, at: At, first: &str, what: &str) -> Result<(), String> {
        let decides = what
            .strip_prefix(first)
            .and_then(|rest| rest.trim_start().strip_prefix("decide "));
        if let (Some(name), Some(rest)) = (first.strip_suffix(':'), decides) {
            let mut words = rest.split_whitespace();
            let deed = Deed {
                device: device(&mut name.split_whitespace())?,
                what: What::Decide(number(&mut words)?, number(&mut words)?),
            };
            self.workload.push((at, deed));
            return Ok(());
        }
        let event = match order(what, &names())? {
            Order::User(device, act) => {
                let what = What::Act(act);
                self.workload.push((at, Deed { device, what }));
                return Ok(());
            }
            Order::Settle(Ending::Well) => Event::Settle,
            Order::Wait(seconds) => Event::Wait(seconds),
            Order::Part(a, b) => Event::Part(a, b),
            Order::Join(a, b) => Event::Join(a, b),
            Order::Restart => Event::Restart,
            Order::Room(d, Some(bytes)) => Event::Full(d, bytes),
            _ => return Err(format!("`{first}` is for stories, and not for histories")),
        };
        self.schedule.push((at, event));
        Ok(())
    }
}

fn number<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Result<T, String> {
    let word = words.next().ok_or("a number is missing at the end")?;
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn device(words: &mut SplitWhitespace<'_>) -> Result<usize, String> {
    let word = words.next().ok_or("a device is missing at the end")?;
    let there = names().iter().position(|name| name == word);
    there.ok_or_else(|| format!("there is no device {word}; there are {}", names().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{play_new, text_of};

    #[test]
    fn what_is_told_is_understood_as_it_was_meant() {
        let mut lines = 0;
        for seed in 1..=60 {
            let history = play_new(&History::new(seed), false).history;
            let text = text_of(&history);
            let read: History = text.parse().unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
            assert_eq!(read, history, "{text}");
            lines += text.lines().count();
        }
        assert!(lines > 2000, "{lines}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, wrong) in [
            ("@x go 1", "@x is no time"),
            ("@8 go", "a number is missing at the end"),
            ("@8 go 1 2", "`2` is too much here"),
            ("@8 kill emil 1", "there is no device emil; there are anna, ben, cleo, dora"),
            ("@8 mount anna", "`mount` is for stories, and not for histories"),
            ("anna: delete x", "this needs a time before it: `@80 ...`"),
        ] {
            let bad = format!("history 1\ndevices anna ben\n{line}\n").parse::<History>();
            let said = bad.map_err(|e| (e.line, e.message));
            assert_eq!(said, Err((3, wrong.to_owned())));
        }
        assert!("history 1\n".parse::<History>().is_err());
    }
}
