//! Mutations that leave canonical JSON canonical. Of bytes changed anywhere, one in very many is
//! still a text that is read beyond its first mistake.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Value, json};

/// Changes `data`, of which `size` bytes are used, in one place of the value that it stands for;
/// or now and then, and where it stands for none, anywhere.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice(seed);
    if dice.below(4) > 0
        && let Ok(mut value) = serde_json::from_slice(&data[..size])
    {
        for _ in 0..=dice.below(3) {
            change(&mut value, &mut dice);
        }
        let changed = serde_json_canonicalizer::to_vec(&value).unwrap_or_default();
        if (1..=max_size).contains(&changed.len()) {
            data[..changed.len()].copy_from_slice(&changed);
            return changed.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
}

fn change(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Array(items) if !items.is_empty() && dice.below(3) > 0 => {
            let at = dice.below(items.len());
            change(&mut items[at], dice);
        }
        Value::Object(fields) if !fields.is_empty() && dice.below(3) > 0 => {
            let at = dice.below(fields.len());
            change(
                fields.values_mut().nth(at).expect("fewer than there are"),
                dice,
            );
        }
        Value::Array(items) if !items.is_empty() => {
            let (at, other) = (dice.below(items.len()), dice.below(items.len()));
            match dice.below(4) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                2 => items.swap(at, other),
                _ => items.clear(),
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            let at = dice.below(fields.len());
            let name = fields.keys().nth(at).expect("fewer than there are").clone();
            let taken = fields.remove(&name).expect("it is there");
            if dice.below(2) == 0 {
                fields.insert(format!("{name}{}", dice.character()), taken);
            }
        }
        Value::String(text) if dice.below(4) > 0 => {
            let mut characters: Vec<char> = text.chars().collect();
            let at = dice.below(characters.len() + 1);
            match dice.below(4) {
                0 => characters.clear(),
                1 if at < characters.len() => drop(characters.remove(at)),
                2 if at < characters.len() => characters[at] = dice.character(),
                _ => characters.insert(at, dice.character()),
            }
            *text = characters.into_iter().collect();
        }
        Value::Number(number) if dice.below(2) == 0 => {
            let next = number.as_i64().map(|n| n.wrapping_add(1));
            *value = json!(next);
        }
        other => {
            const EDGE: u64 = 1 << 53;
            let all = [
                json!(null),
                json!(true),
                json!(0),
                json!(-1),
                json!(0.5),
                json!(1e300),
                json!(EDGE - 1),
                json!(EDGE),
                json!(u64::MAX),
                json!(""),
                json!("9999-12-31T23:59:60Z"),
                json!("2026-02-30T00:00:00+24:00"),
                json!([""]),
                json!({ "": {} }),
            ];
            *other = all[dice.below(all.len())].clone();
        }
    }
}

/// A generator of its own, since what the fuzzer finds must be found again from its seed.
struct Dice(u32);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let mixed = ((self.0 >> ((self.0 >> 28) + 4)) ^ self.0).wrapping_mul(277_803_737);
        ((mixed >> 22) ^ mixed) as usize % n
    }

    fn character(&mut self) -> char {
        const ONES: [char; 14] = [
            '0', 'a', 'f', 'g', 'Z', '_', ' ', '\n', '\0', '"', '\\', 'é', '\u{2028}', '🦀',
        ];
        ONES[self.below(ONES.len())]
    }
}
