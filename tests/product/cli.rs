//! The command line.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use crate::gateway::{Plan, free_port};

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn check_judges_as_serve_does_and_its_exit_code_tells() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    let path = file.to_str().unwrap();
    let plan = Plan::to("127.0.0.1:1".parse().unwrap()).with(|plan| {
        plan.documents = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "members"},
        })
        .to_string();
    });
    fs::write(&file, plan.yaml()).unwrap();
    let output = tidegate(&["check", path]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    assert_eq!(text(&output.stderr), "tidegate: nothing is wrong\n");

    fs::write(&file, plan.yaml().replace("httpListener: web,", "httpListener: nobody,")).unwrap();
    let output = tidegate(&["check", path]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    let expected =
        "spec.requestRoutingRules[0].httpListener: there is no \"nobody\" in httpListeners";
    assert!(told.contains(&format!("{path}:18: {expected}")), "{told}");

    let output = tidegate(&["check", "/nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("/nowhere.yaml: No such file"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn serve_says_which_path_it_cannot_read() {
    let output = tidegate(&["serve", "/nowhere.yaml", "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/nowhere.yaml: No such file"));
}

#[test]
fn crd_prints_what_the_repository_keeps() {
    let output = tidegate(&["crd"]);
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/applicationgateways.tidegate.dev.yaml");
    assert!(output.status.success());
    assert!(text(&output.stdout) == fs::read_to_string(kept).unwrap());
}

#[test]
fn a_port_that_is_taken_is_told_with_the_flag_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let free = || free_port().to_string();
    let admin = format!("127.0.0.1:{port}");
    for (arguments, flag) in [
        (vec!["--http-port", &port, "--https-port", &free()], "--http-port"),
        (vec!["--http-port", &free(), "--https-port", &port], "--https-port"),
        (vec!["--http-port", &free(), "--https-port", &free(), "--admin", &admin], "--admin"),
    ] {
        let mut all = vec!["demo", "--admin", "127.0.0.1:0"];
        if flag == "--admin" {
            all.truncate(1);
        }
        all.extend(arguments);
        let output = tidegate(&all);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains(&format!("cannot listen on 127.0.0.1:{port}")) && told.contains(flag),
            "{told}"
        );
    }
}

#[test]
fn help_teaches_every_command_and_flag() {
    let help = text(&tidegate(&["--help"]).stdout);
    for command in ["demo", "serve", "check", "convert", "crd"] {
        assert!(help.contains(&format!("  {command} ")), "{help}");
    }
    let serve = text(&tidegate(&["serve", "--help"]).stdout);
    for flag in [
        "--bind",
        "--threads",
        "--admin",
        "--access-log",
        "--shutdown-delay",
        "--drain-timeout",
        "--log",
    ] {
        assert!(serve.contains(flag), "{flag}\n{serve}");
        let twin = format!("TIDEGATE_{}", flag[2..].replace('-', "_").to_uppercase());
        assert!(serve.contains(&twin), "{twin}\n{serve}");
    }
    assert_eq!(tidegate(&["serve"]).status.code(), Some(2));
    assert_eq!(tidegate(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn what_is_shipped_passes_check() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"));
    // The manifest's own resources, out of its ConfigMap.
    let manifest = fs::read_to_string(format!("{root}/deploy/standalone.yaml")).unwrap();
    let (_, rest) = manifest.split_once("resources.yaml: |\n").unwrap();
    let lines = rest.lines().take_while(|line| *line != "---");
    let shipped: String =
        lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap())).collect();
    let readme = fs::read_to_string(format!("{root}/README.md")).unwrap();
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    let example = rest.split_once("```").unwrap().0.to_owned();
    let folder = tempfile::tempdir().unwrap();
    for (name, yaml, left_to_the_reader) in [
        ("deploy", shipped, &[][..]),
        ("README", example, &["no Secret default/app-tls", "no Service default/chat"]),
    ] {
        let file = folder.path().join(format!("{name}.yaml"));
        fs::write(&file, yaml).unwrap();
        let told = text(&tidegate(&["check", file.to_str().unwrap()]).stdout);
        let wrong: Vec<&str> = told
            .lines()
            .filter(|line| !left_to_the_reader.iter().any(|expected| line.contains(expected)))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
    let crd = "crds/applicationgateways.tidegate.dev.yaml";
    let kept = fs::read_to_string(format!("{root}/{crd}")).unwrap();
    assert!(fs::read_to_string(format!("{root}/charts/tidegate/files/{crd}")).unwrap() == kept);
}
