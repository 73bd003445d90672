//! Reads the assembly of `zero_cost` and compares each function with its namesakes. Neither knows nor
//! cares for which processor it is.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::{env, fs};

const FUNCTIONS: [&str; 4] = ["one", "behind_both", "pass_on", "all"];

fn main() -> ExitCode {
    let Some(path) = env::args().nth(1) else {
        eprintln!("say which file of assembly: .ci/zero_cost does");
        return ExitCode::FAILURE;
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let assembly = Assembly::read(&text);
    let mut as_promised = true;
    for function in FUNCTIONS {
        let [Some(bare), Some(guarded), Some(counted)] =
            ["bare", "guarded", "counted"].map(|module| assembly.function(module, function))
        else {
            eprintln!("`{function}` is not in {path} in all three modules");
            return ExitCode::FAILURE;
        };
        let one_symbol = bare.symbol == guarded.symbol;
        let said = if one_symbol {
            "one symbol"
        } else {
            "the same code"
        };
        if bare.code != guarded.code {
            as_promised = false;
            eprintln!("`{function}` is not the same with tokens as without:");
            show(&bare.code, &guarded.code);
        } else if guarded.code == counted.code {
            as_promised = false;
            eprintln!(
                "`{function}`: what is no token makes no difference, so the comparison is blind"
            );
        } else {
            println!(
                "{function}: with tokens and without, {said}, {} instructions; with what is no token, {}",
                bare.instructions(),
                counted.instructions()
            );
        }
    }
    if as_promised {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Functions by their symbols, and which symbols are other names of which.
struct Assembly<'a> {
    bodies: BTreeMap<&'a str, Vec<&'a str>>,
    aliases: BTreeMap<&'a str, &'a str>,
}

struct Function {
    symbol: String,
    code: Vec<String>,
}

impl<'a> Assembly<'a> {
    fn read(text: &'a str) -> Self {
        let mut bodies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        let mut within = None;
        for line in text.lines() {
            // A comment; `#` alone begins an operand on some processors.
            let line = line.split(" # ").next().unwrap_or_default().trim_end();
            let label = line
                .strip_suffix(':')
                .filter(|_| !line.starts_with([' ', '\t', '.']));
            if let Some(symbol) = label.filter(|symbol| !is_local(symbol)) {
                within = Some(symbol);
                bodies.entry(symbol).or_default();
            } else if let Some((symbol, of)) = alias(line) {
                aliases.insert(symbol, of);
            } else if let Some(symbol) = within {
                let line = line.trim();
                let local = line.strip_suffix(':').is_some_and(is_local);
                if line.starts_with(".size") || line.starts_with(".cfi_endproc") {
                    within = None;
                } else if local || !(line.is_empty() || line.starts_with('.')) {
                    bodies.entry(symbol).or_default().push(line);
                }
            }
        }
        Assembly { bodies, aliases }
    }

    fn function(&self, module: &str, name: &str) -> Option<Function> {
        // As symbols of version 0 have it: each part after its length, and the path at the end.
        let path = format!("9zero_cost{}{module}{}{name}", module.len(), name.len());
        let ours = |symbol: &&&str| symbol.ends_with(&path);
        let symbol = self.bodies.keys().chain(self.aliases.keys()).find(ours)?;
        let symbol = self.original(symbol);
        let mut labels = Vec::new();
        let lines = self.bodies.get(symbol)?.iter();
        let code = lines.map(|line| self.normal(line, &mut labels)).collect();
        Some(Function {
            symbol: symbol.to_owned(),
            code,
        })
    }

    fn original<'s>(&'s self, symbol: &'s str) -> &'s str {
        self.aliases
            .get(symbol)
            .map_or(symbol, |of| self.original(of))
    }

    /// With local labels numbered as they are met, and without the module in symbols.
    fn normal(&self, line: &str, labels: &mut Vec<String>) -> String {
        let mut normal = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(is_of_name) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !is_of_name(c)).unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            normal += before;
            if is_local(word) {
                let known = labels.iter().position(|label| label == word);
                let number = known.unwrap_or_else(|| {
                    labels.push(word.to_owned());
                    labels.len() - 1
                });
                normal += &format!(".L{number}");
            } else {
                normal += &without_module(self.original(word));
            }
            rest = after;
        }
        normal + rest
    }
}

impl Function {
    fn instructions(&self) -> usize {
        self.code.iter().filter(|line| !line.ends_with(':')).count()
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

fn is_local(symbol: &str) -> bool {
    ["L", ".L"].iter().any(|local| {
        let rest = symbol.strip_prefix(local);
        rest.is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
        })
    })
}

/// `.set a, b`, or `a = b`: how two functions of one body become one.
fn alias(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (symbol, of) = match line.strip_prefix(".set") {
        Some(rest) => rest.split_once(',')?,
        None => line.split_once(" = ")?,
    };
    Some((symbol.trim(), of.trim()))
}

fn without_module(symbol: &str) -> String {
    symbol
        .replace("9zero_cost4bare", "9zero_cost")
        .replace("9zero_cost7guarded", "9zero_cost")
        .replace("9zero_cost7counted", "9zero_cost")
}

fn show(bare: &[String], guarded: &[String]) {
    for at in 0..bare.len().max(guarded.len()) {
        let line = |code: &[String]| code.get(at).cloned().unwrap_or_default().replace('\t', " ");
        eprintln!("  {:<48} {}", line(bare), line(guarded));
    }
}
