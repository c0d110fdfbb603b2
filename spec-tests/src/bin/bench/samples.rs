//! What many samples of one thing come to.

use serde::Serialize;

/// The middle and the spread of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub median: f64,
    pub p10: f64,
    pub p90: f64,
    pub min: f64,
    pub max: f64,
    pub count: usize,
}

impl Summary {
    /// `None` without samples.
    pub fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Summary {
            median: at(&sorted, 0.5),
            p10: at(&sorted, 0.1),
            p90: at(&sorted, 0.9),
            min: *sorted.first()?,
            max: *sorted.last()?,
            count: sorted.len(),
        })
    }
}

/// The value below which `share` of the sorted samples lie, between two neighbours in proportion.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let neighbour = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (neighbour(place.floor()), neighbour(place.ceil()));
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_between_two_samples_is_their_mean_in_proportion() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max, summary.count), (2.5, 1.0, 4.0, 4));
        assert!((summary.p10 - 1.3).abs() < 1e-9 && (summary.p90 - 3.7).abs() < 1e-9);
    }

    #[test]
    fn one_sample_is_all_there_is_and_none_is_nothing() {
        let summary = Summary::of(&[7.0]).unwrap();
        assert_eq!((summary.median, summary.p10, summary.p90), (7.0, 7.0, 7.0));
        assert_eq!(Summary::of(&[]), None);
    }
}
