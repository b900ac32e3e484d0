//! Faults of the surroundings, for real: disks that fill up, that cannot be read or may not be, that go away and come back as others; limits, floods of events, and
//! clocks that are set back. Nothing is lost, the status says what is wrong and what to do, and once the fault is gone all becomes equal by itself.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};
use world::fleet::{Device, assert_same};
use world::user::Random;
use world::{World, mounts, until};

/// Bytes that cannot be packed.
fn random_bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..size).map(|_| random.below(256) as u8).collect()
}

/// A device that shares a folder, and one that has joined.
fn pair(world: &World) -> (Device<'_>, Device<'_>) {
    let (a, b) = (Device::new(world, "anna"), Device::new(world, "ben"));
    a.put("old", "one");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    (a, b)
}

/// Takes a disk's room, but for so many bytes.
fn fill(world: &World, disk: &str, but: usize) {
    let path = world.at(disk).join("filler");
    let mut size: usize = 0;
    let block = vec![1; 4096];
    while fs::write(&path, block.repeat(size / 4096 + 1)).is_ok() {
        size += 4096;
    }
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(size.saturating_sub(but) as u64).unwrap();
}

/// Waits until the status asks for a person, in these words.
fn says(device: &Device<'_>, words: &[&str]) {
    until(&format!("{} says {words:?}", device.name), || {
        let run = device.try_ask(&["status"]);
        run.code == Some(1) && words.iter().all(|word| run.out.contains(word))
    });
}

/// What may never be left of a fault.
#[track_caller]
fn all_well(devices: &[&Device<'_>]) {
    assert_same(devices);
    for device in devices {
        let folder = device.folder();
        assert_eq!(folder["state"], "up_to_date", "{}: {folder:#}", device.name);
        assert_eq!(folder["problems"].as_array().unwrap().len(), 0, "{}: {folder:#}", device.name);
        assert_eq!(device.json(&["conflicts"]).as_array().unwrap().len(), 0);
    }
}

#[test]
fn a_full_disk_is_told_and_what_lacked_room_comes_once_there_is_some() {
    let world = World::new();
    for dir in ["disk", "ben"] {
        world.mkdir(dir);
    }
    mounts::with_own_mounts(|| {
        mounts::small_disk(&world.at("disk"), 2048);
        world.mkdir("disk/ben");
        mounts::bind(&world.at("disk/ben"), &world.at("ben"));
        let (a, b) = pair(&world);
        fill(&world, "disk", 700 << 10);
        let large = random_bytes(1, 1_200_000);
        a.put("large", &large);
        a.put("small", "small");
        let said = b.tells("large", "diskfull");
        assert!(said.contains("no space left") && said.contains("make room"), "{said}");
        b.gets("small", "small");
        until("only that waits", || b.folder()["pending_in"]["count"] == 1);
        says(&b, &["needs you", "large: no space left"]);
        assert!(!world.exists("ben/large"), "nothing half");
        assert_ne!(a.folder()["pending_out"]["count"], 0);
        // What fits goes both ways meanwhile, and what was replaced goes to the history.
        b.put("old", "by ben");
        a.gets("old", "by ben");
        a.put("old", "by anna");
        b.gets("old", "by anna");
        world.rm("disk/filler");
        until("large comes by itself", || world.exists("ben/large"));
        all_well(&[&a, &b]);
        assert_eq!(fs::read(world.at("ben/large")).unwrap(), large);
    });
}

#[test]
fn what_came_of_a_large_file_does_not_take_the_room_that_the_file_needs() {
    let world = World::new();
    world.mkdir("ben");
    mounts::with_own_mounts(|| {
        mounts::small_disk(&world.at("ben"), 28 << 10);
        let (a, mut b) = pair(&world);
        b.ask(&["limit", "--down", "6M"]);
        let large = random_bytes(2, 24 << 20);
        a.put("large", &large);
        until("two thirds of it", || {
            let partial = fs::read_dir(world.at("ben/.bifold/partial")).into_iter().flatten().flatten();
            partial.filter_map(|e| e.metadata().ok()).any(|m| m.len() > 16 << 20)
        });
        b.kill();
        b.start();
        b.ask(&["limit", "--down", "0"]);
        until("the whole", || world.exists("ben/large"));
        all_well(&[&a, &b]);
        assert_eq!(fs::read(world.at("ben/large")).unwrap(), large);
    });
}

#[test]
fn a_home_without_room_halts_the_folder_until_there_is_some() {
    let world = World::new();
    world.mkdir("home-ben");
    mounts::with_own_mounts(|| {
        mounts::small_disk(&world.at("home-ben"), 8 << 10);
        let (a, mut b) = pair(&world);
        fill(&world, "home-ben", 0);
        for i in 0..400 {
            a.put(&format!("{}/{i:060}", i % 10), format!("{i}"));
        }
        let folder = b.becomes("halted");
        let said = folder["why"].as_str().unwrap();
        assert!(
            said.contains("disk is full") && said.contains("index") && said.contains("Make room"),
            "{said}"
        );
        says(&b, &["the disk is full"]);
        b.put("old", "by ben, meanwhile");
        b.put("new", "by ben, meanwhile");
        // A power cut on top of it: it may not start, and says why; what it knew is known still.
        b.kill();
        if !b.try_start() {
            assert!(
                b.log().contains("No space left") && b.log().contains("disk is not full"),
                "{}",
                b.log()
            );
        }
        world.rm("home-ben/filler");
        if !b.runs() {
            b.start();
        }
        until("it goes on by itself", || b.folder()["state"] != "halted");
        b.sees("anna", true);
        all_well(&[&a, &b]);
        assert_eq!(
            (a.text("old"), a.text("new")),
            ("by ben, meanwhile".into(), "by ben, meanwhile".into())
        );
        assert_eq!(a.folder()["files"], 402);
    });
}

#[test]
fn a_read_that_fails_half_way_is_told_and_infers_nothing() {
    let world = World::new();
    mounts::with_own_mounts(|| {
        let Some(mut disk) = mounts::Image::new(&world.at("image"), &world.at("left"), 16) else {
            return;
        };
        let large = random_bytes(3, 2 << 20);
        world.put("left/small", "small");
        // It lands behind what the program writes.
        world.put("left/filler", vec![1; 8 << 20]);
        world.put("left/large", &large);
        disk.remount();
        world.rm("left/filler");
        let problem = |value: &serde_json::Value, path: &str| {
            let problems = value["problems"].as_array().unwrap().clone();
            problems.into_iter().find(|p| p["path"] == path).unwrap_or_default()
        };

        // A file that was never read.
        disk.cut(&large[1 << 20..]);
        assert!(fs::read(world.at("left/large")).is_err());
        let (value, code) = world.json::<&str>([]);
        assert_eq!(
            (code, &problem(&value, "large")["kind"]),
            (1, &"unreadable".into()),
            "{value:#}"
        );
        let said = problem(&value, "large")["message"].to_string();
        assert!(said.contains("Input/output error"), "{said}");
        assert_eq!(world.text("right/small"), "small");
        assert!(!world.exists("right/large"), "nothing half");
        disk.mend();
        world.sync_well::<&str>([]);
        assert_eq!(fs::read(world.at("right/large")).unwrap(), large);

        // One that is known, and that somebody else is to get from here.
        world.mkdir("third");
        let third = || {
            let run = world.bifold(["sync", "left", "third", "--home", "home", "--json"]);
            (
                serde_json::from_str::<serde_json::Value>(&run.out).unwrap(),
                run.code.unwrap(),
            )
        };
        disk.cut(&large[1 << 20..]);
        let (value, code) = third();
        assert_eq!((code, &problem(&value, "large")["kind"]), (1, &"missing".into()), "{value:#}");
        assert!(
            world.text("third/small") == "small" && !world.exists("third/large"),
            "{value:#}"
        );
        disk.mend();
        let (value, code) = third();
        assert_eq!(code, 0, "{value:#}");
        assert_eq!(fs::read(world.at("third/large")).unwrap(), large);

        // One that is known, looks changed, and was edited on the other side: that edit waits, and so does this file.
        disk.cut(&large[1 << 20..]);
        world.set_time("left/large", 1_700_000_000);
        world.put("right/large", "edited on the right");
        let (value, code) = world.json::<&str>([]);
        assert_eq!(
            (code, &problem(&value, "large")["kind"]),
            (1, &"unreadable".into()),
            "{value:#}"
        );
        assert_eq!(world.at("left/large").metadata().unwrap().len(), 2 << 20);
        assert_eq!(world.text("right/large"), "edited on the right");
        disk.mend();
        world.json::<&str>([]);
        world.sync_well::<&str>([]);
        assert_eq!(world.text("left/large"), "edited on the right");
        assert!(
            world.history("left").iter().any(|old| old.len() > 1 << 20),
            "what it replaced is kept"
        );
    });
}

#[test]
fn what_may_not_be_read_or_written_waits_until_it_may() {
    let world = World::new();
    if world.as_nobody().is_none() {
        return;
    }
    let a = Device::new(&world, "anna");
    let mut b = Device::stopped(&world, "ben");
    world.mode("ben", 0o777);
    b.through = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        .map(String::from)
        .into();
    b.program = Some(world.at("program"));
    if !b.try_start() {
        world::skip(&format!("nobody cannot have a daemon here: {}", b.log()));
        return;
    }
    for path in ["closed/edited", "closed/deleted", "secret/1", "secret/2", "open"] {
        a.put(path, "one");
    }
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    // Somebody else takes two directories for themselves: one may be read only, the other not even that.
    let own = |path: &str, user| std::os::unix::fs::chown(world.at(path), Some(user), Some(user)).unwrap();
    for (path, mode) in [("ben/closed", 0o755), ("ben/secret", 0o700)] {
        own(path, 0);
        world.mode(path, mode);
    }
    let said = b.tells("secret", "unreadable");
    assert!(said.contains("ermission"), "{said}");
    a.put("closed/edited", "two");
    a.put("closed/new", "new");
    a.put("secret/1", "two");
    a.put("open", "two");
    world.rm("anna/closed/deleted");
    b.gets("open", "two");
    for path in ["closed/edited", "closed/new", "closed/deleted"] {
        let said = b.tells(path, "unwritable");
        assert!(said.contains("check the permissions"), "{path}: {said}");
    }
    says(&b, &["needs you", "secret: "]);
    assert_eq!(b.text("closed/deleted"), "one");
    assert_eq!(
        (a.text("secret/1"), a.text("secret/2"), b.text("secret/1")),
        ("two".into(), "one".into(), "one".into()),
        "what cannot be seen is not taken for deleted, nor overwritten"
    );
    for path in ["ben/closed", "ben/secret"] {
        world.mode(path, 0o755);
        own(path, 65534);
    }
    b.gets("secret/1", "two");
    b.gets("closed/new", "new");
    all_well(&[&a, &b]);
    assert!(!world.exists("ben/closed/deleted"));
}

/// A directory of which a disk is mounted: its own, none, a new one, or one with another folder.
struct Mountable<'w> {
    world: &'w World,
    at: &'static str,
}

impl Mountable<'_> {
    /// The disk `disk` is there.
    fn mount(&self, disk: &str) {
        mounts::bind(&self.world.at(disk), &self.world.at(self.at));
    }

    /// Nothing is.
    fn unmount(&self) {
        mounts::unmount(&self.world.at(self.at));
    }
}

/// Puts another folder, of another home, onto a disk.
fn another_folder(world: &World, disk: &str) {
    world.put("other/f", "foreign");
    let made = world.bifold(["sync", "other", disk, "--home", "home-other"]);
    assert_eq!(made.code, Some(0), "{made:?}");
}

/// A folder with a share at ben's, of which a disk is mounted; and two other disks.
fn with_a_share(work: impl FnOnce(&World, &Mountable<'_>, &Device<'_>, &mut Device<'_>) + Send) {
    let world = World::new();
    world.mkdir("share");
    mounts::with_own_mounts(|| {
        for disk in ["disk", "new", "foreign"] {
            world.mkdir(disk);
            mounts::small_disk(&world.at(disk), 32 << 10);
        }
        let share = Mountable {
            world: &world,
            at: "share",
        };
        another_folder(&world, "foreign");
        let (a, mut b) = pair(&world);
        share.mount("disk");
        b.ask(&["host", "team", world.at("share").to_str().unwrap()]);
        until("the share", || world.exists("share/old"));
        work(&world, &share, &a, &mut b);
        b.stop();
        share.unmount();
    });
}

/// Waits until a device says of its share that it is not what it was, in these words.
fn misses_the_share(b: &Device<'_>, words: &str) {
    until(&format!("the share is missed: {words}"), || {
        let folder = b.folder();
        let host = &folder["hosts"][0];
        let told = host["state"] == "halted" && host["why"].as_str().unwrap_or_default().contains(words);
        told && folder["state"] == "needs_you"
    });
    says(b, &["needs you"]);
}

/// Waits until a share is there again, and shows what all do.
fn has_the_share(world: &World, a: &Device<'_>, b: &Device<'_>) {
    until("the share is there again", || b.folder()["hosts"][0]["state"] == "up_to_date");
    all_well(&[a, b]);
    world::assert_trees_equal(&b.tree(), &world.tree("share"));
}

#[test]
fn a_share_that_goes_away_in_the_middle_is_missed_until_it_is_back() {
    with_a_share(|world, share, a, b| {
        // In the middle of many files.
        for i in 0..2000 {
            a.put(&format!("many{}/{i}", i % 30), format!("{i}"));
        }
        until("some of them", || world.exists("share/many0"));
        share.unmount();
        misses_the_share(b, "folder");
        assert!(world.tree("share").is_empty(), "nothing is put where it was mounted");
        a.put("old", "while it is away");
        b.gets("old", "while it is away");
        // Someone takes the empty directory for the share.
        world.put("share/stray", "stray");
        assert_same(&[a, b]);
        assert_eq!(a.folder()["files"], 2001, "nothing is taken for deleted, nor for new");
        share.mount("disk");
        has_the_share(world, a, b);
        assert_eq!(world.text("share/old"), "while it is away");
        // While nothing happens, and with the directory that it was mounted on: the status says so all the same, and nobody waits for it.
        share.unmount();
        assert_eq!(world.text("share/stray"), "stray");
        world.rm("share");
        misses_the_share(b, "not there any more");
        a.put("old", "away for good");
        b.gets("old", "away for good");
        assert_same(&[a, b]);
        world.mkdir("share");
        share.mount("disk");
        has_the_share(world, a, b);
    });
}

#[test]
fn a_share_that_comes_back_empty_or_as_another_disk_is_not_taken_for_it() {
    with_a_share(|world, share, a, b| {
        // It comes back empty, and the daemon is started like that.
        share.unmount();
        share.mount("new");
        world.put("share/on a new disk", "new");
        a.put("old", "away");
        b.gets("old", "away");
        b.stop();
        b.start();
        misses_the_share(b, "root.json) is gone");
        // It comes back as another disk, while the daemon runs.
        share.unmount();
        share.mount("foreign");
        misses_the_share(b, "another folder");
        a.put("old", "away and away");
        b.gets("old", "away and away");
        assert_eq!(a.folder()["files"], 1, "{:#}", a.folder());
        assert_eq!(world.tree("foreign").len(), 1);
        assert_eq!(world.text("new/on a new disk"), "new");
        share.unmount();
        // The device is started while it is away: that is no reason not to sync with the others.
        b.stop();
        b.start();
        misses_the_share(b, "Perhaps its disk is not mounted");
        a.put("old", "since the start");
        b.gets("old", "since the start");
        share.mount("disk");
        has_the_share(world, a, b);
        // A person takes a new disk for it, as the message says: what is there is merged, and nothing is deleted.
        b.stop();
        share.unmount();
        share.mount("new");
        b.start();
        misses_the_share(b, "merged as new");
        assert_eq!(b.folder()["hosts"][0]["remedy"], "rejoin");
        says(b, &[&format!("bifold rejoin {:?}", world.at("share"))]);
        b.ask(&["rejoin", world.at("share").to_str().unwrap()]);
        has_the_share(world, a, b);
        assert_eq!(a.text("on a new disk"), "new");
        assert_eq!(a.folder()["files"], 2);
    });
}

#[test]
fn a_folder_whose_disk_goes_away_waits_for_that_disk() {
    let world = World::new();
    world.mkdir("ben");
    mounts::with_own_mounts(|| {
        for disk in ["disk", "new", "foreign"] {
            world.mkdir(disk);
            mounts::small_disk(&world.at(disk), 32 << 10);
        }
        another_folder(&world, "foreign");
        let root = Mountable {
            world: &world,
            at: "ben",
        };
        root.mount("disk");
        let (a, mut b) = pair(&world);
        for i in 0..2000 {
            a.put(&format!("many{}/{i}", i % 30), format!("{i}"));
        }
        until("some of them", || world.exists("ben/many0"));
        root.unmount();
        b.becomes("halted");
        assert!(world.tree("ben").is_empty(), "nothing is put where it was mounted");
        root.mount("disk");
        until("it goes on", || b.folder()["state"] == "up_to_date");
        all_well(&[&a, &b]);
        // While nothing happens.
        root.unmount();
        let folder = b.becomes("halted");
        assert!(folder["why"].as_str().unwrap().contains("mounted"), "{folder:#}");
        // Started with the disk of another folder.
        b.stop();
        root.mount("foreign");
        b.start();
        let folder = b.becomes("halted");
        assert!(folder["why"].as_str().unwrap().contains("another folder"), "{folder:#}");
        assert_eq!((world.tree("foreign").len(), a.folder()["files"].clone()), (1, 2001.into()));
        b.stop();
        root.unmount();
        b.start();
        root.mount("new");
        world.put("ben/on a new disk", "new");
        until("it says so", || {
            let folder = b.folder();
            let why = folder["why"].as_str().unwrap_or_default();
            why.contains("root.json) is gone") && folder["remedy"] == "rejoin"
        });
        says(&b, &["bifold rejoin"]);
        assert_eq!(a.folder()["files"], 2001);
        // What the message says: what is there is merged as new, and nothing is deleted.
        b.ask(&["rejoin", "team"]);
        until("it goes on", || b.folder()["state"] == "up_to_date");
        all_well(&[&a, &b]);
        assert_eq!(a.text("on a new disk"), "new");
        assert_eq!(a.folder()["files"], 2002);
        b.stop();
    });
}

#[test]
fn with_sixteen_watches_all_is_found_by_looking() {
    let world = World::new();
    let a = Device::new(&world, "anna");
    let mut b = Device::stopped(&world, "ben");
    // A limit of its own, in a name space of users: this file is that name space's. (Those in fs/inotify are everybody's.)
    let script = r#"echo 16 > /proc/sys/user/max_inotify_watches && exec "$@""#;
    b.through = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
        .map(String::from)
        .into();
    if !b.try_start() {
        world::skip(&format!("this system does not let one limit oneself: {}", b.log()));
        return;
    }
    a.put("old", "one");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    assert!(b.problem("").is_none(), "so few are watched");
    for i in 0..40 {
        b.put(&format!("dir{i}/sub/file"), "one");
    }
    let said = b.tells("", "unwatched");
    assert!(
        said.contains("looked at from time to time") && said.contains("max_user_watches") && said.contains("sysctl"),
        "{said}"
    );
    a.gets("dir39/sub/file", "one");
    b.becomes("up_to_date");
    assert_eq!(b.try_ask(&["status"]).code, Some(0), "nothing waits for anyone");
    // Deep in what is not watched.
    b.put("dir39/sub/file", "two");
    world.mv("ben/dir38", "ben/moved");
    world.rm("ben/dir37/sub/file");
    a.gets("dir39/sub/file", "two");
    a.gets("moved/sub/file", "one");
    until("the deletion", || !world.exists("anna/dir37/sub/file"));
    assert_same(&[&a, &b]);
    let id = b.id().to_string();
    let raise = "echo 10000 > /proc/sys/user/max_inotify_watches";
    let raised = Command::new("nsenter")
        .args(["--user", "--preserve-credentials", "--target", &id, "sh", "-c", raise])
        .output();
    if raised.is_ok_and(|done| done.status.success()) {
        assert!(said.contains("pause the folder and resume it"), "{said}");
        b.ask(&["pause", "team"]);
        b.ask(&["resume", "team"]);
        b.sees("anna", true);
        until("it is watched again", || b.problem("").is_none());
        b.put("dir36/sub/file", "two");
        a.gets("dir36/sub/file", "two");
    } else {
        eprintln!("not tried: the limit cannot be raised from outside");
    }
    assert_same(&[&a, &b]);
    assert_eq!(a.json(&["conflicts"]).as_array().unwrap().len(), 0);
}

#[test]
fn ten_thousand_events_a_second_are_kept_up_with() {
    let world = World::new();
    // Files that nobody touches: what is done to the others is little beside them, and needs nobody's word.
    for i in 0..1500 {
        world.put(format!("anna/quiet/{}/{i}", i % 20), "quiet");
    }
    let (a, b) = pair(&world);
    let mut random = Random::new(7);
    let mut truth = std::collections::BTreeMap::new();
    truth.insert("old".to_owned(), "one".to_owned());
    for dir in 0..10 {
        world.mkdir(format!("anna/{dir}"));
    }
    a.put("ball", "ball");
    let begun = std::time::Instant::now();
    let mut deeds = 0;
    // Each deed is two to four events, and those of the ball are eight.
    while begun.elapsed() < Duration::from_secs(2) {
        deeds += 1;
        let name = |random: &mut Random| format!("{}/{}", random.below(10), random.below(10));
        let path = name(&mut random);
        match random.below(4) {
            0 if truth.remove(&path).is_some() => world.rm(format!("anna/{path}")),
            1 if truth.contains_key(&path) => {
                let to = name(&mut random);
                world.mv(format!("anna/{path}"), format!("anna/{to}"));
                let text = truth.remove(&path).unwrap();
                truth.insert(to, text);
            }
            _ => {
                let text = format!("{deeds}");
                a.put(&path, &text);
                truth.insert(path, text);
            }
        }
        for _ in 0..4 {
            let names = ["anna/ball", "anna/ball in the air"];
            world.mv(names[0], names[1]);
            world.mv(names[1], names[0]);
        }
        // No faster than that.
        while begun.elapsed() < Duration::from_millis(1) * deeds {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // (Each of the eight renamings is told twice, and the rest at least once.)
    let told = 17 * u128::from(deeds) * 1000 / begun.elapsed().as_millis();
    if told < 10_000 {
        world::skip(&format!("this machine makes no more than {told} changes a second"));
    }
    let as_written = |device: &Device<'_>| {
        let tree = device.tree();
        let files = tree.values().filter(|item| matches!(item, world::Item::File { .. })).count();
        assert_eq!(files, truth.len() + 1501);
        truth
            .iter()
            .for_each(|(path, text)| assert_eq!(device.text(path), *text, "{path}"));
    };
    all_well(&[&a, &b]);
    as_written(&a);
    as_written(&b);

    // More at once than the system can tell: what is not told is found.
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 {
        world::skip(&format!("the system can tell of {limit} changes at once"));
        return;
    }
    a.signal(libc::SIGSTOP);
    for i in 0..limit / 2 + 10 {
        let names = ["anna/old", "anna/young"];
        world.mv(names[i % 2], names[(i + 1) % 2]);
    }
    a.put("untold/deep/1", "one");
    let edited = truth.keys().find(|path| path.contains('/')).unwrap();
    a.put(edited, "untold");
    a.signal(libc::SIGCONT);
    b.gets("untold/deep/1", "one");
    b.gets(edited, "untold");
    assert!(a.log().contains("more changed at once"), "{}", a.log());
    // What is new there is watched, too.
    a.put("untold/deep/2", "two");
    b.gets("untold/deep/2", "two");
    all_well(&[&a, &b]);
}

/// What tells the time, wrong by as many seconds as a file says.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *at) {
    int done = syscall(SYS_clock_gettime, id, at);
    char text[32] = {0};
    if (done != 0 || id != CLOCK_REALTIME) return done;
    int file = open(getenv("TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return done;
    if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atoll(text);
    close(file);
    return done;
}
"#;

#[test]
fn a_clock_that_is_set_back_a_day_takes_nothing_back() {
    const DAY: u64 = 24 * 3600;
    let world = World::new();
    world.put("clock.c", CLOCK);
    let mut compile = world.command_of("cc");
    compile.args(["-shared", "-fPIC", "-o", "clock.so", "clock.c"]);
    if !compile.output().is_ok_and(|done| done.status.success()) {
        world::skip("there is no C compiler");
        return;
    }
    let mut a = Device::stopped(&world, "anna");
    let set = |ahead: u64| {
        // (In one step: it is read all the time.)
        world.put("clock.new", ahead.to_string());
        world.mv("clock.new", "clock");
    };
    set(DAY);
    let at = |path: &str| world.at(path).to_str().unwrap().to_owned();
    let preload = format!("LD_PRELOAD={}", at("clock.so"));
    a.through = vec!["env".into(), preload, format!("TEST_CLOCK={}", at("clock"))];
    a.start();
    let b = Device::new(&world, "ben");
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let tomorrow = |path: &str, text: &str| {
        world.put("draft", text);
        world.set_time("draft", now() + DAY);
        world.mkdir("anna/dir");
        world.mv("draft", format!("anna/{path}"));
    };
    tomorrow("doc", "1");
    tomorrow("dir/other", "1");
    a.add();
    b.join(&a.ticket(&[]));
    assert_same(&[&a, &b]);
    tomorrow("doc", "2");
    b.gets("doc", "2");
    let log = a.json(&["log", "team"]);
    let told_ms = log[0]["at_ms"].as_u64().unwrap_or_else(|| panic!("{log:#}"));
    assert!(told_ms / 1000 > now() + DAY / 2, "the clock is wrong, as wanted");
    // Whose clock is right writes after who is ahead.
    b.put("doc", "3");
    a.gets("doc", "3");
    tomorrow("doc", "4");
    b.gets("doc", "4");
    let ticket = a.ticket(&[]);

    set(0);
    // The same length, and an older time.
    a.put("doc", "5");
    b.gets("doc", "5");
    b.put("doc", "6");
    a.gets("doc", "6");
    world.mv("anna/dir", "anna/moved");
    a.put("moved/other", "2");
    b.gets("moved/other", "2");
    let mut c = Device::new(&world, "cleo");
    c.join(&ticket);
    c.gets("doc", "6");
    c.put("new", "new");
    all_well(&[&a, &b, &c]);
    a.stop();
    a.put("doc", "7");
    world.rm("anna/new");
    a.start();
    b.gets("doc", "7");
    b.sees("anna", true);
    all_well(&[&a, &b, &c]);
    assert!(!world.exists("cleo/new"));

    // Set back while it waits for others for a few seconds: it does not wait for a day.
    let mut b = b;
    b.stop();
    c.stop();
    set(DAY);
    a.ask(&["rebuild", "team"]);
    assert_eq!(
        a.folder()["state"],
        "syncing",
        "it waits for the others, that what both have gets one node"
    );
    set(0);
    let begun = std::time::Instant::now();
    a.becomes("offline");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    b.start();
    c.start();
    for device in [&b, &c] {
        device.sees("anna", true);
    }
    b.sees("cleo", true);
    all_well(&[&a, &b, &c]);
    assert_eq!(c.text("doc"), "7");
}
