//! Certificates as resources carry them: PEM, or PEM or DER in Base64.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// PEM as it is, or what Base64 holds: PEM, or DER that becomes PEM.
pub(crate) fn certificates(data: &str) -> Result<Vec<u8>, String> {
    if data.trim_start().starts_with("-----BEGIN") {
        return Ok(data.as_bytes().to_vec());
    }
    let bytes = base64(data)?;
    if bytes.first() == Some(&0x30) {
        return Ok(block("CERTIFICATE", &bytes).into_bytes());
    }
    Ok(bytes)
}

/// What Base64 holds, space and ends of lines left aside.
pub(crate) fn base64(data: &str) -> Result<Vec<u8>, String> {
    let text: String = data.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(&text).map_err(|_| "neither PEM nor Base64".to_owned())
}

/// One block of PEM.
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    let mut block = format!("-----BEGIN {label}-----\n");
    for (index, c) in BASE64_STANDARD.encode(der).chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            block.push('\n');
        }
        block.push(c);
    }
    block + &format!("\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_and_der_come_out_as_the_same_pem() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let expected = block("CERTIFICATE", made.cert.der());
        assert_eq!(made.cert.pem().replace("\r\n", "\n"), expected);
        let (der, pem) =
            (BASE64_STANDARD.encode(made.cert.der()), BASE64_STANDARD.encode(&expected));
        for data in [expected.clone(), der.clone(), pem, format!("{}\n {}", &der[..9], &der[9..])] {
            assert_eq!(certificates(&data).unwrap(), expected.as_bytes());
        }
        assert!(certificates("a?").is_err());
    }
}
