//! Where the phases of a drawing stand: in layers, each below those that it comes after.

use super::GatedPhase;

/// The space between two places of a layer.
const GAP: f64 = 36.0;

/// The width of the place by which an arrow passes a layer.
const PASSAGE: f64 = 20.0;

/// What stands in a place of a layer: a phase, or an arrow that passes on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occupant {
    Start,
    Phase(usize),
    Passage { from: Option<usize>, to: usize },
}

struct Place {
    occupant: Occupant,
    width: f64,
    x: f64,
}

/// An arrow: from a phase, or from the start, to a phase.
pub(super) struct Arrow {
    /// `None` is the start.
    pub(super) from: Option<usize>,
    pub(super) to: usize,
    /// Where it passes the layers in between: the layer, and the middle of the place.
    pub(super) by: Vec<(usize, f64)>,
}

pub(super) struct Layout {
    /// The layer and the middle of each phase.
    pub(super) phases: Vec<(usize, f64)>,
    /// The middle of the start.
    pub(super) start: f64,
    pub(super) arrows: Vec<Arrow>,
    /// The number of layers, that of the start included.
    pub(super) layers: usize,
    pub(super) width: f64,
}

impl Layout {
    /// Lays out phases of these widths, none of which comes after one that follows it in the list.
    pub(super) fn of(phases: &[GatedPhase], width_of: impl Fn(usize) -> f64) -> Self {
        let before: Vec<Vec<usize>> = phases
            .iter()
            .enumerate()
            .map(|(at, phase)| {
                let names = phase.after.iter();
                let found =
                    names.filter_map(|name| phases.iter().position(|one| one.name == *name));
                found.filter(|&before| before < at).collect()
            })
            .collect();
        let mut layer_of: Vec<usize> = Vec::new();
        for before in &before {
            let lowest = before.iter().map(|&one| layer_of[one]).max().unwrap_or(0);
            layer_of.push(lowest + 1);
        }
        let layers = layer_of.iter().max().map_or(1, |lowest| lowest + 1);
        let mut places: Vec<Vec<Place>> = (0..layers).map(|_| Vec::new()).collect();
        let place = |occupant, width| Place {
            occupant,
            width,
            x: 0.0,
        };
        places[0].push(place(Occupant::Start, PASSAGE));
        let mut edges = Vec::new();
        for (to, before) in before.iter().enumerate() {
            places[layer_of[to]].push(place(Occupant::Phase(to), width_of(to)));
            let from: Vec<Option<usize>> = if before.is_empty() {
                vec![None]
            } else {
                before.iter().copied().map(Some).collect()
            };
            for from in from {
                let upper = from.map_or(0, |from| layer_of[from]);
                for layer in &mut places[upper + 1..layer_of[to]] {
                    layer.push(place(Occupant::Passage { from, to }, PASSAGE));
                }
                edges.push((from, to, upper));
            }
        }
        let width = places.iter().map(|layer| total(layer)).fold(0.0, f64::max);
        for layer in &mut places {
            let mut x = (width - total(layer)) / 2.0;
            for place in layer {
                place.x = x + place.width / 2.0;
                x += place.width + GAP;
            }
        }
        let middle = |layer: usize, occupant| {
            let mut found = places[layer]
                .iter()
                .filter(|place| place.occupant == occupant);
            found.next().map_or(0.0, |place| place.x)
        };
        Layout {
            phases: layer_of
                .iter()
                .enumerate()
                .map(|(at, &layer)| (layer, middle(layer, Occupant::Phase(at))))
                .collect(),
            start: middle(0, Occupant::Start),
            arrows: edges
                .iter()
                .map(|&(from, to, upper)| Arrow {
                    from,
                    to,
                    by: (upper + 1..layer_of[to])
                        .map(|layer| (layer, middle(layer, Occupant::Passage { from, to })))
                        .collect(),
                })
                .collect(),
            layers,
            width,
        }
    }
}

fn total(layer: &[Place]) -> f64 {
    let widths: f64 = layer.iter().map(|place| place.width + GAP).sum();
    (widths - GAP).max(0.0)
}
