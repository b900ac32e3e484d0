//! The simulated world as a stage.

use super::check::Tree;
use super::play::{Stage, play};
use super::{Act, DiskKind, Ending, Only, Order, PickSide, Rule, Story};
use crate::disk::{SimFs, Traits};
use crate::moments::End;
use crate::world::{Choice, Listing, Mode, Settled, World};
use bifold_disk::names::{MaxName, System};
use bifold_engine::core::Prefer;

/// Moments after which a story that goes through all of them is said to have no end.
const MANY: u64 = 3000;

struct Simulated {
    world: World,
    /// At which of the moments the story's end of the program, or deed of a user, comes.
    moment: u64,
    /// Whether it came.
    reached: bool,
    /// Whether what is told from here on did not happen, because the moment never came.
    over: bool,
    /// What a user does in the next settling.
    pending: Option<(usize, Act)>,
    listing: Listing,
}

/// Plays a story in the simulated world, in each way in which the program can run, and, if something in it is to happen at any
/// moment, for each of these.
///
/// # Errors
/// What went wrong, and where.
pub fn play_simulated(story: &Story) -> Result<(), String> {
    if story.only == Only::Real {
        return Ok(());
    }
    for mode in Mode::ALL {
        if story.only == Only::Pairs && mode != Mode::Pairs {
            continue;
        }
        // Every moment of the program that has all disks; of the others, some.
        let stride = if thorough() || mode == Mode::Watched { 1 } else { 5 };
        let mut moment = 0;
        while moment < MANY {
            let mut stage = Simulated::new(story, mode, moment);
            play(story, &mut stage).map_err(|e| {
                let trace = stage.world.take_trace().unwrap_or_default();
                format!("{mode:?}, moment {moment}: {e}\n{trace}")
            })?;
            if !stage.reached {
                break;
            }
            moment += stride;
        }
        if moment >= MANY {
            return Err(format!("{mode:?}: there are more than {MANY} moments"));
        }
    }
    Ok(())
}

/// Whether there is time: then every moment is tried, in every way.
fn thorough() -> bool {
    std::env::var_os("BIFOLD_HISTORIES").is_some()
}

impl Simulated {
    fn new(story: &Story, mode: Mode, moment: u64) -> Simulated {
        let traits = |d: usize| {
            let mut traits = Traits::default();
            for line in &story.lines {
                if let Order::Disk(device, kind) = &line.order
                    && *device == d
                {
                    set(&mut traits, *kind);
                }
            }
            traits
        };
        let devices: Vec<(&str, Traits)> = story
            .devices
            .iter()
            .enumerate()
            .map(|(i, name)| (name.as_str(), traits(i)))
            .collect();
        let mut world = World::new(moment + 1, mode, &devices);
        if std::env::var_os("BIFOLD_TRACE").is_some() {
            world.trace();
        }
        Simulated {
            world,
            moment,
            reached: false,
            over: false,
            pending: None,
            listing: Listing::default(),
        }
    }

    fn settle(&mut self, ending: Ending) -> Result<(), String> {
        match ending {
            Ending::Well => {}
            Ending::Killed => self.world.arm(End::Kill, self.moment),
            // What is lost is a matter of luck: several times each moment, if there is time.
            Ending::Cut => self.world.arm(End::PowerCut, self.moment / if thorough() { 3 } else { 1 }),
        }
        let settled = self.world.settle()?;
        let mut ended = false;
        if settled == Settled::Ended {
            (ended, self.reached) = (true, true);
            if ending == Ending::Cut {
                self.world.cut_power_after_end();
            }
        }
        self.world.disarm();
        if let Some((device, act)) = self.pending.take() {
            let fs = self.world.devices[device].fs.clone();
            let happened = !fs.disarm();
            self.reached |= happened;
            if !happened {
                // So many moments there are not.
                self.over = true;
                return if self.moment == 0 {
                    Err(format!("the moment for {act:?} never comes"))
                } else {
                    Ok(())
                };
            }
        }
        if ended {
            self.world.settle()?;
        }
        self.listing = self.world.listing().clone();
        self.rest()
    }

    /// A second settling does nothing.
    fn rest(&mut self) -> Result<(), String> {
        let before = self.world.trees();
        if matches!(self.world.settle()?, Settled::Refused(_)) {
            return if self.listing.refused.is_some() {
                Ok(())
            } else {
                Err("a second settling is refused".to_owned())
            };
        }
        let applied = self.world.listing().applied;
        if applied > 0 || before != self.world.trees() {
            return Err(format!("a second settling does something: {applied} steps"));
        }
        Ok(())
    }
}

pub(crate) fn set(traits: &mut Traits, kind: DiskKind) {
    match kind {
        DiskKind::Folds => traits.rules.fold.case = true,
        DiskKind::Forms => traits.rules.fold.form = true,
        DiskKind::Forbids => {
            traits.rules.system = System::Windows;
            traits.rules.fold.case = true;
            traits.rules.max = MaxName::Utf16(255);
        }
        DiskKind::NoExec => traits.exec = false,
        DiskKind::NoLinks => traits.links = false,
        DiskKind::NoExchange => traits.exchange = false,
        DiskKind::Coarse => (traits.time_step_ns, traits.ctime) = (2_000_000_000, false),
        DiskKind::Skewed(_) => {}
    }
}

pub(crate) fn do_act(fs: &SimFs, act: &Act) {
    match act {
        Act::Write(path, bytes) => {
            make_dirs(fs, path);
            fs.write(path, bytes);
        }
        Act::Append(path, bytes) => fs.append(path, bytes),
        Act::Save(path, bytes) => {
            make_dirs(fs, path);
            fs.save(path, bytes);
        }
        Act::Move(from, to) => {
            make_dirs(fs, to);
            fs.move_to(from, to);
        }
        Act::Swap(a, b) => fs.swap(a, b),
        Act::Delete(path) => fs.delete(path),
        Act::Mkdir(path) => make_dirs(fs, &format!("{path}/")),
        Act::Link(path, target) => {
            make_dirs(fs, path);
            fs.link(path, target);
        }
        Act::HardLink(path, second) => fs.hard_link(path, second),
        Act::Chmod(path, exec) => fs.chmod(path, *exec),
        Act::Touch(path, ns) => fs.touch(path, *ns),
        Act::Fifo(path) => {
            make_dirs(fs, path);
            fs.fifo(path);
        }
        Act::Fill(dir, count) => {
            make_dirs(fs, &format!("{dir}/"));
            (1..=*count).for_each(|i| fs.write(&format!("{dir}/{i}"), format!("file {i} of {dir}").as_bytes()));
        }
        Act::All(acts) => acts.iter().for_each(|act| do_act(fs, act)),
    }
}

/// Does what can be done at this moment: what is not there yet is neither moved nor deleted.
fn do_if_there(fs: &SimFs, act: &Act) {
    match act {
        Act::Move(path, _) | Act::Delete(path) if fs.at(path).is_none() => {}
        Act::All(acts) => acts.iter().for_each(|act| do_if_there(fs, act)),
        act => do_act(fs, act),
    }
}

/// Makes the directories above a path.
fn make_dirs(fs: &SimFs, path: &str) {
    for (at, _) in path.match_indices('/') {
        if fs.at(&path[..at]).is_none() {
            fs.make_directory(&path[..at]);
        }
    }
}

impl Stage for Simulated {
    fn order(&mut self, order: &Order) -> Result<(), String> {
        let moment = self.moment;
        match order {
            Order::Disk(device, DiskKind::Skewed(seconds)) => self.world.devices[*device].fs.set_skew_seconds(*seconds),
            Order::Disk(..) => {}
            Order::User(device, act) => do_act(&self.world.devices[*device].fs, act),
            Order::Meanwhile(device, act) | Order::Applying(device, act) => {
                let fs = &self.world.devices[*device].fs;
                self.pending = Some((*device, act.clone()));
                let act = act.clone();
                let happens = move |fs: &SimFs| do_if_there(fs, &act);
                match order {
                    Order::Meanwhile(..) => fs.at_call(moment, happens),
                    _ => fs.at_touch(moment, happens),
                }
            }
            Order::Settle(ending) => self.settle(*ending)?,
            Order::Part(a, b) => self.world.link(*a, *b, false),
            Order::Join(a, b) => self.world.link(*a, *b, true),
            Order::Restart => self.world.restart(),
            Order::Crash => self.world.cut_power(),
            Order::Wait(seconds) => self.world.pass_seconds(*seconds),
            Order::Ignore(pattern) => self.world.ignore(pattern),
            Order::Prefer(rule) => self.world.prefer(|id| match rule {
                Rule::Ask => Prefer::Ask,
                Rule::Newest => Prefer::Newest,
                Rule::Both => Prefer::Both,
                Rule::Device(d) => id(*d).unwrap_or_default(),
            }),
            Order::Allow => self.world.allow(),
            Order::Pick(device, path, side) => {
                let choice = match side {
                    PickSide::Device(d) => Choice::Device(*d),
                    PickSide::Both => Choice::Both,
                    PickSide::Delete => Choice::Delete,
                };
                self.world.decide(*device, path, choice);
            }
            Order::Unmount(device) => self.world.unmount(*device),
            Order::Mount(device) => self.world.mount(*device),
            Order::EmptyRoot(device) => self.world.devices[*device].fs.empty(),
            Order::OtherDisk(device) => self.world.exchange_disk(*device),
            Order::Unreadable(device, path, is) => self.world.devices[*device].fs.set_unreadable(path, *is),
            Order::Unwritable(device, path, is) => self.world.devices[*device].fs.set_unwritable(path, *is),
            Order::Room(device, room) => self.world.devices[*device].fs.set_room(*room),
            Order::LoseIndex => self.world.lose_index(),
            Order::SnapshotIndex(name) => self.world.copy_index(name),
            Order::RestoreIndex(name) => self.world.restore_index(name),
            Order::SnapshotFiles(device, name) => self.world.copy_files(*device, name),
            Order::RestoreFiles(device, name) => self.world.restore_files(*device, name),
            Order::Expect(_) => {}
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn tree(&self, device: usize) -> Tree {
        self.world.devices[device].fs.tree()
    }

    fn history(&self, device: usize) -> Vec<Vec<u8>> {
        self.world.devices[device]
            .fs
            .history()
            .into_iter()
            .map(|bytes| bytes.to_vec())
            .collect()
    }

    fn names_on_disk(&self, device: usize) -> Vec<String> {
        self.world.devices[device].fs.names_on_disk()
    }

    fn listing(&self) -> &Listing {
        &self.listing
    }
}
