//! `cargo xtask soak`: three daemons, each on a host of its own, and three people who work on the same folder for an hour, while cables are pulled and daemons
//! killed. At the end all is equal, nothing that anyone wrote last is lost, and memory and handles are as they were in the middle.

mod chart;
mod device;
mod end;
mod network;
mod options;
mod sampler;
mod worker;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::random::Random;
use crate::{job, sample};
use device::Device;
use network::Network;
use options::Options;
use sampler::{Event, Sampler};
use worker::Worker;

/// Who takes part. The first one's daemon is never killed: its memory is what is judged first.
pub const NAMES: [&str; 3] = ["anna", "ben", "cleo"];
/// What the folder is called.
const FOLDER: &str = "team";

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupted(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Runs as `args` say.
pub fn run(args: &[OsString]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    let font = chart::font();
    if font.is_none() {
        eprintln!("There is no DejaVu font here (package fonts-dejavu-core): the picture is not drawn.");
    }
    let bifold = match &options.bifold {
        Some(path) => path.clone(),
        None => job::release_bifold()?,
    };
    // Ctrl-C ends the load early; the end is waited for and looked at all the same, and nothing is left behind.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores a flag.
        unsafe { libc::signal(signal, interrupted as *const () as libc::sighandler_t) };
    }
    let parent = std::env::var_os("BIFOLD_SOAK_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let ground = sample::fresh_directory(&parent, "bifold-soak")?;
    eprintln!("All happens in {}; seed {}.", ground.display(), options.seed);
    let network = Network::new(NAMES.len())?;
    let devices: Vec<Arc<Device>> = NAMES
        .iter()
        .enumerate()
        .map(|(i, name)| Arc::new(Device::new(name, &ground, &bifold, &network, i)))
        .collect();
    let mut sampler = Sampler::start(&devices);
    let result = soak(&options, &network, &devices, &mut sampler);
    // (Whatever came of it, the figures tell of it.)
    let samples = sampler.stop();
    devices.iter().for_each(|device| device.kill());
    if let Some(out) = &options.out {
        fs::write(out, samples.csv()).with_context(|| format!("the samples cannot be written to {}", out.display()))?;
    }
    let mut flat = true;
    if let Ok(done) = &result {
        let text = samples.judge(&mut flat);
        println!("{text}");
        if let Some(font) = font {
            let picture = match &options.picture {
                Some(path) => path.clone(),
                None => job::workspace()?.join("docs/pictures/soak.png"),
            };
            let title = format!(
                "{} minutes of mixed load, three daemons ({}), seed {}: {} deeds, {} partitions, {} kills, {} conflicts picked",
                done.minutes, options.build, options.seed, done.deeds, done.partitions, done.kills, done.picked
            );
            chart::draw(&picture, &font, &title, &samples)?;
            println!("The picture is {}.", picture.display());
        }
    }
    match result {
        Ok(_) if flat => {
            fs::remove_dir_all(&ground).with_context(|| format!("{} cannot be removed", ground.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => {
            println!("Not flat: see above. All is kept in {}.", ground.display());
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.context(format!("all is kept in {}", ground.display()))),
    }
}

/// What was done.
struct Done {
    minutes: u64,
    deeds: u64,
    partitions: u32,
    kills: u32,
    picked: u32,
}

fn soak(options: &Options, network: &Network, devices: &[Arc<Device>], sampler: &mut Sampler) -> Result<Done> {
    let mut random = Random::seeded(options.seed);
    for device in devices {
        device.start()?;
    }
    devices[0].share()?;
    for device in &devices[1..] {
        device.join(&devices[0].ticket()?)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = devices
        .iter()
        .map(|device| {
            let mut worker = Worker::new(device.name, device.root.clone(), random.next());
            let stop = stop.clone();
            std::thread::spawn(move || {
                worker.work(&stop);
                worker
            })
        })
        .collect();
    let begun = Instant::now();
    let mut tender = Tender {
        network,
        devices,
        sampler,
        random,
        cut: [None; NAMES.len()],
        down: [None; NAMES.len()],
        partitions: 0,
        kills: 0,
        picked: 0,
        allowed: 0,
    };
    let length = Duration::from_secs(options.minutes * 60);
    let mut said = 0;
    let tended = loop {
        if begun.elapsed() >= length || INTERRUPTED.load(Ordering::Relaxed) {
            break Ok(());
        }
        if let Err(error) = tender.second() {
            break Err(error);
        }
        let minute = begun.elapsed().as_secs() / 60;
        if minute > said {
            said = minute;
            eprintln!("{}", tender.words(minute));
        }
        sleep(Duration::from_secs(1));
    };
    stop.store(true, Ordering::Relaxed);
    let workers: Vec<Worker> = workers
        .into_iter()
        .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a worker has panicked")))
        .collect::<Result<_>>()?;
    tended?;
    tender.sampler.event(Event::Over);
    tender.heal()?;
    eprintln!("The load is over; all is to become equal.");
    tender.settle()?;
    end::check(devices, &workers)?;
    let done = Done {
        minutes: begun.elapsed().as_secs() / 60,
        deeds: workers.iter().map(|worker| worker.deeds).sum(),
        partitions: tender.partitions,
        kills: tender.kills,
        picked: tender.picked,
    };
    println!(
        "Equal: {}. {} deeds, {} partitions, {} kills, {} conflicts picked, {} held changes let pass.",
        end::words(devices)?,
        done.deeds,
        done.partitions,
        done.kills,
        done.picked,
        tender.allowed
    );
    Ok(done)
}

/// Pulls cables and kills daemons, and does what a person would do meanwhile.
struct Tender<'a> {
    network: &'a Network,
    devices: &'a [Arc<Device>],
    sampler: &'a mut Sampler,
    random: Random,
    /// Until when each is cut off, and until when its daemon is down.
    cut: [Option<Instant>; NAMES.len()],
    down: [Option<Instant>; NAMES.len()],
    partitions: u32,
    kills: u32,
    picked: u32,
    allowed: u32,
}

impl Tender<'_> {
    fn one_in(&mut self, n: u64) -> bool {
        self.random.between(1, n) == 1
    }

    fn seconds(&mut self, low: u64, high: u64) -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(self.random.between(low, high)))
    }

    /// What happens in one second.
    fn second(&mut self) -> Result<()> {
        let now = Instant::now();
        for (i, name) in NAMES.iter().enumerate() {
            if self.cut[i].is_some_and(|until| now >= until) {
                self.cable(i, true)?;
            } else if self.cut[i].is_none() && self.network.has_cables() && self.one_in(75) {
                self.cable(i, false)?;
            }
            if self.down[i].is_some_and(|until| now >= until) {
                self.start(i)?;
            } else if i > 0 && self.down[i].is_none() && self.one_in(75) {
                self.devices[i].kill();
                self.down[i] = self.seconds(2, 15);
                self.kills += 1;
            }
            if self.down[i].is_none() && !self.devices[i].runs() {
                bail!("the daemon of {name} has ended by itself: see its log");
            }
        }
        if self.one_in(4) {
            let i = self.random.between(0, NAMES.len() as u64 - 1) as usize;
            if self.down[i].is_none() {
                self.decide(i)?;
            }
        }
        Ok(())
    }

    fn cable(&mut self, i: usize, is_in: bool) -> Result<()> {
        self.network.cable(i, is_in)?;
        self.sampler.event(Event::Cable(i, is_in));
        self.cut[i] = if is_in { None } else { self.seconds(5, 25) };
        self.partitions += u32::from(!is_in);
        Ok(())
    }

    fn start(&mut self, i: usize) -> Result<()> {
        self.devices[i].start()?;
        self.down[i] = None;
        Ok(())
    }

    /// What a person does who looks at the status now and then.
    fn decide(&mut self, i: usize) -> Result<()> {
        let picks = ["mine", "both", NAMES[0], NAMES[1], NAMES[2]];
        for path in self.devices[i].conflicts()?.into_iter().take(4) {
            let pick = picks[self.random.between(0, picks.len() as u64 - 1) as usize];
            // (It may be settled meanwhile, or that device has no side of it.)
            self.picked += u32::from(self.devices[i].pick(&path, pick)?);
        }
        if self.devices[i].is_held()? {
            self.devices[i].allow()?;
            self.allowed += 1;
        }
        Ok(())
    }

    /// All cables are in, all daemons run.
    fn heal(&mut self) -> Result<()> {
        for i in 0..NAMES.len() {
            if self.cut[i].is_some() {
                self.cable(i, true)?;
            }
            if self.down[i].is_some() {
                self.start(i)?;
            }
        }
        Ok(())
    }

    /// Waits until all agree and nothing is left for a person.
    fn settle(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(600);
        loop {
            for device in self.devices {
                device.wait(60)?;
            }
            let mut open = 0;
            for device in self.devices {
                for path in device.conflicts()? {
                    open += 1;
                    self.picked += u32::from(device.pick(&path, "both")? || device.pick(&path, "mine")?);
                }
                if device.is_held()? {
                    open += 1;
                    device.allow()?;
                    self.allowed += 1;
                }
                open += usize::from(!device.is_settled(NAMES.len() - 1)?);
            }
            if open == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                let words: Vec<String> = self.devices.iter().map(|d| d.say(&["status"])).collect();
                bail!("not equal 10 minutes after the end:\n{}", words.join("\n"));
            }
            sleep(Duration::from_millis(500));
        }
    }

    fn words(&self, minute: u64) -> String {
        let last = self.sampler.last();
        format!(
            "{minute:3} min: {last}; {} partitions, {} kills, {} conflicts picked, {} held changes let pass",
            self.partitions, self.kills, self.picked, self.allowed
        )
    }
}
