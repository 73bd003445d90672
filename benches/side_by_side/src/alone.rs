//! A measurement in a process of its own, which then says how much memory it needed.

use std::env::current_exe;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::site::Site;
use crate::ways::Way;
use crate::work::{Call, Charter, Job, Outcome, Times, Variant};

/// The first argument of a process that measures one variant.
pub const ALONE: &str = "alone";

/// What one round of one variant took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    pub times: [Times; 2],
    /// The peak of its resident memory in KiB, where the process did nothing else.
    pub peak: Option<u64>,
}

impl Measured {
    pub fn times(&self, call: Call) -> &Times {
        let [create, enact] = &self.times;
        match call {
            Call::Create => create,
            Call::Enact => enact,
        }
    }
}

/// From an empty register to an enacted document.
pub fn here(variant: &mut dyn Variant, job: &Job<'_>) -> Outcome<Measured> {
    job.site.reset(job.n)?;
    let times = variant.round(job, &mut || job.site.link(job.n))?;
    job.site.check(job.n)?;
    Ok(Measured { times, peak: None })
}

pub fn in_a_process(way: Way, n: u64, site: &Site) -> Outcome<Measured> {
    let output = Command::new(current_exe()?)
        .args([ALONE, &way.key(), &n.to_string(), &site.admin, &site.runner])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{} failed with {n} rows", way.key()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The process itself.
pub fn child(arguments: &[String]) -> Outcome<()> {
    let [way, n, admin, runner] = arguments else {
        return Err("four arguments".into());
    };
    let site = Site {
        admin: admin.clone(),
        runner: runner.clone(),
    };
    let mut variant = Way::from_key(way)
        .and_then(Way::variant)
        .ok_or("no variant of this program")?;
    let job = Job {
        n: n.parse()?,
        charter: &Charter::new(),
        site: &site,
    };
    let mut measured = here(&mut *variant, &job)?;
    measured.peak = Some(peak()?);
    Ok(serde_json::to_writer(std::io::stdout(), &measured)?)
}

fn peak() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    Ok(peak
        .ok_or("no VmHWM in /proc/self/status")?
        .trim()
        .parse()?)
}
