//! Certificates that are about to expire, and how large they may be.

use tidegate_model::Certificate;

/// A warning comes so many seconds before: 30 days.
const AHEAD: i64 = 30 * 24 * 3600;
/// The largest certificate, with chain and key, that Application Gateway takes.
const LARGEST: usize = 16 * 1024;

/// What there is to say of a certificate at a time.
pub(super) fn warning(certificate: &Certificate, now: i64) -> Option<String> {
    let last = certificate.expires().saturating_sub(1);
    let size = certificate.chain().iter().map(|one| one.len()).sum::<usize>()
        + certificate.key().secret_der().len();
    if now > last {
        return Some(format!("its certificate has expired, at {}: clients refuse it", date(last)));
    }
    if now >= last.saturating_sub(AHEAD) {
        return Some(format!("its certificate expires at {}", date(last)));
    }
    (size > LARGEST).then(|| {
        format!(
            "its certificate has {size} bytes, chain and key included: some clients take 16 KiB"
        )
    })
}

/// When something else is to be said.
pub(super) fn next(certificate: &Certificate, now: i64) -> Option<i64> {
    let expires = certificate.expires();
    [expires.saturating_sub(AHEAD + 1), expires].into_iter().find(|time| now < *time)
}

/// Such as `2026-12-01 08:30 UTC` (from days to date as Hinnant's "chrono-compatible algorithms").
fn date(time: i64) -> String {
    let (days, seconds) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (time, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59 UTC"),
            (1_893_456_000, "2030-01-01 00:00 UTC"),
            (-1, "1969-12-31 23:59 UTC"),
        ] {
            assert_eq!(date(time), expected);
        }
    }

    #[test]
    fn a_warning_comes_thirty_days_ahead_and_changes_when_it_is_too_late() {
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let made =
            Certificate::from_pem("n/s", pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let (end, month) = (1_893_456_000, 30 * 86_400);
        assert_eq!(warning(&made, end - month - 1), None);
        assert_eq!(next(&made, 0), Some(end - month));
        assert!(warning(&made, end - month).unwrap().contains("expires at 2030-01-01 00:00 UTC"));
        assert_eq!(next(&made, end - month), Some(end + 1));
        assert!(warning(&made, end).unwrap().contains("expires at"));
        assert!(warning(&made, end + 1).unwrap().contains("has expired"));
        assert_eq!(next(&made, end + 1), None);
    }
}
