//! The examples in `docs/*.md`: every one that is shown with what it answers is served and asked.
//!
//! An example is a fenced block `yaml` that holds an `ApplicationGateway`, with whatever other objects
//! it needs, one after the other between lines `---`. Every block `console` after it, up to the next such
//! `yaml` block, is played against it:
//!
//! ```text
//! $ curl http://shop.example/images/cat.png
//! images at 10.0.0.4
//! GET /images/cat.png HTTP/1.1
//! host: shop.example
//! ...
//! ```
//!
//! - A line `$ curl ...` (or `$ for ...`, with curl in it) is run by a shell; `\` at its end joins the
//!   next. Other commands, such as `$ kubectl ...`, are passed over with what is below them.
//! - What is below is what it has to print, line by line. A line `...` stands for any lines or none;
//!   `...` within a line for any text. What varies, such as dates, ports of clients and trace ids, is
//!   written so. Empty lines at the end do not count.
//! - Whatever host and port a URL names, it leads to the gateway: ports of frontends are replaced by
//!   free ones, and free ones by those of the page in what is printed. TLS is asked for with `curl -k`.
//! - Members are played by servers of the test, whatever their address in the page, which stands in
//!   for the real one in what is printed. Addresses of 192.0.2.0/24 are nobody's. A server answers any
//!   path with its pool and address, the request line, the fields, and after an empty line the body that it got.
//!   It takes every WebSocket, and ends it at once.
//!   In the query `status=503` has it answer so, `wait=2` only after two seconds, `field=a:b` with one more field.
//! - Secrets that the example names and does not hold are made up: one certificate for all of its names.
//!   Of a Service that it does not hold there is one member.
//!
//! The gateway must be one of which nothing is refused. A block without `console` blocks is checked, and
//! not served. A block `yaml` that is indented by two spaces has collections that take the place of those
//! of the gateway before it.

mod expect;
mod members;
mod page;
mod stage;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::docs::page::{Example, Play, examples};
use crate::docs::stage::{Scene, Stage};

#[tokio::test]
async fn every_example_of_the_documents_answers_as_they_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.push(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    pages.sort();
    // One page of interest, while it is being written: DOCS=paths.
    let only = std::env::var("DOCS").unwrap_or_default();
    let mut wrong = Vec::new();
    for page in pages.iter().filter(|page| page.to_string_lossy().contains(&only)) {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        for example in examples(&fs::read_to_string(page).unwrap()) {
            wrong.extend(serve(&name, &example).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Serves an example and plays what is asked of it; what went otherwise.
async fn serve(page: &str, example: &Example) -> Vec<String> {
    let place = format!("{page}:{}", example.line);
    let scene = match Scene::of(example) {
        Ok(scene) => scene,
        Err(why) => return vec![format!("{place}: {why}")],
    };
    let mut wrong = Vec::new();
    if example.plays.is_empty() {
        return wrong;
    }
    let stage = Stage::set(&place, scene).await;
    for Play { line, command, expected } in &example.plays {
        let printed = run(&stage, command).await;
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        if !expect::matches(expected, &printed) {
            let (expected, printed) = (expected.join("\n"), printed.join("\n"));
            wrong.push(format!(
                "{page}:{line}: $ {command}\nshould print:\n{expected}\nand prints:\n{printed}"
            ));
        }
    }
    wrong
}

/// Runs a command in which every curl leads to the gateway; what it prints, in the page's words.
async fn run(stage: &Stage, command: &str) -> String {
    let options: String = stage.curl.iter().map(|option| format!(" '{option}'")).collect();
    let script =
        format!("curl() {{ command curl -sS --max-time 30{options} \"$@\"; }}\n{command}\n");
    let output = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    stage.in_words_of_the_page(&String::from_utf8_lossy(&printed))
}
