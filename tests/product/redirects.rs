//! Redirects of rules, path rules and the defaults of path maps (reference 2.6).

use http::Request;
use http_body_util::Full;

use crate::paths::{ask, gateway};
use crate::peers;

const GATEWAY: &str = "  frontendPorts: [{name: http, port: HTTP}, {name: tls, port: TLS}, {name: other, port: OTHER}]
  sslCertificates: [{name: app, secretName: app}]
  backendHttpSettingsCollection: [{name: s, port: 80, protocol: Http}]
  httpListeners:
  - {name: web, frontendPort: http, protocol: Http}
  - {name: one, frontendPort: other, protocol: Http, hostName: one.example}
  - {name: secure, frontendPort: tls, protocol: Https, sslCertificate: app}
  redirectConfigurations:
  - {name: to-tls, redirectType: Permanent, targetListener: secure, includePath: true, includeQueryString: true}
  - {name: to-one, redirectType: Found, targetListener: one, includePath: true}
  - {name: to-root, redirectType: SeeOther, targetListener: secure}
  - {name: away, redirectType: Temporary, targetUrl: 'https://away.example/base/?k=v#top', includePath: true, includeQueryString: true}
  - {name: query, redirectType: Found, targetUrl: 'https://away.example', includeQueryString: true}
  requestRoutingRules:
  - {name: r-web, ruleType: PathBasedRouting, httpListener: web, urlPathMap: m}
  - {name: r-one, ruleType: Basic, httpListener: one, redirectConfiguration: away}
  - {name: r-secure, ruleType: PathBasedRouting, httpListener: secure, urlPathMap: n}
  urlPathMaps:
  - name: m
    defaultRedirectConfiguration: to-tls
    pathRules:
    - {name: one, paths: ['/one*'], redirectConfiguration: to-one}
    - {name: root, paths: ['/root*'], redirectConfiguration: to-root}
    - {name: away, paths: ['/away/*'], redirectConfiguration: away}
    - {name: query, paths: [/query], redirectConfiguration: query}
    - {name: stay, paths: [/stay], backendAddressPool: a, backendHttpSettings: s}
  - name: n
    defaultBackendAddressPool: b
    defaultBackendHttpSettings: s
    pathRules:
    - {name: away, paths: ['/away*'], redirectConfiguration: away}
";

#[tokio::test]
async fn clients_are_sent_where_the_configuration_says() {
    let (gateway, [http, tls, other]) = gateway(GATEWAY).await;
    for (port, host, path, status, location) in [
        // A basic listener leaves clients the host that they asked for, and has its own port.
        (http, "a.example:99", "/x/y?q=%20&r", 301, format!("https://a.example:{tls}/x/y?q=%20&r")),
        (http, "[::1]:99", "/", 301, format!("https://[::1]:{tls}/")),
        (http, "a.example", "/one/x?q", 302, format!("http://one.example:{other}/one/x")),
        (http, "a.example", "/Root/x?q", 303, format!("https://a.example:{tls}/")),
        (
            http,
            "a.example",
            "/away/x?q=1",
            307,
            "https://away.example/base/away/x?k=v&q=1#top".into(),
        ),
        (http, "a.example", "/query?q", 302, "https://away.example/?q".into()),
        (http, "a.example", "/query", 302, "https://away.example/".into()),
        (other, "one.example", "/%2e/x", 307, "https://away.example/base/%2e/x?k=v#top".into()),
    ] {
        let answer = ask(port, host, path).await;
        let found = answer.headers.get("location").map(|value| value.to_str().unwrap());
        assert_eq!((answer.status, found), (status, Some(&*location)), "{host}{path}");
        assert!(answer.body.is_empty());
    }
    assert_eq!(ask(http, "a.example", "/stay").await.status, 200);

    let address = std::net::SocketAddr::from(([127, 0, 0, 1], tls));
    let mut sender = peers::http2(address, &gateway.plan.certificate.0).await;
    for method in ["GET", "POST", "HEAD"] {
        let request = Request::builder().method(method).uri("https://localhost/away/x?q");
        let body = Full::<bytes::Bytes>::default();
        let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!(answer.status(), 307);
        assert_eq!(location, "https://away.example/base/away/x?k=v&q#top", "{method}");
    }

    let quic = crate::quic::endpoint(&gateway.plan.certificate.0);
    let quic = quic.connect(address, "localhost").unwrap().await.unwrap();
    let (mut driver, mut sender) = h3::client::new(h3_quinn::Connection::new(quic)).await.unwrap();
    tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    let request = Request::get("https://localhost/away/x?q").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    let answer = stream.recv_response().await.unwrap();
    let location = answer.headers()["location"].to_str().unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(location, "https://away.example/base/away/x?k=v&q#top");
}
