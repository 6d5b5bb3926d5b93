//! What a line says.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tidegate_model::ObjectName;

use crate::tls::{ClientCertificate, Verification};
use crate::tunnel::{Side, TunnelEnd};

/// What was agreed in a client's TLS handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsInfo {
    pub(crate) protocol: &'static str,
    pub(crate) cipher: &'static str,
}

/// What the line of a tunnel says besides.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TunnelLine {
    /// How it ended.
    #[serde(rename = "tunnelEnd")]
    pub(crate) end: TunnelEnd,
    /// The code of the first Close frame, 1005 for one without; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) close_code: Option<u16>,
    /// Whose Close frame it was, or who ended the tunnel without one.
    pub(crate) closed_by: Side,
    /// Data messages from the client.
    pub(crate) messages_received: u64,
    /// Data messages to the client.
    pub(crate) messages_sent: u64,
    /// Seconds from our last ping of the client that it answered to its pong.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_seconds")]
    pub(crate) client_ping: Option<Duration>,
    /// The same of the member.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_seconds")]
    pub(crate) member_ping: Option<Duration>,
}

/// To the microsecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

fn in_seconds<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    duration.map(seconds).serialize(to)
}

/// One request or tunnel.
pub(crate) struct Entry<'a> {
    /// When its first byte came.
    pub(crate) time: SystemTime,
    pub(crate) gateway: Option<&'a ObjectName>,
    pub(crate) listener: &'a str,
    pub(crate) rule: &'a str,
    pub(crate) pool: &'a str,
    pub(crate) settings: &'a str,
    pub(crate) client: SocketAddr,
    pub(crate) method: &'a str,
    /// Path and query as the client sent them.
    pub(crate) uri: &'a str,
    /// Path and query as members get them.
    pub(crate) target: &'a str,
    pub(crate) user_agent: Option<&'a [u8]>,
    /// The response's.
    pub(crate) content_type: Option<&'a [u8]>,
    pub(crate) status: u16,
    pub(crate) version: http::Version,
    /// Body bytes from the client; of a tunnel, all bytes.
    pub(crate) received: u64,
    /// Body bytes to the client; of a tunnel, all bytes.
    pub(crate) sent: u64,
    pub(crate) took: Duration,
    pub(crate) transaction_id: &'a str,
    pub(crate) tls: Option<TlsInfo>,
    /// What the listener asked of the client's certificate came to.
    pub(crate) verification: Verification,
    pub(crate) certificate: Option<&'a ClientCertificate>,
    /// The member that answered, or should have.
    pub(crate) server: Option<SocketAddr>,
    pub(crate) server_status: Option<u16>,
    /// From the request's first byte to the head of the member's response.
    pub(crate) server_latency: Option<Duration>,
    /// Our port on the connection to the member.
    pub(crate) upstream_port: Option<u16>,
    pub(crate) original_host: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) error_info: &'static str,
    /// Set on the line of a tunnel.
    pub(crate) tunnel: Option<TunnelLine>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time_stamp: String,
    resource_id: String,
    listener_name: &'a str,
    rule_name: &'a str,
    backend_pool_name: &'a str,
    backend_setting_name: &'a str,
    operation_name: &'static str,
    category: &'static str,
    properties: Properties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    #[serde(rename = "clientIP")]
    client_ip: std::net::IpAddr,
    client_port: u16,
    http_method: &'a str,
    original_request_uri_with_args: &'a str,
    request_uri: &'a str,
    request_query: &'a str,
    user_agent: Option<std::borrow::Cow<'a, str>>,
    http_status: u16,
    http_version: &'static str,
    received_bytes: u64,
    sent_bytes: u64,
    /// In seconds.
    time_taken: f64,
    transaction_id: &'a str,
    ssl_enabled: &'static str,
    ssl_cipher: Option<&'static str>,
    ssl_protocol: Option<&'static str>,
    ssl_client_verify: &'static str,
    ssl_client_certificate_fingerprint: Option<&'a str>,
    ssl_client_certificate_issuer_name: Option<&'a str>,
    server_routed: Option<SocketAddr>,
    server_status: Option<u16>,
    /// In seconds.
    server_response_latency: Option<f64>,
    upstream_source_port: Option<u16>,
    original_host: Option<&'a str>,
    host: Option<&'a str>,
    #[serde(rename = "error_info")]
    error_info: &'static str,
    content_type: Option<std::borrow::Cow<'a, str>>,
    /// Ours; absent on the line of a request.
    #[serde(flatten)]
    tunnel: Option<TunnelLine>,
}

impl Entry<'_> {
    /// The line, with its line break.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let line = Line {
            time_stamp: humantime::format_rfc3339_millis(self.time).to_string(),
            resource_id: self.gateway.map_or_else(String::new, ToString::to_string),
            listener_name: self.listener,
            rule_name: self.rule,
            backend_pool_name: self.pool,
            backend_setting_name: self.settings,
            operation_name: "ApplicationGatewayAccess",
            category: "ApplicationGatewayAccessLog",
            properties: Properties {
                client_ip: self.client.ip(),
                client_port: self.client.port(),
                http_method: self.method,
                original_request_uri_with_args: self.uri,
                request_uri: path,
                request_query: query,
                user_agent: self.user_agent.map(String::from_utf8_lossy),
                http_status: self.status,
                http_version: version(self.version),
                received_bytes: self.received,
                sent_bytes: self.sent,
                time_taken: seconds(self.took),
                transaction_id: self.transaction_id,
                ssl_enabled: if self.tls.is_some() { "on" } else { "off" },
                ssl_cipher: self.tls.map(|tls| tls.cipher),
                ssl_protocol: self.tls.map(|tls| tls.protocol),
                ssl_client_verify: self.verification.as_str(),
                ssl_client_certificate_fingerprint: self.certificate.map(|c| &*c.fingerprint),
                ssl_client_certificate_issuer_name: self.certificate.map(|c| &*c.issuer),
                server_routed: self.server,
                server_status: self.server_status,
                server_response_latency: self.server_latency.map(seconds),
                upstream_source_port: self.upstream_port,
                original_host: self.original_host,
                host: self.host,
                error_info: self.error_info,
                content_type: self.content_type.map(String::from_utf8_lossy),
                tunnel: self.tunnel,
            },
        };
        let mut bytes = Vec::with_capacity(1024);
        // Strings and numbers always serialise.
        if serde_json::to_writer(&mut bytes, &line).is_ok() {
            bytes.push(b'\n');
        }
        bytes
    }
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2.0",
        http::Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_of_application_gateways_log() {
        let entry = Entry {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            gateway: Some(&ObjectName::new("default", "chat")),
            listener: "web",
            rule: "r1",
            pool: "p",
            settings: "s",
            client: SocketAddr::from(([10, 0, 0, 1], 5000)),
            method: "GET",
            uri: "/a?b=\"c",
            target: "/a?b=\"c",
            user_agent: Some(b"x\xff"),
            content_type: None,
            status: 101,
            version: http::Version::HTTP_11,
            received: 1,
            sent: 2,
            took: Duration::from_millis(1500),
            transaction_id: "0123",
            tls: Some(TlsInfo { protocol: "TLSv1_3", cipher: "C" }),
            verification: Verification::None,
            certificate: None,
            server: Some(SocketAddr::from(([10, 0, 0, 2], 80))),
            server_status: Some(101),
            server_latency: Some(Duration::from_micros(1234)),
            upstream_port: Some(4000),
            original_host: Some("a.example"),
            host: Some("b.example"),
            error_info: "ERRORINFO_NO_ERROR",
            tunnel: Some(TunnelLine {
                end: TunnelEnd::ClientClosed,
                close_code: Some(1000),
                closed_by: Side::Client,
                messages_received: 3,
                messages_sent: 4,
                client_ping: Some(Duration::from_micros(2500)),
                member_ping: None,
            }),
        };
        let line = entry.to_line();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["timeStamp"], "2023-11-14T22:13:20.123Z");
        assert_eq!(value["resourceId"], "default/chat");
        let properties = &value["properties"];
        for (name, expected) in [
            ("clientIP", serde_json::json!("10.0.0.1")),
            ("originalRequestUriWithArgs", serde_json::json!("/a?b=\"c")),
            ("requestUri", serde_json::json!("/a")),
            ("requestQuery", serde_json::json!("b=\"c")),
            ("userAgent", serde_json::json!("x\u{fffd}")),
            ("timeTaken", serde_json::json!(1.5)),
            ("serverRouted", serde_json::json!("10.0.0.2:80")),
            ("serverResponseLatency", serde_json::json!(0.001234)),
            ("sslEnabled", serde_json::json!("on")),
            ("sslClientVerify", serde_json::json!("NONE")),
            ("sslClientCertificateFingerprint", serde_json::Value::Null),
            ("tunnelEnd", serde_json::json!("clientClosed")),
            ("closeCode", serde_json::json!(1000)),
            ("closedBy", serde_json::json!("client")),
            ("messagesSent", serde_json::json!(4)),
            ("clientPing", serde_json::json!(0.0025)),
            ("memberPing", serde_json::Value::Null),
            ("contentType", serde_json::Value::Null),
        ] {
            assert_eq!(properties[name], expected, "{name}");
        }
    }
}
