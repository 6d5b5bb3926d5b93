//! Finding the rule of a host among 10, 1,000 and 10,000.

use divan::{Bencher, black_box};
use tidegate_proxy::internals::Hosts;

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
