//! What conditions look at and values can name.

use std::fmt;

use thiserror::Error;

/// The name of a header field, in small letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldName(Box<str>);

/// Not the name of a header field.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FieldNameError {
    /// Nothing at all, or characters that no name has (RFC 9110 5.6.2).
    #[error("{0:?} is not the name of a header: letters, digits and !#$%&'*+-.^_`|~ are allowed")]
    NoToken(Box<str>),
    /// Longer than any field that is sent.
    #[error("a header name of {0} bytes is too long: at most {MAX} are allowed", MAX = FieldName::LONGEST)]
    TooLong(usize),
}

fn is_token(text: &str) -> bool {
    let of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(of_token)
}

impl FieldName {
    const LONGEST: usize = 256;

    /// Checks a name. Capital letters become small ones.
    ///
    /// # Errors
    /// If it is no token, or too long.
    pub fn new(text: &str) -> Result<Self, FieldNameError> {
        if text.len() > Self::LONGEST {
            return Err(FieldNameError::TooLong(text.len()));
        }
        if !is_token(text) {
            return Err(FieldNameError::NoToken(text.into()));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name, in small letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a condition looks at, or a value names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `http_req_NAME`: what the request has at this time.
    RequestHeader(FieldName),
    /// `http_resp_NAME`: what the member's response has at this time.
    ResponseHeader(FieldName),
    /// `var_cookie_NAME`.
    Cookie(Box<str>),
    /// `var_NAME`.
    Server(ServerVariable),
}

/// Not a variable.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VariableError {
    /// Neither a header nor a server variable.
    #[error("{0:?} is no variable: it has to begin with http_req_, http_resp_ or var_")]
    Prefix(Box<str>),
    /// A server variable that there is not.
    #[error("there is no server variable {0:?}")]
    Unknown(Box<str>),
    /// A header that cannot be.
    #[error(transparent)]
    Header(#[from] FieldNameError),
    /// The gateway drops such headers from requests, so that it never has a value.
    #[error(
        "a request header {0:?} never comes: names with anything but letters, digits and - are dropped from requests"
    )]
    Dropped(Box<str>),
    /// A cookie that cannot be.
    #[error("{0:?} is not the name of a cookie")]
    Cookie(Box<str>),
}

impl Variable {
    /// Reads `http_req_NAME`, `http_resp_NAME`, `var_cookie_NAME` or `var_NAME`.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn parse(text: &str) -> Result<Self, VariableError> {
        if let Some(name) = text.strip_prefix("http_req_") {
            let field = FieldName::new(name)?;
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(VariableError::Dropped(name.into()));
            }
            Ok(Self::RequestHeader(field))
        } else if let Some(name) = text.strip_prefix("http_resp_") {
            Ok(Self::ResponseHeader(FieldName::new(name)?))
        } else if let Some(name) = text.strip_prefix("var_cookie_") {
            match is_token(name) {
                true => Ok(Self::Cookie(name.into())),
                false => Err(VariableError::Cookie(name.into())),
            }
        } else if let Some(name) = text.strip_prefix("var_") {
            let known = ServerVariable::ALL.iter().find(|its| its.name() == name);
            known.copied().map(Self::Server).ok_or(VariableError::Unknown(name.into()))
        } else {
            Err(VariableError::Prefix(text.into()))
        }
    }

    /// Whether it has no value before the member has answered.
    pub fn is_of_response(&self) -> bool {
        match self {
            Self::ResponseHeader(_) => true,
            Self::Server(its) => {
                matches!(its, ServerVariable::HttpStatus | ServerVariable::SentBytes)
            }
            Self::RequestHeader(_) | Self::Cookie(_) => false,
        }
    }
}

macro_rules! server_variables {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// What the gateway knows of a request besides its headers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ServerVariable { $($(#[$doc])* $variant,)+ }

        impl ServerVariable {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name, without `var_`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

server_variables! {
    /// What the client says of those before it, and the client itself, without ports.
    AddXForwardedForProxy = "add_x_forwarded_for_proxy",
    /// The suites that the client offered.
    CiphersSupported = "ciphers_supported",
    /// The suite of the connection.
    CiphersUsed = "ciphers_used",
    /// The client's address.
    ClientIp = "client_ip",
    /// The client's port.
    ClientPort = "client_port",
    /// The time to the client and back when its connection began, in microseconds.
    ClientTcpRtt = "client_tcp_rtt",
    /// The user name of Basic authentication.
    ClientUser = "client_user",
    /// The host that the client asked for, without port.
    Host = "host",
    /// The method.
    HttpMethod = "http_method",
    /// The status of the response.
    HttpStatus = "http_status",
    /// `HTTP/1.1`, `HTTP/2.0`, ...
    HttpVersion = "http_version",
    /// The query that the client asked for, without `?`.
    QueryString = "query_string",
    /// Bytes of the request: its line, headers and the body as far as it says its length.
    ReceivedBytes = "received_bytes",
    /// The same as `query_string`.
    RequestQuery = "request_query",
    /// `http` or `https`.
    RequestScheme = "request_scheme",
    /// Path and query that the client asked for.
    RequestUri = "request_uri",
    /// Bytes sent to the client before the headers are: 0.
    SentBytes = "sent_bytes",
    /// The port that the client connected to.
    ServerPort = "server_port",
    /// `TLSv1.3` or `TLSv1.2`.
    SslConnectionProtocol = "ssl_connection_protocol",
    /// `On`, or nothing.
    SslEnabled = "ssl_enabled",
    /// The path that the client asked for, without query.
    UriPath = "uri_path",
    /// The client's certificate: PEM in percent encoding, as no header has line breaks.
    ClientCertificate = "client_certificate",
    /// When it ends.
    ClientCertificateEndDate = "client_certificate_end_date",
    /// Its SHA-1 in hexadecimal.
    ClientCertificateFingerprint = "client_certificate_fingerprint",
    /// Who signed it.
    ClientCertificateIssuer = "client_certificate_issuer",
    /// Its number in hexadecimal.
    ClientCertificateSerial = "client_certificate_serial",
    /// When it begins.
    ClientCertificateStartDate = "client_certificate_start_date",
    /// Whose it is.
    ClientCertificateSubject = "client_certificate_subject",
    /// `SUCCESS`, `NONE`, or `FAILED:` and why.
    ClientCertificateVerification = "client_certificate_verification",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_and_wrong_ones_say_why() {
        let field = |name| FieldName::new(name).unwrap();
        for (text, expected) in [
            ("http_req_User-Agent", Variable::RequestHeader(field("user-agent"))),
            ("http_resp_X_y", Variable::ResponseHeader(field("x_y"))),
            ("var_cookie_a_1", Variable::Cookie("a_1".into())),
            ("var_uri_path", Variable::Server(ServerVariable::UriPath)),
            (
                "var_client_certificate_end_date",
                Variable::Server(ServerVariable::ClientCertificateEndDate),
            ),
        ] {
            assert_eq!(Variable::parse(text), Ok(expected), "{text}");
        }
        for (text, why) in [
            ("User-Agent", "has to begin with"),
            ("{var_host}", "has to begin with"),
            ("var_nothing", "no server variable \"nothing\""),
            ("http_req_", "not the name of a header"),
            ("http_req_a b", "not the name of a header"),
            ("http_req_a_b", "never comes"),
            ("var_cookie_", "not the name of a cookie"),
        ] {
            let error = Variable::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn every_server_variable_is_found_by_its_name() {
        for variable in ServerVariable::ALL {
            let text = format!("var_{}", variable.name());
            assert_eq!(Variable::parse(&text), Ok(Variable::Server(*variable)));
        }
    }
}
