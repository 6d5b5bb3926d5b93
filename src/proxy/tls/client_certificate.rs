//! What a client shows of itself in the handshake, and the words for how it was judged.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::tls::distinguished_name;

/// The certificate of a client, in the words of the server variables `client_certificate*`. That it
/// has the key was proved in the handshake; whether it is to be trusted is for the listener to say.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// With line breaks, as files have it.
    pub(crate) pem: Box<str>,
    /// As RFC 4514 writes names, in printable ASCII.
    pub(crate) subject: Box<str>,
    pub(crate) issuer: Box<str>,
    /// In hexadecimal.
    pub(crate) serial: Box<str>,
    /// SHA-1 of the certificate, in hexadecimal: a name for it, on which no trust is built.
    pub(crate) fingerprint: Box<str>,
    /// Such as `Nov 24 19:00:00 2026 GMT`.
    pub(crate) start_date: Box<str>,
    pub(crate) end_date: Box<str>,
    /// Its own first.
    pub(crate) chain: Box<[CertificateDer<'static>]>,
}

/// What a listener that asks for certificates makes of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Verification {
    /// It showed none, or was not asked.
    #[default]
    None,
    Success,
    Expired,
    NotYetValid,
    UnknownIssuer,
    /// Trusted, but not of the lowest authority of a chain.
    OtherIssuer,
    Revoked,
    /// No list says whether it was revoked.
    NoRevocationList,
    OldRevocationList,
    /// Not for clients.
    OtherPurpose,
    Invalid,
}

impl Verification {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 11] = [
        Self::None,
        Self::Success,
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownIssuer,
        Self::OtherIssuer,
        Self::Revoked,
        Self::NoRevocationList,
        Self::OldRevocationList,
        Self::OtherPurpose,
        Self::Invalid,
    ];

    /// `SUCCESS`, `NONE` or `FAILED:` and why.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Success => "SUCCESS",
            Self::Expired => "FAILED:certificate has expired",
            Self::NotYetValid => "FAILED:certificate is not yet valid",
            Self::UnknownIssuer => "FAILED:issuer is not trusted",
            Self::OtherIssuer => "FAILED:issuer is not the one wanted",
            Self::Revoked => "FAILED:certificate revoked",
            Self::NoRevocationList => "FAILED:no revocation list of the issuer",
            Self::OldRevocationList => "FAILED:revocation list has expired",
            Self::OtherPurpose => "FAILED:certificate is not for clients",
            Self::Invalid => "FAILED:certificate is not valid",
        }
    }
}

impl ClientCertificate {
    /// Reads a chain, the client's own first; `None` if that one is not a certificate.
    pub(crate) fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let own = chain.first()?;
        let (_, certificate) = X509Certificate::from_der(own).ok()?;
        let validity = certificate.validity();
        Some(Self {
            pem: pem(own).into(),
            subject: distinguished_name::text(certificate.subject()).into(),
            issuer: distinguished_name::text(certificate.issuer()).into(),
            serial: serial(certificate.raw_serial()).into(),
            fingerprint: hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, own).as_ref()).into(),
            start_date: date(validity.not_before).into(),
            end_date: date(validity.not_after).into(),
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Without the zero that keeps a number from being negative (X.690 8.3).
fn serial(bytes: &[u8]) -> String {
    let shown = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    hex(shown).to_uppercase()
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn date(time: ASN1Time) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = time.to_datetime();
    let month = MONTHS.get(usize::from(u8::from(time.month())) - 1).unwrap_or(&"");
    let (hour, minute, second) = time.to_hms();
    let (day, year) = (time.day(), time.year());
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber, date_time_ymd,
    };

    use super::*;

    #[test]
    fn the_facts_of_a_certificate_are_those_that_openssl_prints() {
        let mut params = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "Tide, Gate");
        name.push(DnType::CommonName, "device-7");
        params.distinguished_name = name;
        params.serial_number = Some(SerialNumber::from_slice(&[0xab, 0x01]));
        params.not_before = date_time_ymd(2026, 2, 3);
        params.not_after = date_time_ymd(2036, 11, 24);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = ClientCertificate::read(&[made.der().clone()]).unwrap();
        assert_eq!(&*read.subject, "CN=device-7,O=Tide\\, Gate");
        assert_eq!(read.issuer, read.subject);
        assert_eq!(&*read.serial, "AB01");
        assert_eq!(&*read.start_date, "Feb  3 00:00:00 2026 GMT");
        assert_eq!(&*read.end_date, "Nov 24 00:00:00 2036 GMT");
        assert_eq!(read.fingerprint.len(), 40);
        assert_eq!(read.pem.replace('\n', ""), made.pem().replace("\r\n", "").replace('\n', ""));
    }

    #[test]
    fn verdicts_are_found_by_their_numbers() {
        for (number, verdict) in Verification::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, number);
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        assert!(ClientCertificate::read(&[]).is_none());
        assert!(ClientCertificate::read(&[CertificateDer::from(vec![0x30, 0x03, 1, 2])]).is_none());
    }
}
