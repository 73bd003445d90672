//! What was measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::alone::Measured;
use crate::ways::Way;
use crate::work::{Call, Times};

#[derive(Default)]
pub struct Results {
    rounds: BTreeMap<(u64, Way), BTreeMap<u32, Measured>>,
    digested: BTreeMap<u64, Vec<Duration>>,
    left_out: BTreeSet<(u64, Way)>,
    round: u32,
}

/// What a row takes beside the two calls: it is given its place, and is written to disk.
const BESIDE: Duration = Duration::from_micros(30);

/// Which of the two times is meant.
pub type Of = fn(&Times) -> Duration;

pub const CONNECTING: Of = |times| times.connecting;
pub const SESSION: Of = |times| times.session;

impl Results {
    pub fn add(&mut self, n: u64, way: Way, measured: Measured) {
        let rounds = self.rounds.entry((n, way)).or_default();
        rounds.insert(self.round, measured);
    }

    /// What is measured from now on is no longer beside what was.
    pub fn end_round(&mut self) {
        self.round += 1;
    }

    pub fn left_out(&mut self, n: u64, way: Way) {
        self.left_out.insert((n, way));
    }

    /// Those for which there was no time, not even for one round.
    pub fn missing(&self) -> impl Iterator<Item = (u64, Way)> {
        let unmeasured = |of: &&(u64, Way)| !self.rounds.contains_key(*of);
        self.left_out.iter().filter(unmeasured).copied()
    }

    /// How long a round will take, by what it took before with as many rows or fewer.
    pub fn expected(&self, n: u64, way: Way) -> Duration {
        let mut before = self.rounds.range((0, way)..=(n, way));
        let known = before.rfind(|((_, of), _)| *of == way);
        known.map_or(Duration::ZERO, |((rows, _), rounds)| {
            let round = rounds.values().next_back();
            let took = round.map_or(Duration::ZERO, |round| {
                round.times.iter().map(|times| times.connecting).sum()
            });
            #[allow(clippy::cast_precision_loss)] // a million rows
            let (more, n) = (n as f64 / *rows as f64, n as f64);
            took.mul_f64(more) + BESIDE.mul_f64(n)
        })
    }

    pub fn digested(&mut self, n: u64, took: Duration) {
        self.digested.entry(n).or_default().push(took);
    }

    pub fn digesting(&self, n: u64) -> &[Duration] {
        self.digested.get(&n).map_or(&[], Vec::as_slice)
    }

    /// How many rows there were, from few to many.
    pub fn scales(&self) -> Vec<u64> {
        let scales: BTreeSet<u64> = self.rounds.keys().map(|(n, _)| *n).collect();
        scales.into_iter().collect()
    }

    fn of(&self, n: u64, way: Way) -> impl Iterator<Item = (&u32, &Measured)> {
        self.rounds.get(&(n, way)).into_iter().flatten()
    }

    /// One time for each round.
    pub fn times(&self, n: u64, way: Way, call: Call, of: Of) -> Vec<Duration> {
        let times = self.of(n, way).map(|(_, round)| of(round.times(call)));
        times.collect()
    }

    /// The median of the rounds' own ratios: what slows down a whole round slows down both. Where the
    /// two never had a round together, the ratio of their medians.
    pub fn ratio(&self, n: u64, call: Call, of: Of, dividend: Way, divisor: Way) -> Option<f64> {
        let mut ratios: Vec<f64> = Vec::new();
        for (round, measured) in self.of(n, dividend) {
            if let Some(beside) = self.rounds.get(&(n, divisor))?.get(round) {
                let [dividend, divisor] = [measured, beside].map(|of_one| of(of_one.times(call)));
                ratios.push(dividend.as_secs_f64() / divisor.as_secs_f64());
            }
        }
        if ratios.is_empty() {
            let [dividend, ..] = spread(&self.times(n, dividend, call, of))?;
            let [divisor, ..] = spread(&self.times(n, divisor, call, of))?;
            return Some(dividend.as_secs_f64() / divisor.as_secs_f64());
        }
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }

    /// The highest peak of memory in KiB.
    pub fn peak(&self, n: u64, way: Way) -> Option<u64> {
        self.of(n, way).filter_map(|(_, round)| round.peak).max()
    }

    /// Every measurement, a line for each.
    pub fn raw(&self) -> String {
        let mut raw =
            "rows,variant,call,round,from_connecting_s,in_session_s,peak_kib\n".to_owned();
        for ((n, way), rounds) in &self.rounds {
            for (round, measured) in rounds {
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
