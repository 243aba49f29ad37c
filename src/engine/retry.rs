//! Whether and when a failed request is sent again. Pure: the class of the problem and the number of the attempt decide, a seed makes the
//! jitter repeatable. The engine does the waiting.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// What to do about a problem, whoever met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself.
    Passing,
    /// Somebody was faster: worth a few tries, as a controller's own write settles.
    Contended,
    /// No retry can help.
    Final,
}

/// Conflicts are tried this often; a real owner does not go away by waiting.
const CONTENDED_ATTEMPTS: u32 = 5;

/// The delays between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub first: Duration,
    pub cap: Duration,
    pub seed: u64,
}

impl Pace {
    /// Growing delays with jitter, without end: the deadline of the wave is what ends them.
    pub fn delays(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.cap)
            .with_factor(2.0)
            .with_jitter()
            .with_jitter_seed(self.seed)
            .without_max_times()
            .build()
    }
}

/// Whether attempt number `attempt` (from 1) that failed is followed by another.
pub fn is_retried(class: Class, attempt: u32) -> bool {
    match class {
        Class::Passing => true,
        Class::Contended => attempt < CONTENDED_ATTEMPTS,
        Class::Final => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_repeat_with_the_seed() {
        let pace = Pace { first: Duration::from_millis(500), cap: Duration::from_secs(8), seed: 7 };
        let delays: Vec<_> = pace.delays().take(8).collect();
        assert_eq!(delays, pace.delays().take(8).collect::<Vec<_>>());
        assert!(delays[0] >= Duration::from_millis(500) && delays[0] <= Duration::from_secs(1));
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(16)));
        assert!(delays[7] >= Duration::from_secs(8));
    }

    #[test]
    fn final_problems_end_at_once_and_conflicts_soon() {
        assert!(!is_retried(Class::Final, 1));
        assert!(is_retried(Class::Contended, 4) && !is_retried(Class::Contended, 5));
        assert!(is_retried(Class::Passing, 1000));
    }
}
