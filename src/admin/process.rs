//! The usual metrics of a process, from `/proc`.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts, Registry};

/// Memory, descriptors, processor time and start of this process.
struct Process {
    resident: Gauge,
    descriptors: Gauge,
    cpu: Gauge,
    start: Gauge,
}

/// Adds them to a registry.
pub(super) fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let gauge = |name, help| Gauge::with_opts(Opts::new(name, help));
    registry.register(Box::new(Process {
        resident: gauge("process_resident_memory_bytes", "Memory that the process has in use.")?,
        descriptors: gauge("process_open_fds", "Open descriptors.")?,
        cpu: gauge("process_cpu_seconds_total", "Processor time, user and system.")?,
        start: gauge("process_start_time_seconds", "When the process began, since 1970.")?,
    }))
}

impl Process {
    fn all(&self) -> [&Gauge; 4] {
        [&self.resident, &self.descriptors, &self.cpu, &self.start]
    }

    /// Reads what the kernel says; `None` if it says nothing that can be understood.
    fn read(&self) -> Option<()> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name stands in parentheses and may have spaces.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        self.cpu.set((field(14)? + field(15)?) / ticks);
        self.resident.set(field(24)? * rustix::param::page_size() as f64);
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        self.start.set(boot.trim().parse::<f64>().ok()? + field(22)? / ticks);
        self.descriptors.set(fs::read_dir("/proc/self/fd").ok()?.count() as f64);
        Some(())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self.read() {
            Some(()) => self.all().into_iter().flat_map(Collector::collect).collect(),
            None => Vec::new(),
        }
    }
}
