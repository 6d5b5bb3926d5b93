//! Puts the numbers into Prometheus' form when someone asks.

use std::sync::Arc;

use prometheus::core::Desc;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::metrics::counters::Observed;
use crate::metrics::definitions::{self as names, Kind, definitions};
use crate::metrics::labels::{AcceptErrorClass, FailureLabel, HandshakeFailure};
use crate::metrics::series::STATUS_CLASSES;
use crate::metrics::{MemberSeries, Metrics, RuleSeries, all_living};
use crate::tunnel::{CloseLabel, Side, TunnelEnd};

/// All metrics of the data plane.
pub(super) struct Collector {
    metrics: Arc<Metrics>,
    descriptions: Vec<Desc>,
}

impl Collector {
    pub(super) fn new(metrics: Arc<Metrics>) -> Result<Self, prometheus::Error> {
        let description = |definition: &names::Definition| {
            let labels = definition.labels.iter().map(|&label| label.to_owned()).collect();
            Desc::new(definition.name.into(), definition.help.into(), labels, Default::default())
        };
        let descriptions = definitions().iter().map(description).collect::<Result<_, _>>()?;
        Ok(Self { metrics, descriptions })
    }
}

impl prometheus::core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut output = Output { metrics: definitions().iter().map(|_| Vec::new()).collect() };
        for series in all_living(&self.metrics.rules) {
            output.rule(&series);
        }
        for series in all_living(&self.metrics.members) {
            output.member(&series);
        }
        for series in all_living(&self.metrics.certificates) {
            let labels = [&*series.key.gateway, &*series.key.certificate];
            output.gauge(names::CERTIFICATE_EXPIRY, &labels, series.expires());
        }
        output.process(&self.metrics);
        output.into_families()
    }
}

/// Metrics by the place of their definition.
struct Output {
    metrics: Vec<Vec<Metric>>,
}

impl Output {
    fn add(&mut self, place: usize, values: &[&str], set: impl FnOnce(&mut Metric)) {
        let labels = definitions()[place].labels;
        debug_assert_eq!(labels.len(), values.len(), "{}", definitions()[place].name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut metric = Metric::from_label(labels.iter().zip(values).map(pair).collect());
        set(&mut metric);
        self.metrics[place].push(metric);
    }

    fn counter(&mut self, place: usize, values: &[&str], value: u64) {
        self.add(place, values, |metric| {
            let mut counter = Counter::default();
            counter.set_value(value as f64);
            metric.set_counter(counter);
        });
    }

    fn gauge(&mut self, place: usize, values: &[&str], value: u64) {
        self.add(place, values, |metric| {
            let mut gauge = Gauge::default();
            gauge.set_value(value as f64);
            metric.set_gauge(gauge);
        });
    }

    fn histogram(&mut self, place: usize, values: &[&str], observed: &Observed) {
        self.add(place, values, |metric| {
            let mut histogram = Histogram::default();
            histogram.set_sample_count(observed.count());
            histogram.set_sample_sum(observed.sum());
            let bucket = |(bound, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            };
            histogram.set_bucket(observed.buckets().map(bucket).collect());
            metric.set_histogram(histogram);
        });
    }

    fn rule(&mut self, series: &RuleSeries) {
        let key = series.key();
        let own = [&*key.gateway, &*key.listener, &*key.rule, &*key.pool, &*key.settings];
        let with = |last| [own[0], own[1], own[2], own[3], own[4], last];
        for (class, label) in STATUS_CLASSES.into_iter().enumerate() {
            self.counter(names::REQUESTS, &with(label), series.sum(|s| &s.statuses[class]));
        }
        self.histogram(names::REQUEST_DURATION, &own, &series.observed(|s| &s.duration));
        self.counter(names::RECEIVED, &own, series.sum(|s| &s.received));
        self.counter(names::SENT, &own, series.sum(|s| &s.sent));
        for (why, label) in FailureLabel::LABELS.iter().enumerate() {
            self.counter(names::FAILURES, &with(label), series.sum(|s| &s.failures[why]));
        }
        self.counter(names::TUNNELS_OPENED, &own, series.sum(|s| &s.tunnels));
        for (end, label) in TunnelEnd::LABELS.iter().enumerate() {
            let count = series.sum(|s| &s.tunnel_ends[end]);
            self.counter(names::TUNNELS_CLOSED, &with(label), count);
        }
        for (side, label) in Side::LABELS.iter().enumerate() {
            for (code, code_label) in CloseLabel::LABELS.iter().enumerate() {
                let count = series.sum(|s| &s.closes[side][code]);
                // Of fifty pairs a rule sees a handful.
                if count > 0 {
                    let all = [own[0], own[1], own[2], own[3], own[4], label, code_label];
                    self.counter(names::CLOSES, &all, count);
                }
            }
        }
        self.gauge(names::TUNNELS_OPEN, &own, series.open_tunnels());
        self.histogram(names::TUNNEL_DURATION, &own, &series.observed(|s| &s.tunnel_duration));
        self.counter(names::TUNNEL_RECEIVED, &own, series.sum(|s| &s.tunnel_received));
        self.counter(names::TUNNEL_SENT, &own, series.sum(|s| &s.tunnel_sent));
        self.counter(names::MESSAGES_RECEIVED, &own, series.sum(|s| &s.messages_received));
        self.counter(names::MESSAGES_SENT, &own, series.sum(|s| &s.messages_sent));
        for side in [Side::Client, Side::Member] {
            let observed = series.observed(|s| &s.pings[side as usize]);
            if observed.count() > 0 {
                self.histogram(names::PING, &with(Side::LABELS[side as usize]), &observed);
            }
        }
        for (answered, label) in ["false", "true"].into_iter().enumerate() {
            self.counter(names::DRAINED, &with(label), series.sum(|s| &s.drained[answered]));
        }
        for (why, label) in HandshakeFailure::LABELS.iter().enumerate() {
            let count = series.sum(|s| &s.handshake_failures[why]);
            self.counter(names::HANDSHAKE_FAILURES, &with(label), count);
        }
    }

    fn member(&mut self, series: &MemberSeries) {
        let key = &series.key;
        let member = key.member.to_string();
        let own = [&*key.gateway, &*key.pool, &*key.settings, &*member];
        let with = |last| [own[0], own[1], own[2], own[3], last];
        for (class, label) in STATUS_CLASSES.into_iter().enumerate() {
            self.counter(names::MEMBER_REQUESTS, &with(label), series.sum(|s| &s.statuses[class]));
        }
        self.histogram(names::MEMBER_LATENCY, &own, &series.observed(|s| &s.latency));
        self.gauge(names::MEMBER_IN_FLIGHT, &own, series.in_flight());
        self.histogram(names::MEMBER_CONNECT, &own, &series.observed(|s| &s.connect));
        let failures = series.sum(|s| &s.connect_failures);
        self.counter(names::MEMBER_CONNECT_FAILURES, &own, failures);
        self.counter(names::MEMBER_RETRIES, &own, series.sum(|s| &s.retries));
        self.gauge(names::MEMBER_TUNNELS_OPEN, &own, series.open_tunnels());
        if let Some(health) = series.health() {
            let (succeeded, failed) = health.counts();
            self.gauge(names::MEMBER_UP, &own, u64::from(health.is_up()));
            self.counter(names::PROBES, &with("success"), succeeded);
            self.counter(names::PROBES, &with("failure"), failed);
            self.counter(names::EJECTIONS, &own, health.ejections());
        }
    }

    fn process(&mut self, metrics: &Metrics) {
        let series = metrics.process();
        for (tls, label) in ["false", "true"].into_iter().enumerate() {
            self.counter(names::CONNECTIONS, &[label], series.sum(|s| &s.connections[tls]));
        }
        self.gauge(names::CONNECTIONS_OPEN, &[], series.connections_open());
        for (result, label) in ["success", "failure"].into_iter().enumerate() {
            self.counter(names::TLS_HANDSHAKES, &[label], series.sum(|s| &s.handshakes[result]));
        }
        let mut observed = Observed::none();
        series.cores.iter().for_each(|shard| shard.handshake_duration.add_to(&mut observed));
        self.histogram(names::TLS_HANDSHAKE_DURATION, &[], &observed);
        for (class, label) in AcceptErrorClass::LABELS.iter().enumerate() {
            self.counter(names::ACCEPT_ERRORS, &[label], series.sum(|s| &s.accept_errors[class]));
        }
        self.counter(names::SWAPS, &[], series.swaps.get());
        self.counter(names::UNCHANGED, &[], series.unchanged.get());
        let mut observed = Observed::none();
        series.swap_duration.add_to(&mut observed);
        self.histogram(names::SWAP_DURATION, &[], &observed);
        self.counter(names::LOG_DROPPED, &[], series.log_dropped());
        self.gauge(names::REVISION, &[], series.revision());
    }

    fn into_families(self) -> Vec<MetricFamily> {
        let family = |(definition, metrics): (&names::Definition, Vec<Metric>)| {
            let mut family = MetricFamily::default();
            family.set_name(definition.name.to_owned());
            family.set_help(definition.help.to_owned());
            family.set_field_type(match definition.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family.set_metric(metrics);
            family
        };
        let all = definitions().iter().zip(self.metrics);
        all.filter(|(_, metrics)| !metrics.is_empty()).map(family).collect()
    }
}
