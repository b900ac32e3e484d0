//! Hosts of a network of their own: network namespaces, joined by a switch. As root only.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Runs a program that is to succeed; says whether it did.
fn tries(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let done = Command::new(words.next().unwrap()).args(words).output();
    match done {
        Ok(done) if done.status.success() => true,
        Ok(done) => {
            eprintln!("{line}: {}", String::from_utf8_lossy(&done.stderr).trim());
            false
        }
        Err(e) => {
            eprintln!("{line}: {e}");
            false
        }
    }
}

pub fn does(line: &str) {
    assert!(tries(line), "{line}");
}

/// Some hosts on one switch: NET.1, NET.2, and so on. Gone afterwards.
pub struct Hosts {
    prefix: String,
    /// The first three numbers of their addresses.
    net: &'static str,
    names: Vec<String>,
}

impl Hosts {
    /// Hosts of a local network. `None` where this user may not make network namespaces, or there are none: then there is nothing
    /// to be tried.
    pub fn new(count: usize) -> Option<Hosts> {
        Hosts::with("10.77.0", count)
    }

    /// Hosts with addresses that belong to no local network (RFC 5737), as [`new`](Self::new).
    pub fn of_the_world(count: usize) -> Option<Hosts> {
        Hosts::with("203.0.113", count)
    }

    fn with(net: &'static str, count: usize) -> Option<Hosts> {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("bf{}x{n}", std::process::id());
        let mut hosts = Hosts {
            prefix,
            net,
            names: Vec::new(),
        };
        let switch = hosts.switch();
        if !tries(&format!("ip netns add {switch}")) {
            eprintln!("no network namespaces here: not tried");
            return None;
        }
        hosts.names.push(switch.clone());
        does(&format!("ip -n {switch} link add br0 type bridge"));
        does(&format!("ip -n {switch} link set br0 up"));
        for i in 1..=count {
            hosts.add(i);
        }
        Some(hosts)
    }

    pub fn switch(&self) -> String {
        format!("{}s", self.prefix)
    }

    /// A host's namespace.
    pub fn name(&self, i: usize) -> String {
        format!("{}h{i}", self.prefix)
    }

    pub fn address(&self, i: usize) -> String {
        format!("{}.{i}", self.net)
    }

    fn add(&mut self, i: usize) {
        let (host, switch) = (self.name(i), self.switch());
        does(&format!("ip netns add {host}"));
        self.names.push(host.clone());
        does(&format!("ip -n {host} link set lo up"));
        does(&format!("ip -n {switch} link add v{i} type veth peer name eth0 netns {host}"));
        does(&format!("ip -n {switch} link set v{i} master br0 up"));
        does(&format!("ip -n {host} addr add {}/24 dev eth0", self.address(i)));
        does(&format!("ip -n {host} link set eth0 up"));
    }

    /// Puts a host behind a router of its own, which translates addresses: it is 192.168.N.2 then.
    pub fn behind_nat(&mut self, i: usize) -> String {
        let (host, router, switch) = (self.name(i), format!("{}r{i}", self.prefix), self.switch());
        does(&format!("ip netns add {router}"));
        self.names.push(router.clone());
        does(&format!("ip -n {switch} link del v{i}"));
        does(&format!("ip -n {router} link set lo up"));
        does(&format!(
            "ip -n {switch} link add v{i} type veth peer name out netns {router}"
        ));
        does(&format!("ip -n {switch} link set v{i} master br0 up"));
        does(&format!("ip -n {router} addr add {}/24 dev out", self.address(i)));
        does(&format!("ip -n {router} link set out up"));
        does(&format!("ip -n {router} link add in type veth peer name eth0 netns {host}"));
        does(&format!("ip -n {router} addr add 192.168.{i}.1/24 dev in"));
        does(&format!("ip -n {router} link set in up"));
        let inside = format!("192.168.{i}.2");
        does(&format!("ip -n {host} addr add {inside}/24 dev eth0"));
        does(&format!("ip -n {host} link set eth0 up"));
        does(&format!("ip -n {host} route add default via 192.168.{i}.1"));
        // (Of that namespace alone.)
        let forward = ["netns", "exec", &router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];
        assert!(Command::new("ip").args(forward).status().unwrap().success());
        let rules = "add table ip t; add chain ip t p { type nat hook postrouting priority 100 ; }; add rule ip t p oifname out masquerade; \
                     add chain ip t f { type filter hook forward priority 0 ; policy drop ; }; add rule ip t f iifname in accept; \
                     add rule ip t f ct state established,related accept; \
                     add chain ip t i { type filter hook input priority 0 ; policy drop ; }; add rule ip t i iifname in accept";
        let done = Command::new("ip")
            .args(["netns", "exec", &router, "nft", rules])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        inside
    }

    /// Lets no packet pass between two hosts' routers but by way of others.
    pub fn keep_apart(&self, i: usize, j: usize) {
        let rules = format!(
            "add table ip k; add chain ip k f {{ type filter hook prerouting priority 0 ; }}; add rule ip k f ip saddr {} drop",
            self.address(j)
        );
        let router = format!("{}r{i}", self.prefix);
        let done = Command::new("ip")
            .args(["netns", "exec", &router, "nft", &rules])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Pulls a host's cable, or puts it in again.
    pub fn cable(&self, i: usize, is_in: bool) {
        let state = if is_in { "up" } else { "down" };
        does(&format!("ip -n {} link set v{i} {state}", self.switch()));
    }

    /// Bytes that went to a host.
    pub fn received(&self, i: usize) -> u64 {
        let out = Command::new("ip")
            .args([
                "netns",
                "exec",
                &self.name(i),
                "cat",
                "/sys/class/net/eth0/statistics/rx_bytes",
            ])
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).trim().parse().unwrap()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            tries(&format!("ip netns del {name}"));
        }
    }
}
