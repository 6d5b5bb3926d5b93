//! Compiling a table of 10, 1,000 and 10,000 rules, with one member for each rule: the first
//! time, and after one rule has changed.

use divan::Bencher;
use tidegate_proxy::internals::{Compile, snapshot_of};

const RULES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

#[divan::bench(args = RULES)]
fn first(bencher: Bencher<'_, '_>, rules: usize) {
    let snapshot = snapshot_of(rules);
    bencher.with_inputs(Compile::default).bench_refs(|compile| compile.apply(&snapshot));
}

#[divan::bench(args = RULES)]
fn changed(bencher: Bencher<'_, '_>, rules: usize) {
    let (one, other) = (snapshot_of(rules), snapshot_of(rules + 1));
    let mut compile = Compile::default();
    compile.apply(&one);
    let mut turn = false;
    bencher.bench_local(|| {
        turn = !turn;
        compile.apply(if turn { &other } else { &one })
    });
}
