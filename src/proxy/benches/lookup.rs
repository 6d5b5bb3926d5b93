//! Finding the rule of a host, and the path rule of a path, among 10, 1,000 and 10,000.

use divan::{Bencher, black_box};
use tidegate_proxy::internals::{Hosts, Paths};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

const RULES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

fn find(bencher: Bencher<'_, '_>, rules: usize, host: &str) {
    let hosts = Hosts::new(rules);
    bencher.bench(|| hosts.find(black_box(host)));
}

#[divan::bench(args = RULES)]
fn exact(bencher: Bencher<'_, '_>, rules: usize) {
    find(bencher, rules, &format!("h{}.example", rules - 2));
}

#[divan::bench(args = RULES)]
fn wildcard(bencher: Bencher<'_, '_>, rules: usize) {
    find(bencher, rules, &format!("a.b.c.w{}.example", rules - 1));
}

#[divan::bench(args = RULES)]
fn miss(bencher: Bencher<'_, '_>, rules: usize) {
    find(bencher, rules, "nobody.knows.this.host.test");
}

fn find_path(bencher: Bencher<'_, '_>, rules: usize, path: &str) {
    let paths = Paths::new(rules);
    bencher.bench(|| paths.find(black_box(path)));
}

#[divan::bench(args = RULES)]
fn path_exact(bencher: Bencher<'_, '_>, rules: usize) {
    let last = (rules - 1) / 3 * 3;
    find_path(bencher, rules, &format!("/api/v{}/service{last}", last % 7));
}

#[divan::bench(args = RULES)]
fn path_below_a_prefix(bencher: Bencher<'_, '_>, rules: usize) {
    let last = (rules - 2) / 3 * 3 + 1;
    find_path(bencher, rules, &format!("/api/v{}/service{last}/a/b/c", last % 7));
}

#[divan::bench(args = RULES)]
fn path_miss(bencher: Bencher<'_, '_>, rules: usize) {
    find_path(bencher, rules, "/api/v3/nobody/knows/this/path.html");
}
