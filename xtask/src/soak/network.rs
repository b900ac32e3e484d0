//! The devices' network: namespaces on one switch, each with a cable that can be pulled. They go at the end.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where there is no right to namespaces, all are on the loopback interface, and no cables are pulled.
pub struct Network {
    prefix: Option<String>,
    made: Vec<String>,
}

/// Runs `ip` with these words.
fn ip(line: &str) -> Result<()> {
    let done = Command::new("ip")
        .args(line.split_whitespace())
        .output()
        .context("`ip` cannot be started; is iproute2 installed?")?;
    if !done.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

impl Network {
    pub fn new(hosts: usize) -> Result<Network> {
        let prefix = format!("soak{}", std::process::id());
        let mut network = Network {
            prefix: None,
            made: Vec::new(),
        };
        let switch = format!("{prefix}s");
        if let Err(error) = ip(&format!("netns add {switch}")) {
            eprintln!("No network namespaces here ({error:#}): all are on the loopback interface, and no cables are pulled.");
            return Ok(network);
        }
        network.made.push(switch.clone());
        network.prefix = Some(prefix);
        ip(&format!("-n {switch} link add br0 type bridge"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for i in 0..hosts {
            let host = network.host(i).unwrap_or_default();
            ip(&format!("netns add {host}"))?;
            network.made.push(host.clone());
            ip(&format!("-n {host} link set lo up"))?;
            ip(&format!("-n {switch} link add v{i} type veth peer name eth0 netns {host}"))?;
            ip(&format!("-n {switch} link set v{i} master br0 up"))?;
            ip(&format!("-n {host} addr add {}/24 dev eth0", network.address(i)))?;
            ip(&format!("-n {host} link set eth0 up"))?;
        }
        Ok(network)
    }

    /// The name of a host's namespace.
    pub fn host(&self, i: usize) -> Option<String> {
        Some(format!("{}h{i}", self.prefix.as_ref()?))
    }

    pub fn address(&self, i: usize) -> String {
        match self.prefix {
            Some(_) => format!("10.78.0.{}", i + 1),
            None => "127.0.0.1".into(),
        }
    }

    pub fn has_cables(&self) -> bool {
        self.prefix.is_some()
    }

    /// Pulls a host's cable, or puts it in again.
    pub fn cable(&self, i: usize, is_in: bool) -> Result<()> {
        let Some(prefix) = &self.prefix else { return Ok(()) };
        ip(&format!("-n {prefix}s link set v{i} {}", if is_in { "up" } else { "down" }))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.made.iter().rev() {
            if let Err(error) = ip(&format!("netns del {name}")) {
                eprintln!("{error:#}; please remove it by hand.");
            }
        }
    }
}
