use std::fs;
use std::path::{Path, PathBuf};

use super::Files;

const GATEWAY: &str = "apiVersion: tidegate.dev/v1alpha1\nkind: ApplicationGateway\nmetadata: {name: NAME}\nspec: {}\n";

fn gateway(name: &str) -> String {
    GATEWAY.replace("NAME", name)
}

/// The gateways that are there, and the problems.
fn told(files: &Files) -> (Vec<String>, Vec<String>) {
    let (resources, problems) = files.resources();
    let names = resources.gateways.iter().map(|gateway| gateway.name.to_string());
    (names.collect(), problems.iter().map(ToString::to_string).collect())
}

fn read(path: &Path) -> Files {
    let mut files = Files::new(vec![path.to_owned()]);
    files.read_first().unwrap();
    files
}

#[test]
fn a_folder_is_read_with_its_folders_and_without_what_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("b.yaml", gateway("b"));
    write("deep/er/a.yml", gateway("a"));
    write("c.json", r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "tidegate.dev/v1alpha1", "kind": "ApplicationGateway", "metadata": {"name": "c", "namespace": "n"}, "spec": {}}]}"#.into());
    write("notes.txt", "not: [yaml".into());
    write(".hidden/d.yaml", gateway("d"));
    assert_eq!(
        told(&read(folder.path())),
        (vec!["default/b".into(), "n/c".into(), "default/a".into()], vec![])
    );
}

#[test]
fn a_file_that_stops_parsing_keeps_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    fs::write(&file, gateway("g")).unwrap();
    let mut files = read(&file);
    fs::write(&file, "a: [\nb: }\n").unwrap();
    files.read_changed();
    let (names, problems) = told(&files);
    assert_eq!(names, ["default/g"]);
    assert!(
        problems[0].contains("g.yaml:2: not YAML: ") && problems[0].ends_with("goes on serving"),
        "{problems:?}"
    );
    fs::write(&file, gateway("h")).unwrap();
    files.read_changed();
    assert_eq!(told(&files), (vec!["default/h".into()], vec![]));
}

#[test]
fn an_object_that_becomes_wrong_keeps_its_last_good_version_and_one_removed_goes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    fs::write(&file, format!("{}---\n{}", gateway("g"), gateway("h"))).unwrap();
    let mut files = read(&file);
    fs::write(&file, gateway("g").replace("spec: {}", "spec: {probes: 3}")).unwrap();
    files.read_changed();
    let (names, problems) = told(&files);
    assert_eq!(names, ["default/g"]);
    assert!(
        problems[0].contains("g.yaml:4: spec.probes: invalid type: integer `3`"),
        "{problems:?}"
    );
    fs::remove_file(&file).unwrap();
    assert!(files.read_changed().0);
    assert_eq!(told(&files), (vec![], vec![]));
}

#[test]
fn a_file_that_is_empty_for_a_moment_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    fs::write(&file, gateway("g")).unwrap();
    let mut files = read(&file);
    fs::write(&file, "").unwrap();
    let (changed, again) = files.read_changed();
    assert!(!changed);
    assert_eq!(told(&files).0, ["default/g"]);
    std::thread::sleep(again.unwrap().saturating_duration_since(std::time::Instant::now()));
    assert!(files.read_changed().0);
    assert_eq!(told(&files).0, [""; 0]);
}

#[test]
fn objects_that_are_there_twice_or_unknown_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), gateway("g")).unwrap();
    fs::write(
        folder.path().join("b.yaml"),
        format!(
            "{}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: x}}\n---\nfoo: bar\n",
            gateway("g")
        ),
    )
    .unwrap();
    let (names, problems) = told(&read(folder.path()));
    assert_eq!(names, ["default/g"]);
    for expected in [
        "b.yaml:3: metadata.name: ApplicationGateway default/g is already in ",
        "b.yaml:7: kind: warning: Deployment is left out",
        "b.yaml:10: not a Kubernetes object",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "{expected}: {problems:?}"
        );
    }
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let error = Files::new(vec![PathBuf::from("/nowhere/at/all.yaml")]).read_first().unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/at/all.yaml: "), "{error}");
}
