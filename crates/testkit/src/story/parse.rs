//! From text to a story.

use super::time::time;
use super::token::{Token, tokens};
use super::{Act, BadStory, DiskKind, Ending, Expect, Line, Only, Order, PickSide, Rule, Shown, Story, What};

impl std::str::FromStr for Story {
    type Err = BadStory;

    fn from_str(text: &str) -> std::result::Result<Story, BadStory> {
        let mut story = Story {
            only: Only::Anywhere,
            devices: Vec::new(),
            lines: Vec::new(),
        };
        for (number, line) in joined(text) {
            let fail = |message| BadStory { line: number, message };
            let tokens = tokens(&line).map_err(fail)?;
            if tokens.is_empty() {
                continue;
            }
            let mut words = Words {
                tokens: &tokens,
                at: 0,
                devices: &story.devices,
            };
            let parsed = words.line(story.lines.is_empty()).map_err(fail)?;
            if words.at < tokens.len() {
                return Err(fail(format!("{} is too much here", show(&tokens[words.at]))));
            }
            match parsed {
                Parsed::Only(only) => story.only = only,
                Parsed::Devices(names) => story.devices = names,
                Parsed::Order(order) => story.lines.push(Line { number, order }),
            }
        }
        if story.devices.is_empty() {
            return Err(BadStory {
                line: 1,
                message: "no devices are named; a story begins with `devices a b`".to_owned(),
            });
        }
        Ok(story)
    }
}

/// One order, of devices with these names.
pub(crate) fn order(line: &str, devices: &[String]) -> Result<Order> {
    let tokens = tokens(line)?;
    let mut words = Words {
        tokens: &tokens,
        at: 0,
        devices,
    };
    let order = words.order()?;
    match tokens.get(words.at) {
        Some(token) => Err(format!("{} is too much here", show(token))),
        None => Ok(order),
    }
}

/// Lines, each with those that go on with it: they begin with a space.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        match lines.last_mut() {
            Some((_, last)) if line.starts_with([' ', '\t']) && !line.trim_start().starts_with('#') => {
                last.push(' ');
                last.push_str(line);
            }
            _ => lines.push((i + 1, line.to_owned())),
        }
    }
    lines
}

enum Parsed {
    Only(Only),
    Devices(Vec<String>),
    Order(Order),
}

struct Words<'a> {
    tokens: &'a [Token],
    at: usize,
    devices: &'a [String],
}

type Result<T> = std::result::Result<T, String>;

impl Words<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(w)) if w == word)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.at += usize::from(is);
        is
    }

    fn take(&mut self, token: &Token) -> bool {
        let is = self.peek() == Some(token);
        self.at += usize::from(is);
        is
    }

    fn next(&mut self, what: &str) -> Result<Token> {
        let token = self.peek().cloned().ok_or_else(|| format!("{what} is missing at the end"))?;
        self.at += 1;
        Ok(token)
    }

    fn word(&mut self, what: &str) -> Result<String> {
        match self.next(what)? {
            Token::Word(word) => Ok(word),
            other => Err(format!("{what} is expected, not {}", show(&other))),
        }
    }

    /// A path or pattern, bare or quoted.
    fn path(&mut self) -> Result<String> {
        match self.next("a path")? {
            Token::Word(word) => Ok(word),
            Token::Text(bytes) => String::from_utf8(bytes).map_err(|_| "a path must be text".to_owned()),
            other => Err(format!("a path is expected, not {}", show(&other))),
        }
    }

    /// Bytes: `"ab"`, or `"ab" x 1000`.
    fn bytes(&mut self) -> Result<Vec<u8>> {
        match self.next("a text")? {
            Token::Text(bytes) if self.take_word("x") => Ok(bytes.repeat(self.number()?)),
            Token::Text(bytes) => Ok(bytes),
            other => Err(format!("a text in quotation marks is expected, not {}", show(&other))),
        }
    }

    fn number(&mut self) -> Result<usize> {
        let word = self.word("a number")?;
        word.parse().map_err(|_| format!("{word} is no number"))
    }

    fn device(&mut self) -> Result<usize> {
        let name = self.word("a device")?;
        self.known(&name)
            .ok_or_else(|| format!("there is no device {name}; there are {}", self.devices.join(", ")))
    }

    fn known(&self, name: &str) -> Option<usize> {
        self.devices.iter().position(|d| d == name)
    }

    fn colon(&mut self) -> Result<()> {
        if self.take(&Token::Colon) {
            Ok(())
        } else {
            Err("a colon is missing after the device".to_owned())
        }
    }

    /// `a:` or `all:`.
    fn whose(&mut self) -> Result<Option<usize>> {
        let who = if self.take_word("all") { None } else { Some(self.device()?) };
        self.colon()?;
        Ok(who)
    }

    fn line(&mut self, first: bool) -> Result<Parsed> {
        if first && self.take_word("only") {
            let word = self.word("`simulated`, `pairs` or `real`")?;
            return Ok(Parsed::Only(match word.as_str() {
                "simulated" => Only::Simulated,
                "pairs" => Only::Pairs,
                "real" => Only::Real,
                _ => return Err(format!("only what? {word} is neither `simulated`, `pairs` nor `real`")),
            }));
        }
        if first && self.take_word("devices") {
            let mut names = Vec::new();
            while self.peek().is_some() {
                names.push(self.word("a device")?);
            }
            return if names.len() < 2 {
                Err("two devices at least".to_owned())
            } else {
                Ok(Parsed::Devices(names))
            };
        }
        self.order().map(Parsed::Order)
    }

    fn order(&mut self) -> Result<Order> {
        let word = self.word("an order")?;
        if let (Some(device), Some(Token::Colon)) = (self.known(&word), self.peek()) {
            self.at += 1;
            if self.take_word("pick") {
                return Ok(Order::Pick(device, self.path()?, self.pick_side()?));
            }
            return Ok(Order::User(device, self.acts()?));
        }
        Ok(match word.as_str() {
            "meanwhile" | "while-applying" => {
                let device = self.device()?;
                self.colon()?;
                let act = self.acts()?;
                if word == "meanwhile" {
                    Order::Meanwhile(device, act)
                } else {
                    Order::Applying(device, act)
                }
            }
            "settle" if self.take_word("killed") => Order::Settle(Ending::Killed),
            "settle" if self.take_word("cut") => Order::Settle(Ending::Cut),
            "settle" => Order::Settle(Ending::Well),
            "part" => Order::Part(self.device()?, self.device()?),
            "join" => Order::Join(self.device()?, self.device()?),
            "restart" => Order::Restart,
            "crash" => Order::Crash,
            "wait" => Order::Wait(self.number()? as i64),
            "ignore" => Order::Ignore(self.path()?),
            "prefer" => Order::Prefer(self.rule()?),
            "allow" => Order::Allow,
            "unmount" => Order::Unmount(self.device()?),
            "mount" => Order::Mount(self.device()?),
            "empty-root" => Order::EmptyRoot(self.device()?),
            "other-disk" => Order::OtherDisk(self.device()?),
            "unreadable" => Order::Unreadable(self.device()?, self.path()?, true),
            "readable" => Order::Unreadable(self.device()?, self.path()?, false),
            "unwritable" => Order::Unwritable(self.device()?, self.path()?, true),
            "writable" => Order::Unwritable(self.device()?, self.path()?, false),
            "full" => Order::Room(
                self.device()?,
                Some(if self.peek().is_some() { self.number()? as u64 } else { 0 }),
            ),
            "room" => Order::Room(self.device()?, None),
            "lose-index" => Order::LoseIndex,
            "snapshot-index" => Order::SnapshotIndex(self.word("a name")?),
            "restore-index" => Order::RestoreIndex(self.word("a name")?),
            "snapshot-files" => Order::SnapshotFiles(self.device()?, self.word("a name")?),
            "restore-files" => Order::RestoreFiles(self.device()?, self.word("a name")?),
            "folds" => Order::Disk(self.device()?, DiskKind::Folds),
            "forms" => Order::Disk(self.device()?, DiskKind::Forms),
            "forbids" => Order::Disk(self.device()?, DiskKind::Forbids),
            "noexec" => Order::Disk(self.device()?, DiskKind::NoExec),
            "nolinks" => Order::Disk(self.device()?, DiskKind::NoLinks),
            "noexchange" => Order::Disk(self.device()?, DiskKind::NoExchange),
            "coarse" => Order::Disk(self.device()?, DiskKind::Coarse),
            "skewed" => {
                let device = self.device()?;
                let word = self.word("seconds")?;
                Order::Disk(
                    device,
                    DiskKind::Skewed(word.parse().map_err(|_| format!("{word} is no number"))?),
                )
            }
            word => Order::Expect(self.expect(word)?),
        })
    }

    fn pick_side(&mut self) -> Result<PickSide> {
        if self.take_word("both") {
            return Ok(PickSide::Both);
        }
        if self.take_word("delete") {
            return Ok(PickSide::Delete);
        }
        self.device().map(PickSide::Device)
    }

    fn rule(&mut self) -> Result<Rule> {
        for (word, rule) in [("ask", Rule::Ask), ("newest", Rule::Newest), ("both", Rule::Both)] {
            if self.take_word(word) {
                return Ok(rule);
            }
        }
        self.device().map(Rule::Device)
    }

    /// What is done, or several things, one after the other.
    fn acts(&mut self) -> Result<Act> {
        let mut acts = vec![self.act()?];
        while self.take_word("then") {
            acts.push(self.act()?);
        }
        Ok(if acts.len() == 1 { acts.remove(0) } else { Act::All(acts) })
    }

    fn act(&mut self) -> Result<Act> {
        let word = self.word("what is done")?;
        Ok(match word.as_str() {
            "write" => Act::Write(self.path()?, self.bytes()?),
            "append" => Act::Append(self.path()?, self.bytes()?),
            "save" => Act::Save(self.path()?, self.bytes()?),
            "move" => Act::Move(self.path()?, self.path()?),
            "swap" => Act::Swap(self.path()?, self.path()?),
            "delete" => Act::Delete(self.path()?),
            "mkdir" => Act::Mkdir(self.path()?),
            "link" => {
                let path = self.path()?;
                Act::Link(path, self.arrow()?)
            }
            "hardlink" => Act::HardLink(self.path()?, self.path()?),
            "chmod" if self.take_word("+x") => Act::Chmod(self.path()?, true),
            "chmod" if self.take_word("-x") => Act::Chmod(self.path()?, false),
            "touch" => {
                let path = self.path()?;
                Act::Touch(path, self.time()?)
            }
            "fifo" => Act::Fifo(self.path()?),
            "fill" => Act::Fill(self.path()?, self.number()?),
            word => return Err(format!("nobody can {word}")),
        })
    }

    fn arrow(&mut self) -> Result<String> {
        if !self.take_word("->") {
            return Err("a link leads somewhere: `-> target`".to_owned());
        }
        self.path()
    }

    fn time(&mut self) -> Result<i64> {
        let word = self.word("a time")?;
        time(&word).ok_or_else(|| format!("{word} is no time"))
    }

    fn expect(&mut self, word: &str) -> Result<Expect> {
        Ok(match word {
            "tree" => Expect::Tree(self.whose()?, self.shown()?),
            "count" => Expect::Count(self.whose()?, self.path()?, self.number()?),
            "conflict" => self.conflict()?,
            "no" if self.take_word("conflicts") => Expect::NoConflicts,
            "no" if self.take_word("problems") => Expect::NoProblems,
            "no" if self.take_word("history") => Expect::NoHistory(self.device()?),
            "problem" => Expect::Problem(self.device()?, self.path()?, self.word("a kind of problem")?),
            "held" => Expect::Held(self.device()?),
            "not" if self.take_word("held") => Expect::NotHeld(self.device()?),
            "halted" => Expect::Halted(self.device()?),
            "not" if self.take_word("halted") => Expect::NotHalted,
            "history" => Expect::History(self.device()?, self.bytes()?),
            "copied" => Expect::Copied(self.number()? as u64),
            "name-on-disk" => Expect::NameOnDisk(self.device()?, self.path()?),
            word => return Err(format!("{word} is no order that is known")),
        })
    }

    fn conflict(&mut self) -> Result<Expect> {
        let kinds = ["renamed", "deleted", "name", "cycle", "orphan"];
        let kind = kinds.into_iter().find(|k| self.is_word(k) && self.tokens.len() > self.at + 1);
        self.at += usize::from(kind.is_some());
        let path = self.path()?;
        let base = if self.take_word("base") { Some(self.bytes()?) } else { None };
        let mut sides = Vec::new();
        if self.take_word("sides") {
            loop {
                sides.push((self.device()?, self.bytes()?));
                if !self.take(&Token::Comma) {
                    break;
                }
            }
        }
        Ok(Expect::Conflict {
            path,
            kind: kind.unwrap_or("content").to_owned(),
            base,
            sides,
        })
    }

    fn shown(&mut self) -> Result<Vec<Shown>> {
        let mut all = Vec::new();
        while self.peek().is_some() {
            let path = self.path()?;
            let what = match self.peek() {
                Some(Token::Word(word)) if word == "->" => What::Link(self.arrow()?),
                Some(Token::Word(word)) if word == "fifo" => {
                    self.at += 1;
                    What::Fifo
                }
                Some(Token::Text(_)) => {
                    let bytes = self.bytes()?;
                    let exec = self.take_word("+x");
                    let mtime_ns = if self.take_word("at") { Some(self.time()?) } else { None };
                    What::File { bytes, exec, mtime_ns }
                }
                _ if path.ends_with('/') => What::Dir,
                _ => {
                    return Err(format!(
                        "what is at {path}? Say a text, `-> target`, or name a directory as `{path}/`"
                    ));
                }
            };
            all.push(Shown {
                path: path.trim_end_matches('/').to_owned(),
                what,
            });
            if !self.take(&Token::Comma) {
                break;
            }
        }
        Ok(all)
    }
}

fn show(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Text(bytes) => format!("\"{}\"", String::from_utf8_lossy(bytes)),
        Token::Colon => "a colon".to_owned(),
        Token::Comma => "a comma".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_understood() {
        let text = "# Said first.\ndevices a b\na: write d/x \"1\" x 3\nsettle\ntree all: d/x \"111\",\n  e/, l -> t\nconflict deleted d/x\n";
        let story: Story = text.parse().unwrap();
        assert_eq!(story.devices, ["a", "b"]);
        assert_eq!(story.lines.len(), 4);
        assert_eq!(
            story.lines[0].order,
            Order::User(0, Act::Write("d/x".into(), b"111".to_vec()))
        );
        let Order::Expect(Expect::Tree(None, shown)) = &story.lines[2].order else {
            panic!("{story:?}")
        };
        assert_eq!(shown.len(), 3);
        assert_eq!(story.lines[3].number, 7);
    }

    #[test]
    fn errors_say_where() {
        for (text, line, words) in [
            ("devices a b\nc: write x \"1\"", 2, "no order"),
            ("devices a b\n\na: eat x", 3, "nobody can eat"),
            ("devices a b\na: write x \"1", 2, "not closed"),
            ("devices a b\npart a c", 2, "no device c"),
            ("devices a b\nsettle now", 2, "too much"),
            ("settle", 1, "no devices"),
        ] {
            let error = text.parse::<Story>().unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.message.contains(words), "{error}");
        }
    }
}
