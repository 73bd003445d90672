//! Statements as chance puts them together.

use crate::change::{Change, Does};
use crate::random::Random;
use crate::schema::Schema;

/// Random numbers, and numbers that no statement has had.
pub(crate) struct Chance {
    random: Random,
    fresh: i64,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance {
            random: Random::new(seed),
            fresh: 1000,
        }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound)
    }

    fn key(&mut self) -> i64 {
        i64::try_from(self.below(42)).unwrap()
    }

    fn fresh(&mut self) -> i64 {
        self.fresh += 1;
        self.fresh
    }

    /// `{i}` is a number that rows have, `{n}` one that none has, `{where}` a condition on the column `id`.
    fn filled(&mut self, template: &str) -> String {
        let (mut text, mut rest) = (String::new(), template);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            text += before;
            match name {
                "i" => text += &self.below(42).to_string(),
                "s" => text += &(self.below(5)).to_string(),
                "n" => text += &self.fresh().to_string(),
                column => {
                    let quoted = column.strip_prefix("where ").unwrap();
                    text += &self.condition(quoted);
                }
            }
            rest = after;
        }
        text + rest
    }

    fn condition(&mut self, column: &str) -> String {
        let number = self.below(42);
        match self.below(5) {
            0 => format!("{column} = {number}"),
            1 => format!("{column} < {}", number / 4),
            2 => format!("{column} % {} = {}", 2 + number % 7, number % 3),
            3 => format!("{column} IN ({number}, {})", self.below(42)),
            _ => format!("{column} > {number}"),
        }
    }

    fn does(&mut self, schema: &Schema) -> Does {
        let statement = self.random.one_of(schema.statements);
        match self.below(20) {
            0 => Does::Rows {
                function: format!("{}.touch", schema.name),
                keys: (0..self.below(6)).map(|_| self.key()).collect(),
            },
            1 => {
                let (statement, line) = self.random.one_of(schema.copies).split_once('|').unwrap();
                let lines = (0..=self.below(4)).map(|_| self.filled(line) + "\n");
                Does::Copy {
                    statement: statement.to_owned(),
                    lines: lines.collect(),
                }
            }
            2 => Does::Undone(self.filled(statement)),
            3 => {
                let other = self.random.one_of(schema.statements);
                let block = format!("{}; {};", self.filled(statement), self.filled(other));
                Does::Statement(format!("DO $q$ BEGIN {block} END $q$"))
            }
            4 => {
                let (one, other) = (
                    self.filled(statement),
                    self.random.one_of(schema.statements),
                );
                let other = self.filled(other);
                Does::PartlyUndone(format!(
                    "DO $q$ BEGIN {one}; BEGIN {other}; RAISE 'undone'; EXCEPTION WHEN raise_exception THEN NULL; END; END $q$"
                ))
            }
            _ => Does::Statement(self.filled(statement)),
        }
    }

    pub(crate) fn change(&mut self, schema: &Schema, number: usize) -> Change {
        let does = (0..=self.below(4)).map(|_| self.does(schema)).collect();
        Change {
            number,
            does,
            resolve: schema.resolve.map(str::to_owned),
        }
    }
}
