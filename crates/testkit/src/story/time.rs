//! Times in stories: `2020-02-29T12:00:00` (always UTC), a part of that, or seconds since 1970.

/// Nanoseconds since 1970.
pub(super) fn time(word: &str) -> Option<i64> {
    if let Ok(seconds) = word.parse::<i64>() {
        return seconds.checked_mul(1_000_000_000);
    }
    let (date, clock) = word.split_once('T').unwrap_or((word, "00:00:00"));
    let mut date = date.split('-').map(|n| n.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    // Days from civil: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    (((days * 24 + hour) * 60 + minute) * 60 + second).checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time("1970-01-01"), Some(0));
        assert_eq!(time("2000-03-01T00:00:01"), Some(951_868_801_000_000_000));
        assert_eq!(time("1969-12-31T23:59:59"), Some(-1_000_000_000));
        assert_eq!(time("77"), Some(77_000_000_000));
        assert_eq!(time("soon"), None);
    }
}
