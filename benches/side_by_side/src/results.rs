//! What was measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::alone::Measured;
use crate::ways::Way;
use crate::work::{Call, Times};

#[derive(Default)]
pub struct Results {
    rounds: BTreeMap<(u64, Way), Vec<Measured>>,
    digested: BTreeMap<u64, Vec<Duration>>,
}

/// Which of the two times is meant.
pub type Of = fn(&Times) -> Duration;

pub const CONNECTING: Of = |times| times.connecting;
pub const SESSION: Of = |times| times.session;

impl Results {
    pub fn add(&mut self, n: u64, way: Way, measured: Measured) {
        self.rounds.entry((n, way)).or_default().push(measured);
    }

    pub fn digested(&mut self, n: u64, took: Vec<Duration>) {
        self.digested.insert(n, took);
    }

    pub fn digesting(&self, n: u64) -> &[Duration] {
        self.digested.get(&n).map_or(&[], Vec::as_slice)
    }

    /// How many rows there were, from few to many.
    pub fn scales(&self) -> Vec<u64> {
        self.digested.keys().copied().collect()
    }

    /// One time for each round.
    pub fn times(&self, n: u64, way: Way, call: Call, of: Of) -> Vec<Duration> {
        let rounds = self.rounds.get(&(n, way)).map_or(&[][..], Vec::as_slice);
        let place = usize::from(call == Call::Enact);
        rounds.iter().map(|round| of(&round.times[place])).collect()
    }

    /// The median of the rounds' own ratios: what slows down a whole round slows down both.
    pub fn ratio(&self, n: u64, call: Call, of: Of, dividend: Way, divisor: Way) -> Option<f64> {
        let dividends = self.times(n, dividend, call, of);
        let divisors = self.times(n, divisor, call, of);
        let mut ratios: Vec<f64> = dividends
            .iter()
            .zip(&divisors)
            .map(|(dividend, divisor)| dividend.as_secs_f64() / divisor.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }

    /// The highest peak of memory in KiB.
    pub fn peak(&self, n: u64, way: Way) -> Option<u64> {
        let rounds = self.rounds.get(&(n, way))?;
        rounds.iter().filter_map(|round| round.peak).max()
    }

    /// Every measurement, a line for each.
    pub fn raw(&self) -> String {
        let mut raw =
            "rows,variant,call,round,from_connecting_s,in_session_s,peak_kib\n".to_owned();
        for ((n, way), rounds) in &self.rounds {
            for (measured, round) in rounds.iter().zip(1..) {
                for (call, times) in Call::BOTH.into_iter().zip(&measured.times) {
                    let peak = measured.peak.map_or(String::new(), |peak| peak.to_string());
                    let _ = writeln!(
                        raw,
                        "{n},{},{},{round},{:.6},{:.6},{peak}",
                        way.key(),
                        call.name(),
                        times.connecting.as_secs_f64(),
                        times.session.as_secs_f64()
                    );
                }
            }
        }
        for (n, took) in &self.digested {
            for (took, round) in took.iter().zip(1..) {
                let took = took.as_secs_f64();
                let _ = writeln!(raw, "{n},Digest,plan,{round},{took:.6},{took:.6},");
            }
        }
        raw
    }
}

/// The one in the middle, the shortest and the longest.
pub fn spread(times: &[Duration]) -> Option<[Duration; 3]> {
    let mut times = times.to_vec();
    times.sort();
    let (least, most) = (*times.first()?, *times.last()?);
    Some([times[times.len() / 2], least, most])
}
