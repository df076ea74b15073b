//! A small country of real processes, and what must be true of its stores in the end.

mod content_files;
mod country;
mod doubler;
mod large;
mod privileges;
mod processes;
mod slow_line;

use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) use country::{Country, Landscape, Sending};
pub(crate) use doubler::Doubler;
pub(crate) use privileges::{alone, run, small_disk};
pub(crate) use processes::Process;

/// Pause between two looks at something that is being waited for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until something is seen. Panics when that takes longer than `seconds_max`.
pub(crate) fn wait_for<T>(what: &str, seconds_max: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds_max);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {seconds_max} s for {what}");
        sleep(LOOK_EVERY);
    }
}
