//! Displays a plan for people.

use std::fmt;

use super::Plan;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {}", self.digest())?;
        write!(
            f,
            "pipeline `{}`, made by a {}",
            self.pipeline(),
            self.made_by()
        )?;
        if let Some(author) = self.author() {
            write!(f, " of {author}")?;
        }
        if let Some(editor) = self.last_editor() {
            write!(f, ", last edited by {editor}")?;
        }
        if let Some(until) = self.content.valid_until {
            write!(f, ", valid until {until}")?;
        }
        writeln!(f, "\nfor {}", self.target())?;
        for (phase, place) in self.phases().iter().zip(1..) {
            write!(f, "\n{place}. {}: ", phase.name())?;
            match phase.gates() {
                [] => f.write_str("no approval needed")?,
                gates => write!(f, "behind {}", gates.join(" and "))?,
            }
            if !phase.after().is_empty() {
                write!(f, "; after {}", phase.after().join(", "))?;
            }
            writeln!(f)?;
            if !phase.summary().is_empty() {
                writeln!(f, "   {}", phase.summary())?;
            }
            writeln!(f, "   input {}", phase.input())?;
            for (table, planned) in phase.effects() {
                writeln!(f, "   {table}: {planned}")?;
            }
            if phase.effects().is_empty() {
                writeln!(f, "   changes nothing")?;
            }
        }
        Ok(())
    }
}
