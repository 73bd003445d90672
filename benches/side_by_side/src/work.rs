//! The work: the register's own create and enact, for rows with the text of the charter.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use phasegate::Digest;
use serde::{Deserialize, Serialize};

pub type Outcome<T> = Result<T, Box<dyn StdError>>;

/// What the register calls the document.
pub const DOCUMENT: &str = "crates/iu-cutter/charter.md";

const CHARTER: &str = include_str!("../../../crates/iu-cutter/charter.md");

/// How many units a chapter has, the chapter itself among them.
const CHAPTER: u64 = 10;

/// Which function is called for each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Create,
    Enact,
}

impl Call {
    pub const BOTH: [Call; 2] = [Call::Create, Call::Enact];

    pub fn name(self) -> &'static str {
        match self {
            Call::Create => "create",
            Call::Enact => "enact",
        }
    }

    pub fn function(self) -> &'static str {
        match self {
            Call::Create => "iu.fn_iu_create",
            Call::Enact => "iu.fn_iu_enact",
        }
    }
}

/// What the function is given for one row.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Input<'a> {
    Create {
        document: &'static str,
        address: String,
        title: &'a str,
        body: &'a str,
        digest: &'a str,
    },
    Enact {
        document: &'static str,
        address: String,
    },
}

impl Input<'_> {
    pub fn address(&self) -> &str {
        match self {
            Input::Create { address, .. } | Input::Enact { address, .. } => address,
        }
    }
}

/// The result of the function.
#[derive(Debug, Deserialize)]
pub struct Answer {
    ok: bool,
}

impl Answer {
    /// Every client checks every result.
    pub fn check(&self) -> Outcome<()> {
        if self.ok {
            Ok(())
        } else {
            Err("the register did not answer ok".into())
        }
    }
}

struct Section {
    title: String,
    body: String,
    digest: String,
}

/// The texts of the charter, from which the rows are made, over and over.
pub struct Charter(Vec<Section>);

impl Charter {
    pub fn new() -> Self {
        let sections = CHARTER.split("\n#").filter_map(|section| {
            let (title, body) = section.trim_start_matches('#').split_once('\n')?;
            let (title, body) = (title.trim().to_owned(), body.trim().to_owned());
            let digest = Digest::of(format!("{title}\n{body}").as_bytes()).to_string();
            (!body.is_empty()).then_some(Section {
                title,
                body,
                digest,
            })
        });
        Charter(sections.collect())
    }

    /// The rows of a document of `n` units, chapters first. They are made one by one, at next to no
    /// cost, so that none of the clients holds more of them than it wants to.
    pub fn inputs(&self, call: Call, n: u64) -> impl Iterator<Item = Input<'_>> {
        let text = self.0.iter().cycle();
        (0..n).zip(text).map(move |(index, section)| {
            let address = address(index);
            let document = DOCUMENT;
            match call {
                Call::Create => Input::Create {
                    document,
                    address,
                    title: &section.title,
                    body: &section.body,
                    digest: &section.digest,
                },
                Call::Enact => Input::Enact { document, address },
            }
        })
    }
}

/// What the rows are made from, for a plan that does not hold them.
pub fn source() -> Digest {
    Digest::of(CHARTER.as_bytes())
}

fn address(index: u64) -> String {
    let (chapter, article) = (index / CHAPTER + 1, index % CHAPTER);
    if article == 0 {
        chapter.to_string()
    } else {
        format!("{chapter}.{article}")
    }
}

/// One measurement, of one call.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Times {
    /// From before connecting to the response to the commit.
    pub connecting: Duration,
    /// From the connection on.
    pub session: Duration,
}

/// Started before connecting.
pub struct Clock {
    pub begun: Instant,
    pub connected: Instant,
}

impl Clock {
    pub fn start() -> Self {
        let begun = Instant::now();
        let connected = begun;
        Clock { begun, connected }
    }

    pub fn connected(&mut self) {
        self.connected = Instant::now();
    }

    /// Stops the clock, after the response to the commit.
    pub fn stop(&self) -> Times {
        Times {
            connecting: self.begun.elapsed(),
            session: self.connected.elapsed(),
        }
    }
}

/// What a variant is to do: so many rows, as this role, in this database.
pub struct Job<'a> {
    pub n: u64,
    pub charter: &'a Charter,
    pub site: &'a crate::site::Site,
}

/// One way to perform the rows.
pub trait Variant {
    /// Creates the document, lets `link` give the units their places, and enacts it.
    fn round(&mut self, job: &Job<'_>, link: &mut Link<'_>) -> Outcome<[Times; 2]>;
}

pub type Link<'a> = dyn FnMut() -> Outcome<()> + 'a;

impl<F: FnMut(&Job<'_>, Call) -> Outcome<Times>> Variant for F {
    fn round(&mut self, job: &Job<'_>, link: &mut Link<'_>) -> Outcome<[Times; 2]> {
        let created = self(job, Call::Create)?;
        link()?;
        Ok([created, self(job, Call::Enact)?])
    }
}
